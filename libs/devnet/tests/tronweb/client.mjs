// What a program that uses TronWeb does: accounts, transfers, a contract, its events. Prints what it saw as JSON.
//   node client.mjs URL PRIVATE_KEY ARTIFACT
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { TronWeb, utils } from "tronweb";

const [url, privateKey, artifactFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(artifactFile, "utf8"));
const tronWeb = new TronWeb({ fullHost: url, privateKey });
const me = tronWeb.defaultAddress.base58;
const saw = { version: TronWeb.version };

async function receipt(txID, solid = false) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const info = await (solid ? tronWeb.trx.getTransactionInfo(txID) : tronWeb.trx.getUnconfirmedTransactionInfo(txID));
    if (info.id) return info;
    await setTimeout(50);
  }
  throw new Error(`no receipt of ${txID}`);
}

async function refusal(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return String(error.message ?? error);
  }
}

// Accounts: one by a transfer, one by a transaction of its own.
const friend = await tronWeb.createRandom();
const stranger = utils.accounts.generateAccount();
saw.before = await tronWeb.trx.getAccount(friend.address);
const sent = await tronWeb.trx.sendTransaction(friend.address, 5_000_000);
saw.sent = sent.txid;
saw.transfer = await receipt(sent.txid, true);
const creation = await tronWeb.transactionBuilder.createAccount(stranger.address.base58);
const created = await tronWeb.trx.sendRawTransaction(await tronWeb.trx.sign(creation));
await receipt(created.txid);
saw.created = await tronWeb.trx.getUnconfirmedAccount(stranger.address.base58);
saw.stranger = stranger.address;
saw.balance = await tronWeb.trx.getBalance(friend.address);
saw.resources = await tronWeb.trx.getAccountResources(me);

// A contract: deployed with arguments, read, called.
const token = await tronWeb.contract().new({
  abi,
  bytecode,
  feeLimit: 1_000_000_000,
  callValue: 0,
  userFeePercentage: 100,
  originEnergyLimit: 10_000_000,
  parameters: [me, "1000000", "1000"],
  name: "DCMXToken",
});
saw.contract = tronWeb.address.fromHex(token.address);
saw.name = await token.methods.name().call();
const estimate = await tronWeb.transactionBuilder.triggerConstantContract(
  token.address,
  "transfer(address,uint256)",
  {},
  [
    { type: "address", value: friend.address },
    { type: "uint256", value: 7 },
  ],
  me,
);
saw.energy = estimate.energy_used;
const txID = await token.methods.transfer(friend.address, 42).send({ feeLimit: 100_000_000 });
const info = await receipt(txID);
saw.called = txID;
saw.held = String(await token.methods.balanceOf(friend.address).call());
const found = await tronWeb.contract().at(token.address);
saw.supply = String(await found.methods.totalSupply().call());

// Its events, from the receipt, and from a later look at the block.
const codec = new utils.ethersUtils.Interface(abi);
const decode = ({ topics, data }) => {
  const { name, args } = codec.parseLog({ topics: topics.map((topic) => `0x${topic}`), data: `0x${data}` });
  return [name, ...[...args].map((value) => (/^0x/.test(value) ? tronWeb.address.fromHex(value) : String(value)))];
};
saw.events = info.log.map(decode);
const served = await tronWeb.event.getEventsByTransactionID(txID);
saw.served = served.data.map(({ event_name, result }) => [event_name, result]);
const byContract = { eventName: "Transfer", onlyConfirmed: false, orderBy: "block_timestamp,asc", limit: 1 };
const first = await tronWeb.event.getEventsByContractAddress(token.address, byContract);
const rest = await tronWeb.event.getEventsByContractAddress(token.address, {
  ...byContract,
  fingerprint: first.meta.fingerprint,
});
saw.amounts = [...first.data, ...rest.data].map(({ result }) => result.value);
const block = await tronWeb.trx.getBlockByNumber(info.blockNumber);
saw.inBlock = block.transactions.some((transaction) => transaction.txID === txID);
saw.sameTransaction = (await tronWeb.trx.getTransaction(txID)).txID === txID;

// What is refused, and what fails.
saw.tooMuch = await tronWeb.trx.sendTransaction(friend.address, 1e15);
saw.reverts = await refusal(token.methods.mint(me, 1).send({ feeLimit: 100_000_000, shouldPollResponse: true }));
saw.notThere = await refusal(tronWeb.trx.getTransaction("ab".repeat(32)));

console.log(JSON.stringify({ me, friend: friend.address, ...saw }));

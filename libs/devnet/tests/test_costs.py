"""What transactions cost, and that every sun can be accounted for from the blocks alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tronpy import Contract

from devnet.executor import settle_net
from devnet.keys import from_base58, to_base58

PRICE = {"energy": 100, "bandwidth": 1000}


def test_bandwidth_is_free_until_the_day_s_allowance_is_used(node: Any) -> None:
    receipts = [node.transfer(0, node.address(1), 1_000_000)["receipt"] for _ in range(3)]
    assert receipts[0] == {"net_usage": 267}  # as recorded for the same transfer
    assert receipts[1] == {"net_usage": 267}
    assert receipts[2] == {"net_fee": 267 * PRICE["bandwidth"]}
    assert abs(node.tron().get_bandwidth(node.address(0)) - (600 - 2 * 267)) < 5  # it recovers all the time
    node.post("/devnet/time", advance=12 * 3600)
    assert abs(node.tron().get_bandwidth(node.address(0)) - (600 - 267)) < 5
    node.post("/devnet/time", advance=12 * 3600)
    assert node.transfer(0, node.address(1), 1_000_000)["receipt"] == {"net_usage": 267}


def test_energy_is_close_to_what_java_tron_charged(contract: Any, recordings: dict[str, Any]) -> None:
    """The code is the same; the virtual machines price storage and calls a little differently."""
    receipts = {name[:3]: item["response"] for name, item in recordings.items()}
    deployed = contract.receipt["receipt"]["energy_usage_total"]
    assert abs(deployed / receipts["085"]["receipt"]["energy_usage_total"] - 1) < 0.02
    first = contract.call("transfer", contract.node.address(1), 12_345)["receipt"]["energy_usage_total"]
    assert abs(first / receipts["120"]["receipt"]["energy_usage_total"] - 1) < 0.15
    deposit = contract.call("deposit", value=2_000_000)["receipt"]["energy_usage_total"]
    assert abs(deposit / receipts["130"]["receipt"]["energy_usage_total"] - 1) < 0.05


def test_a_failed_call_costs_and_changes_and_logs_nothing(contract: Any) -> None:
    node, me = contract.node, contract.node.address(0)
    before = node.wallet("getaccount", address=me, visible=True)["balance"]
    failed = contract.call("failStrTx")
    assert (failed["result"], failed["receipt"]["result"]) == ("FAILED", "REVERT")
    assert failed["resMessage"] == "REVERT opcode executed"
    assert bytes.fromhex(failed["contractResult"][0])[68:80] == b"plain reason"
    assert failed["receipt"]["energy_fee"] == failed["receipt"]["energy_usage_total"] * PRICE["energy"]
    assert "log" not in failed
    assert "internal_transactions" not in failed
    assert node.wallet("getaccount", address=me, visible=True)["balance"] == before - failed["fee"]
    mined = node.wallet("gettransactionbyid", value=failed["id"])
    assert mined["ret"] == [{"contractRet": "REVERT"}]


def test_the_value_of_a_failed_call_stays_with_the_caller(contract: Any) -> None:
    node = contract.node
    client = contract.client
    held = client.get_account_balance(contract.address)
    before = node.wallet("getaccount", address=node.address(0), visible=True)["balance"]
    failed = contract.call("transfer", node.address(1), 1, value=5_000_000)  # not payable
    assert failed["receipt"]["result"] == "REVERT"
    assert client.get_account_balance(contract.address) == held
    assert node.wallet("getaccount", address=node.address(0), visible=True)["balance"] == before - failed["fee"]


def test_the_fee_limit_ends_a_call(contract: Any) -> None:
    limited = contract.call("spin", fee_limit=5_000_000)
    assert limited["receipt"]["result"] == "OUT_OF_ENERGY"
    assert limited["receipt"]["energy_usage_total"] == 50_000
    assert limited["receipt"]["energy_fee"] == 5_000_000
    assert limited["resMessage"].startswith("Not enough energy")


def test_a_deployment_that_runs_out_of_energy_leaves_no_contract(node: Any, artifact: dict[str, Any]) -> None:
    client = node.tron()
    code = Contract(bytecode=artifact["bytecode"], abi=artifact["abi"], name="T")
    for limit in (5_000_000, 60_000_000):  # within the constructor, and when the code is to be saved
        failed = node.send(client.trx.deploy_contract(node.address(0), code).fee_limit(limit))
        assert failed["receipt"]["result"] == "OUT_OF_ENERGY"
        assert failed["fee"] >= limit
        assert node.wallet("getcontract", value=failed["contract_address"], visible=True) == {}
        assert (
            node.rpc("eth_getCode", "0x" + from_base58(failed["contract_address"])[1:].hex(), "latest")["result"]
            == "0x"
        )


def test_a_memo_and_a_new_account_have_their_price(node: Any) -> None:
    memo = node.send(node.tron().trx.transfer(node.address(0), node.address(1), 7).memo("hello memo"))
    assert memo["fee"] == 1_000_000
    created = node.transfer(1, "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD", 5_000_000)
    assert (created["fee"], created["receipt"]) == (1_100_000, {"net_fee": 100_000})


def test_an_account_is_created_without_a_transfer(node: Any) -> None:
    address = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
    draft = node.wallet("createaccount", owner_address=node.address(0), account_address=address, visible=True)
    signature = node.key(0).sign_msg_hash(bytes.fromhex(draft["txID"])).hex()
    assert node.wallet("broadcasttransaction", **draft, signature=[signature])["result"] is True
    node.mine()
    assert node.info(draft["txID"])["fee"] == 1_100_000
    assert node.wallet("getaccount", address=address, visible=True)["address"] == address


def balances_from_blocks(node: Any) -> Counter[str]:
    """What an indexer computes: allocations, transfers, values of calls, internal transactions, fees."""
    balances: Counter[str] = Counter()
    for number in range(node.http.get("/devnet/status").json()["head"] + 1):
        block = node.wallet("getblockbynum", num=number)
        infos = {info["id"]: info for info in node.wallet("gettransactioninfobyblocknum", num=number)}
        for transaction in block.get("transactions", []):
            value = transaction["raw_data"]["contract"][0]["parameter"]["value"]
            info = infos.get(transaction["txID"], {})
            owner = value["owner_address"]
            if info.get("result") != "FAILED":
                to = value.get("to_address") or info.get("contract_address") or value.get("account_address")
                new = value.get("new_contract", {})
                amount = value.get("amount") or value.get("call_value") or new.get("call_value") or 0
                balances[to] += amount
                balances[owner] -= amount
                for internal in info.get("internal_transactions", []):
                    moved = internal["callValueInfo"][0].get("callValue", 0)
                    balances[internal["caller_address"]] -= moved
                    balances[internal["transferTo_address"]] += moved
            balances[owner] -= info.get("fee", 0)
    return balances


def test_every_balance_follows_from_the_blocks(contract: Any) -> None:
    node = contract.node
    stranger = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
    node.transfer(0, contract.address, 3_000_000)
    contract.call("deposit", value=9_000_000)
    contract.call("pay", node.address(4), 500_000, sender=2)
    paid = contract.call("pay", stranger, 700_000, sender=2)  # an account that did not exist
    contract.call("pay", contract.address, 10**15, sender=2)  # fails for want of balance
    contract.call("pay", node.address(2), 400_000, value=0, sender=2)  # back to the caller
    contract.call("spawn", 9)
    contract.call("failStrTx", sender=3)
    node.post("/devnet/faucet", address=stranger, amount=1_234)
    node.mine()
    (internal,) = paid["internal_transactions"]
    assert internal["caller_address"] == contract.address
    assert internal["transferTo_address"] == stranger
    assert internal["callValueInfo"] == [{"callValue": 700_000}]
    assert bytes.fromhex(internal["note"]) == b"call"
    balances = balances_from_blocks(node)
    for address, expected in balances.items():
        if address.startswith("41"):
            account = node.wallet("getaccount", address=address)
            assert account.get("balance", 0) == expected, to_base58(bytes.fromhex(address))
            assert int(node.rpc("eth_getBalance", "0x" + address[2:], "latest")["result"], 16) == expected
    burnt = node.wallet("getburntrx")["burnTrxAmount"]
    assert sum(balances.values()) == -burnt  # the allocations' sender owes what was created


def test_net_movements_are_settled_in_order_of_address() -> None:
    a, b, c, d = (bytes([number]) for number in range(4))
    assert settle_net({a: -5, b: 5}) == [(a, b, 5)]
    assert settle_net({d: -5, a: 2, b: 3}) == [(d, a, 2), (d, b, 3)]
    assert settle_net({a: -1, b: -4, c: 3, d: 2}) == [(a, c, 1), (b, c, 2), (b, d, 2)]
    assert settle_net({}) == []

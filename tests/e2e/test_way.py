"""From a signed transaction to the answers of four services, and what operators do on the way."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tronpy import AsyncTron  # type: ignore[import-untyped]  # tronpy ships no type information
from tronpy.keys import PrivateKey  # type: ignore[import-untyped]  # as above
from tronpy.providers.async_http import AsyncHTTPProvider  # type: ignore[import-untyped]  # as above

import projections
from annals.demo import acts
from annals.demo.theatre import Theatre
from annals.services import installed
from eventlog import Watermark
from messaging.testing import eventually
from tron.claims import authorise_claim
from tron.contract import Contract
from tron.keys import Key
from tron.sender import Sender

sys.path.append(str(Path(__file__).parent))

from program import annals
from sixth import abi_of_its_own, deployed

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACK = 1  # with a split


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction as the node's receipts describe it: its place, and by name where its logs stand in the block."""

    tx_id: str
    block: int
    logs: dict[str, int]

    def at(self, event: str) -> dict[str, Any]:
        """What an answer must say of where its fact comes from."""
        return {"tx_id": self.tx_id, "block_number": self.block, "log_index": self.logs[event]}


async def send(theatre: Theatre, key: Key, contract: Contract, function: str, *args: Any, value_sun: int = 0) -> Sent:
    """Call a contract with unmodified tronpy, which reads the ABI from the node, and wait for the receipt."""
    http = httpx.AsyncClient(timeout=120)
    provider = AsyncHTTPProvider(theatre.directory.environment["ANNALS_TRON_URL"], client=http)
    async with AsyncTron(provider, conf={"fee_limit": acts.FEE_LIMIT_SUN, "timeout": 20.0}) as tron:
        method = (await tron.get_contract(contract.address)).functions[function]
        builder = await (method.with_transfer(value_sun) if value_sun else method)(*args)
        unsigned = await builder.with_owner(key.address).fee_limit(acts.FEE_LIMIT_SUN).build()
        sent = await unsigned.sign(PrivateKey(key.secret)).broadcast()
        receipt = await sent.wait(interval=0.2, timeout=240)
        block = await provider.make_request("wallet/gettransactioninfobyblocknum", {"num": receipt["blockNumber"]})
    assert receipt["receipt"]["result"] == "SUCCESS"
    names = event_names(theatre)
    logs = [(info["id"], log["topics"][0]) for info in block for log in info.get("log", ())]
    mine = {names[topic]: index for index, (tx_id, topic) in enumerate(logs) if tx_id == receipt["id"]}
    return Sent(receipt["id"], receipt["blockNumber"], mine)


def event_names(theatre: Theatre) -> dict[str, str]:
    """The contracts' events by the first topic of their logs."""
    abis = [contract.artifact().abi for contract in theatre.town.deployment.contracts()]
    return {topic: event.name for abi in abis for (topic, _), event in abi.events.items()}


async def answer(theatre: Theatre, service: str, path: str, **params: Any) -> Any:
    """What a service answers, once it has what was asked for."""
    async with theatre.client(service) as client:
        while True:
            response = await client.get(path, params=params)
            found = response.json() if response.status_code == 200 else None
            if found and (not isinstance(found, dict) or found.get("items") != []):
                return found
            assert response.status_code in (200, 404), response.text
            await asyncio.sleep(0.1)


def place(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("tx_id", "block_number", "log_index")}


async def is_indexed(theatre: Theatre, sent: Sent, sender: Key, method: str) -> None:
    """The chain service has the transaction with all its logs."""
    found = await answer(theatre, "chain", f"/transactions/{sent.tx_id}")
    while not sent.logs.keys() <= {event["name"] for event in found["events"]}:  # a read model of its own
        await asyncio.sleep(0.1)
        found = await answer(theatre, "chain", f"/transactions/{sent.tx_id}")
    assert (found["owner"], found["method"], found["success"]) == (sender.address, method, True)
    assert found["block_number"] == sent.block
    assert {event["name"]: event["log_index"] for event in found["events"]} == sent.logs
    assert all(event["tx_id"] == sent.tx_id for event in found["events"])


# ---- answers name the transaction they come from ----------------------------------------------------------------


async def test_a_sale_is_told_with_its_transaction_by_chain_and_royalties(theatre: Theatre) -> None:
    buyer = theatre.stage.cast.listeners[0]
    price_sun = acts.price_sun(TRACK)
    sent = await send(theatre, buyer, theatre.stage.nft, "buyEdition", TRACK, value_sun=price_sun)
    await is_indexed(theatre, sent, buyer, "buyEdition")

    token = TRACK * acts.EDITIONS_PER_TRACK + 1
    nft = await answer(theatre, "chain", f"/nfts/{token}")
    assert (nft["owner"], nft["last_tx_id"], nft["last_block"]) == (buyer.address, sent.tx_id, sent.block)
    [sale] = (await answer(theatre, "royalties", f"/sales/{token}"))["items"]
    assert place(sale) == sent.at("PrimarySale")
    assert (sale["buyer"], sale["price"], sale["kind"]) == (buyer.address, str(price_sun), "primary")
    [payment] = (await answer(theatre, "royalties", f"/tracks/{TRACK}/payments"))["items"]
    assert place(payment) == sent.at("PaymentReceived")
    assert payment["credited"] == str(sum(int(part["amount"]) for part in payment["parts"]))


async def test_a_tip_is_told_with_its_transaction_in_the_statements_of_those_who_share_it(theatre: Theatre) -> None:
    giver = theatre.stage.cast.listeners[1]
    sent = await send(theatre, giver, theatre.stage.distributor, "pay", TRACK, 2, value_sun=7_000_003)
    await is_indexed(theatre, sent, giver, "pay")

    async def tip() -> dict[str, Any]:
        while True:
            newest, *_ = (await answer(theatre, "royalties", f"/tracks/{TRACK}/payments"))["items"]
            if newest["kind"] == "direct" and newest["credited"] != "0":
                return dict(newest)
            await asyncio.sleep(0.1)

    payment = await tip()
    assert place(payment) == sent.at("PaymentReceived")
    assert int(payment["amount"]) == 7_000_003
    assert int(payment["amount"]) - int(payment["fee"]) - int(payment["credited"]) in range(len(payment["parts"]) + 1)
    for part in payment["parts"]:
        lines = await lines_of(theatre, part["recipient"], sent)
        told = [(line["amount"], line["log_index"], line["block_number"]) for line in lines]
        assert told == [(part["amount"], part["log_index"], sent.block)]


async def lines_of(theatre: Theatre, party: str, sent: Sent) -> list[dict[str, Any]]:
    """What a party's statement says of a transaction, once it does: statements are a read model of their own."""
    while True:
        statement = await answer(theatre, "royalties", f"/parties/{party}/statement")
        if lines := [line for line in statement["lines"] if line["tx_id"] == sent.tx_id]:
            return lines
        await asyncio.sleep(0.1)


async def test_a_claim_is_told_with_its_transaction_by_chain_and_rewards(theatre: Theatre) -> None:
    claimant, deployment = theatre.stage.cast.listeners[2], theatre.town.deployment
    claim_id, amount, deadline = acts.digest("e2e claim"), 3 * 10**18, int(time.time()) + 3_600
    signature = authorise_claim(
        theatre.stage.cast.admin,
        deployment.vault,
        deployment.chain_id,
        claim_id=claim_id,
        pool=1,
        claimant=claimant.address,
        amount=amount,
        deadline=deadline,
    )
    arguments = (claim_id, 1, amount, deadline, signature)
    sent = await send(theatre, claimant, theatre.stage.vault, "claim", *arguments)
    await is_indexed(theatre, sent, claimant, "claim")

    claim = await answer(theatre, "rewards", f"/claims/{claim_id.hex()}")
    assert place(claim) == sent.at("RewardClaimed")
    assert (claim["claimant"], claim["pool"], claim["amount"]) == (claimant.address, "listening", str(amount))
    [total] = await answer(theatre, "rewards", f"/totals/{claimant.address}")
    assert (total["subject"], total["pool"]) == (claimant.address, "listening")
    assert (total["paid"], total["times_paid"], total["earned"]) == (str(amount), 1, "0")


async def test_the_key_with_which_rewards_pays_may_also_open_its_periods(theatre: Theatre) -> None:
    key = Key.from_hex(json.loads(theatre.directory.environment["CHAIN_SENDING_KEYS"])["rewards"])
    vault, sender = theatre.stage.vault, Sender(theatre.node)
    assert await sender.read(vault.has_role(await sender.read(vault.publisher_role()), key.address))


async def test_an_acceptance_is_told_with_its_transaction_by_chain_and_compliance(theatre: Theatre) -> None:
    who = theatre.stage.cast.listeners[3]
    arguments = (acts.TERMS, 1, acts.digest("terms 1"))
    sent = await send(theatre, who, theatre.stage.registry, "acceptDocument", *arguments)
    await is_indexed(theatre, sent, who, "acceptDocument")

    [record] = (await answer(theatre, "compliance", "/acceptances", subject=who.address))["items"]
    assert place(record) == sent.at("DocumentAccepted")
    assert (record["how"], record["content_hash"]) == ("chain", acts.digest("terms 1").hex())
    accepted = await answer(theatre, "compliance", f"/subjects/{who.address}/accepted/terms")
    assert (accepted["accepted"], accepted["version"]) == (True, 1)


# ---- read models ------------------------------------------------------------------------------------------------


async def test_every_table_is_what_the_blocks_say_and_the_comparison_would_notice(theatre: Theatre) -> None:
    await acts.main_act(theatre.stage, theatre.scale, seed=1)
    await acts.epilogue(theatre.stage, theatre.scale)
    await theatre.settled()
    lied = {
        "royalties.nft_sales": "UPDATE sales_v1.nft_sales SET price_sun = price_sun + 1 WHERE token_id = 1000001",
        "rewards.reward_totals": "DELETE FROM reward_totals_v1.reward_totals WHERE paid <> 0",
        "chain.trx_balances": "UPDATE trx_balances_v1.trx_balances SET fees_sun = fees_sun + 1 WHERE fees_sun > 0",
        "compliance.documents": "UPDATE documents_v1.documents SET content_hash = '' WHERE document_type = 'privacy'",
    }
    owners = {name: theatre.directory.environment[f"{name.upper()}_DATABASE_URL"] for name in theatre.databases}
    for table, lie in lied.items():
        service = table.partition(".")[0]
        async with Lie(owners[service], lie) as pool:
            await theatre.truth.read(theatre.node)
            found = await theatre.truth.differences({service: pool})
        assert [line.partition(":")[0] for line in found] == [table]


class Lie:
    """A database in which something was changed, as seen from inside a transaction that is rolled back."""

    def __init__(self, url: str, statement: str) -> None:
        self._url = url
        self._statement = statement

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await asyncpg.connect(self._url)
        self._transaction = self._connection.transaction(isolation="repeatable_read")
        await self._transaction.start()
        assert await self._connection.execute(self._statement) not in ("UPDATE 0", "DELETE 0")
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.rollback()
        await self._connection.close()


@pytest.mark.parametrize("service", ["chain", "rewards", "royalties", "compliance"])
async def test_rebuilt_rows_are_the_live_rows(theatre: Theatre, service: str) -> None:
    found = installed()[service]
    for projection in found.projections:
        async with found.log() as log:
            rebuilt = await projections.rebuild(log.pool, log, Watermark(log.pool), projection, compare=True)
        assert rebuilt.swapped
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.equal, f"{service}.{projection.name}: {rebuilt.comparison}"
    await theatre.settled()


# ---- the command ------------------------------------------------------------------------------------------------


async def test_status_shows_every_service_and_projection(theatre: Theatre) -> None:
    command = ("status", "--json", "--stack", theatre.directory.name)
    while (told := await annals(*command))[0] != 0:
        print(told[1])  # a service that is busy for five seconds is said to give no answer
    shown = {service["name"]: service for service in json.loads(told[1])}
    assert {name: Counter(p["name"] for p in service["projections"]) for name, service in shown.items()} == {
        name: Counter(p.name for p in service.projections) for name, service in installed().items()
    }
    assert all(service["ready"] and service["log"]["position"] for service in shown.values())


async def test_a_rebuild_by_the_command_says_that_the_rows_are_the_same(theatre: Theatre) -> None:
    stack = ("--stack", theatre.directory.name)
    code, output = await annals("rebuild", "rewards.pool_status", "--compare", "--json", *stack)
    told = json.loads(output)
    assert (code, told["projection"], told["swapped"], told["equal"]) == (0, "rewards.pool_status", True, True)
    code, _ = await annals("rebuild", "rewards.nothing", *stack)
    assert code == 2


async def test_an_audit_by_the_command_finds_nothing_until_somebody_changes_a_row(theatre: Theatre) -> None:
    code, output = await annals("audit", "rewards", "--json", "--stack", theatre.directory.name)
    assert (code, {one["equal"] for one in json.loads(output)}) == (0, {True})
    rewards = theatre.databases["rewards"]
    claim = await rewards.fetchval("UPDATE reward_claims_v1.reward_claims SET amount = amount + 1 RETURNING claim_id")
    code, output = await annals("audit", "rewards.reward_claims", "--json")
    assert (code, [one["equal"] for one in json.loads(output)]) == (1, [False])
    code, _ = await annals("rebuild", "rewards.reward_claims")
    assert (code, claim is not None) == (0, True)
    await theatre.settled()


async def test_a_certificate_says_that_no_log_of_the_chain_is_missing(theatre: Theatre, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    code, said = await annals("chain", "audit", "--output", str(file))
    assert code == 0, said
    assert "the same as node (json-rpc) has, root " in said
    code, said = await annals("verify", "--certificate", str(file))
    assert code == 0, said
    file.write_text(re.sub(r'"root": "[0-9a-f]+"', f'"root": "{"ab" * 32}"', file.read_text()))
    code, said = await annals("verify", "--certificate", str(file))
    assert code == 1, said
    assert f"expected the root {'ab' * 32}, found" in said


async def test_the_command_finds_the_books_to_be_what_the_contracts_hold_and_records_that(theatre: Theatre) -> None:
    await theatre.settled()  # a devnet answers calls from its newest state
    code, output = await annals("royalties", "reconcile", "--json", "--stack", theatre.directory.name)
    told = json.loads(output)
    assert (code, told["differences"]) == (0, [])
    assert told["accounts"] > 2
    (run,) = (await answer(theatre, "royalties", "/reconciliations"))["items"]
    assert (run["block_number"], run["accounts"], run["differing"]) == (told["first_block"], told["accounts"], 0)
    split = json.dumps([{"recipient": theatre.stage.cast.listeners[0].address, "ppm": 1_000_000}])
    arguments = ("--split", "-", "--from", "2000-01-01", "--to", "2100-01-01", "--json")
    code, output = await annals("royalties", "what-if", *arguments, stdin=split)
    assert code == 0
    changes = [int(line["change"]) for line in json.loads(output)["lines"]]
    assert any(changes)
    assert sum(changes) == 0


async def test_a_token_from_the_command_opens_the_services(theatre: Theatre) -> None:
    code, output = await annals("token", "alice", "--role", "user", "--stack", theatre.directory.name)
    assert code == 0
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {output.strip()}"}, timeout=120) as client:
        for service, path in {"rewards": "/pools", "royalties": "/platform-fees", "chain": "/status"}.items():
            assert (await client.get(theatre.directory.urls[service] + path)).status_code == 200


async def test_the_command_explains_itself_and_what_is_wrong(theatre: Theatre) -> None:
    code, output = await annals("--help")
    assert code == 0
    assert all(command in output for command in ("demo", "status", "rebuild", "audit", "token"))
    assert (await annals("token", "alice", "--stack", "no-such-stack"))[0] == 3
    assert (await annals("frobnicate"))[0] == 2


# ---- each service to itself -------------------------------------------------------------------------------------


async def test_a_service_cannot_enter_the_database_of_another(theatre: Theatre) -> None:
    urls = {name: theatre.directory.environment[f"{name.upper()}_DATABASE_URL"] for name in theatre.databases}
    for name, url in urls.items():
        for other in urls.keys() - {name}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(f"{url.rpartition('/')[0]}/{other}", timeout=10)


async def test_nobody_changes_or_deletes_events(theatre: Theatre) -> None:
    changes = ("UPDATE events SET data = '{}'", "DELETE FROM events", "TRUNCATE events, streams")
    for name in theatre.databases:
        for variable in (f"{name.upper()}_DATABASE_URL", f"{name.upper()}_OWNER_DATABASE_URL"):
            connection = await asyncpg.connect(theatre.directory.environment[variable], timeout=10)
            before = await connection.fetchval("SELECT count(*) FROM events WHERE position <= 10")
            for change in changes:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(change)
            assert await connection.fetchval("SELECT count(*) FROM events WHERE position <= 10") == before
            await connection.close()


# ---- a contract that comes later; the comparisons above know nothing of it ------------------------------------------


async def test_a_sixth_contract_is_added_under_load_and_its_past_and_what_follows_are_told_exactly_once(
    theatre: Theatre, tmp_path: Path
) -> None:
    sixth = await deployed(theatre)
    await sixth.pay(rounds=3)
    told_by = ("--abi", str(abi_of_its_own(tmp_path / "abi.json")), "--name", "sixth", "--from", "0")
    async with sixth.restless():
        code, said = await annals("chain", "add", sixth.token.address, *told_by)
        assert code == 0, said
        since = None
        while since is None or not any(block >= since for block, _ in await sixth.told("sixth")):
            [status] = [one for one in await watched(theatre) if one["contract"] == "sixth"]
            since = status["since"]
        assert (await annals("chain", "add", sixth.token.address, *told_by))[0] == 0
    head = (await theatre.node.head()).number + 1  # with the block that is still open
    expected: list[tuple[int, int]] = []

    async def all_told() -> bool:
        nonlocal expected
        if not expected and (await theatre.node.solid_head()).number > head:
            expected = await sixth.transfers()
        return bool(expected) and len(await sixth.told("sixth")) >= len(expected) <= len(await sixth.shown("sixth"))

    await eventually(all_told)
    assert expected[0][0] < since <= expected[-1][0]
    assert await sixth.shown("sixth") == expected
    assert sorted(await sixth.told("sixth")) == expected
    await sixth.holders_are_shown("sixth")


async def watched(theatre: Theatre) -> list[dict[str, Any]]:
    code, said = await annals("chain", "status", "--json")
    assert code == 0
    return list(json.loads(said))

"""The log compared with a second source, log by log, and the certificate that comes of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from chain.audit import Certificate, Outcome, audit, check
from chain.fetch import Fetcher
from chain.ingest import Ingester
from chain.settings import ChainSettings
from eventlog import EventLog
from messaging.testing import eventually, running
from tron.client import NodeClient
from tron.providers import Nodes, Provider

pytestmark = pytest.mark.endurance
INFOS = "walletsolidity/gettransactioninfobyblocknum"
BLOCKS = "walletsolidity/getblockbylimitnext"
NOW = "walletsolidity/getnowblock"


async def filled(log: EventLog, town: Any, url: str) -> None:
    """The whole chain in the log, as the node at `url` tells it."""
    async with NodeClient(town.url) as true:
        last = (await true.solid_head()).number
    async with Nodes([Provider("node", url, timeout=60)]) as nodes:
        subject = Ingester(log, Fetcher(nodes), town.contracts, poll_seconds=0.05)

        async def there() -> bool:
            return (await subject.cursor()).next > last

        async with running(subject):
            await eventually(there)


@pytest.fixture
async def full(log: EventLog, town: Any) -> EventLog:
    await filled(log, town, town.url)
    return log


@pytest.fixture
def settings(town: Any, proxy: Any) -> ChainSettings:
    return ChainSettings(
        nodes=json.dumps([{"name": "main", "url": town.url}, {"name": "second", "url": proxy.url, "priority": 2}])
    )


def certified(outcome: Outcome) -> Certificate:
    assert outcome.problem is None
    assert outcome.certificate is not None
    return outcome.certificate


def without_rpc(path: str, body: Any, answer: Any) -> Any:
    return (405, "<html>") if path == "jsonrpc" else answer


def index(change: Callable[[list[Any]], list[Any]]) -> Callable[[str, Any, Any], Any]:
    """The index says something else of long ranges; what is asked of one block, to prove it, is true."""

    def bend(path: str, body: Any, answer: Any) -> Any:
        if path == "jsonrpc" and body[2]["params"][0]["fromBlock"] != body[2]["params"][0]["toBlock"]:
            answer[2]["result"] = change(answer[2]["result"])
        return answer

    return bend


async def forge(log: EventLog, statement: str) -> None:
    async with log.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        assert await connection.execute(statement) in ("UPDATE 1", "DELETE 1")


ONE = "(SELECT max(position) FROM events WHERE type = 'ContractEvent' AND stream LIKE 'reward-vault/claim/%')"


async def test_an_index_and_another_providers_receipts_certify_the_same_log(
    full: EventLog, settings: ChainSettings, proxy: Any, town: Any
) -> None:
    progress: list[tuple[int, int]] = []
    one = certified(await audit(full, settings, 0, on_progress=lambda done, total: progress.append((done, total))))
    assert one.second_source == "main (json-rpc)"
    assert one.contracts == town.contracts
    assert sum(one.logs.values()) > 600
    assert min(one.logs.values()) > 0
    assert progress[-1] == (one.last + 1, one.last + 1)
    proxy.bend = without_rpc
    other = certified(await audit(full, settings, 0, one.last, "second"))
    assert other.second_source == "second (receipts)"
    assert (other.root, other.logs) == (one.root, one.logs)
    assert Certificate.from_json(one.to_json()) == one
    assert (await check(full, one)).ok
    parts = [certified(await audit(full, settings, *bounds)) for bounds in ((0, 20), (21, one.last))]
    assert {name: sum(part.logs[name] for part in parts) for name in one.logs} == one.logs


@pytest.mark.parametrize(
    ("statement", "said", "later"),
    [
        (f"DELETE FROM events WHERE position = {ONE}", "missing from our log: RewardClaimed", "reward-vault: expected"),
        (
            f"UPDATE events SET data = jsonb_set(data::jsonb, '{{args,amount}}', '\"7\"') WHERE position = {ONE}",
            "different: our log has RewardClaimed",
            "expected the root",
        ),
        (
            f"UPDATE events SET data = jsonb_set(data::jsonb, '{{source,log_index}}', '99999') WHERE position = {ONE}",
            "missing from our log: RewardClaimed",
            "expected the root",
        ),
        (f"UPDATE events SET stream = 'x' WHERE position = {ONE}", "different: our log has", "expected the root"),
    ],
    ids=["removed", "changed", "moved", "in another stream"],
)
async def test_a_log_that_was_tampered_with_is_told_by_audit_and_by_an_older_certificate(
    full: EventLog, settings: ChainSettings, statement: str, said: str, later: str
) -> None:
    certificate = certified(await audit(full, settings, 0))
    await forge(full, statement)
    outcome = await audit(full, settings, 0)
    assert said in str(outcome.problem)
    assert outcome.certificate is None
    assert later in str((await check(full, certificate)).problem)


async def test_a_log_that_a_node_left_out_of_a_receipt_is_found_though_nothing_could_prove_it_when_it_was_read(
    log: EventLog, town: Any, proxy: Any, settings: ChainSettings
) -> None:
    left_out: list[str] = []

    def bend(path: str, body: Any, answer: Any) -> Any:
        if path == INFOS and not left_out:
            info = next((info for info in answer if len(info.get("log", [])) > 1), None)
            if info is not None:
                info["log"].pop()
                left_out.append(info["id"])
        return answer

    proxy.bend = bend
    await filled(log, town, proxy.url)
    assert left_out
    problem = str((await audit(log, settings, 0)).problem)
    assert left_out[0] in problem
    assert "log" in problem


async def test_a_second_source_that_leaves_a_log_out_certifies_nothing(
    full: EventLog, settings: ChainSettings, proxy: Any
) -> None:
    proxy.bend = index(lambda logs: logs[:100] + logs[101:])
    outcome = await audit(full, settings, 0, against="second")
    assert "in our log only" in str(outcome.problem)
    proxy.bend = index(lambda logs: [])
    assert "in our log only" in str((await audit(full, settings, 0, against="second")).problem)


async def test_an_audit_asks_again_what_its_second_source_failed_to_answer(
    full: EventLog, settings: ChainSettings, proxy: Any
) -> None:
    failed = 0

    def fail_once(path: str, body: Any, answer: Any) -> Any:
        nonlocal failed
        if path == "jsonrpc" and body[2]["params"][0]["fromBlock"] != body[2]["params"][0]["toBlock"] and not failed:
            failed += 1
            return 500, "<html>"
        return answer

    proxy.bend = fail_once
    outcome = await audit(full, settings, 0, against="second")
    assert certified(outcome) == replace(
        certified(await audit(full, settings, 0)),
        second_source="second (json-rpc)",
        made_at=certified(outcome).made_at,
    )
    assert failed == 1


@pytest.fixture
async def foreign(devnet: Any) -> list[Any]:
    """The solidified blocks of another chain, as a node of it tells them."""
    async with httpx.AsyncClient(timeout=120) as client:
        (await client.post(f"{devnet.url}/devnet/mine", json={"blocks": 100})).raise_for_status()
    async with NodeClient(devnet.url) as node:
        return list((await node.request(BLOCKS, {"startNum": 0, "endNum": 70}))["block"])


other_genesis = pytest.mark.devnet("--accounts", "3")


@other_genesis
async def test_a_balancer_whose_nodes_lag_or_are_of_another_chain_gives_a_complete_log(
    log: EventLog, town: Any, proxy: Any, foreign: list[Any], settings: ChainSettings, nodes: Nodes
) -> None:
    """Each answer comes from one of three: the true node, one that is far behind, one of another chain."""
    old = (await nodes.all[0].client.request(BLOCKS, {"startNum": 5, "endNum": 6}))["block"][0]
    choice, told = random.Random(3), Counter[str]()

    def balance(path: str, body: Any, answer: Any) -> Any:
        who = choice.choices(["true", "behind", "foreign"], [6, 2, 2])[0]
        told[who] += 1
        if who == "true":
            return answer
        if path == NOW:
            return old if who == "behind" else foreign[-1]
        if path == BLOCKS:
            first, end = body["startNum"], body["endNum"]
            held = foreign[first:end] if who == "foreign" else answer["block"][: max(0, 6 - first)]
            return {"block": held} if held else {}
        return [] if path == INFOS else answer

    proxy.bend = balance
    await filled(log, town, proxy.url)
    assert set(told) == {"true", "behind", "foreign"}
    certified(await audit(log, settings, 0))


@other_genesis
async def test_a_node_that_turns_to_another_chain_before_anything_was_recorded_is_not_believed(
    log: EventLog, town: Any, proxy: Any, foreign: list[Any], settings: ChainSettings
) -> None:
    """Its first blocks are true, once; those after them are not, and the first aren't either; then all are.

    As behind a balancer, the single blocks that a node is known by are true all the time.
    """
    begun, lies = False, 0

    def turn(path: str, body: Any, answer: Any) -> Any:
        nonlocal begun, lies
        first, end = body.get("startNum", 0), body.get("endNum", 0)
        if path != BLOCKS or end - first == 1 or lies == 16:
            return answer
        if first == 0 and not begun:
            begun = True
            return answer
        lies += 1
        return {"block": foreign[first:end]}

    proxy.bend = turn
    await filled(log, town, proxy.url)
    assert (begun, lies) == (True, 16)
    certified(await audit(log, settings, 0))


async def test_what_the_log_has_not_read_and_what_is_no_second_source_is_refused_with_the_reason(
    full: EventLog, settings: ChainSettings, proxy: Any
) -> None:
    with pytest.raises(LookupError, match="which the log has, got 0 to 100000"):
        await audit(full, settings, 0, 100_000)
    with pytest.raises(LookupError, match="no provider 'nobody'; there are main, second"):
        await audit(full, settings, 0, against="nobody")
    proxy.bend = without_rpc
    alone = ChainSettings(node_url=proxy.url)
    with pytest.raises(LookupError, match="node has no index that is a second source"):
        await audit(full, alone, 0)


async def test_a_changed_certificate_is_none(full: EventLog, settings: ChainSettings) -> None:
    certificate = certified(await audit(full, settings, 0, 30))
    assert "expected the root" in str((await check(full, replace(certificate, root="00" * 32))).problem)
    assert "blocks 0 to 1: " in str((await check(full, replace(certificate, last=1))).problem)
    for text in ("{", "[]", certificate.to_json().replace("certificate.v1", "certificate.v2")):
        with pytest.raises(LookupError, match="no certificate"):
            Certificate.from_json(text)

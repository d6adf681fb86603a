"""Three providers of which one is behind or lies: most are believed, the one loses its health and is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from chain import fetch, ingest, majority, metrics
from chain.confirm import fetcher
from chain.domain import BlocksIngested
from chain.ingest import Ingester
from chain.settings import ChainSettings
from eventlog import EventLog
from messaging.testing import eventually, running
from tron import providers
from tron.client import NodeClient
from tron.errors import NodeError
from tron.model import logs_of
from tron.proof import header_id
from tron.providers import Nodes

Fail = Callable[[str, dict[str, Any]], Awaitable[None]]
NAMES = ("one", "two", "three")
INFOS, LOGS = "walletsolidity/gettransactioninfobyblocknum", "jsonrpc/eth_getLogs"
FORK = {"kind": "fork", "blocks": 30}
A_LOG_LESS = {"kind": "lie", "form": "a-log-less", "paths": [INFOS, LOGS]}


@asynccontextmanager
async def ingesting(log: EventLog, town: Any, **urls: str) -> AsyncIterator[tuple[Ingester, Nodes]]:
    """Three providers of the town, the first asked first; `urls` names those that are somewhere else."""
    nodes = [
        {"name": name, "url": urls.get(name, f"{town.url}/face/{name}"), "priority": priority}
        for priority, name in enumerate(NAMES, 1)
    ]
    settings = ChainSettings(nodes=json.dumps(nodes), contracts=json.dumps(town.contracts), confirm="majority")
    async with Nodes(settings.providers, observe=metrics.answered) as asked:
        yield Ingester(log, fetcher(settings, asked, log), town.contracts, poll_seconds=0.05), asked


async def reached(subject: Ingester, block: int) -> bool:
    return (await subject.cursor()).next > block


async def recorded(log: EventLog) -> int:
    sql = "SELECT count(*) FROM events WHERE type IN ('ContractEvent', 'UndecodedLog')"
    return int(await log.pool.fetchval(sql))


async def logged(node: NodeClient, town: Any, last: int) -> int:
    """Logs of the contracts by the receipts of the node itself."""
    blocks = [await node.block_with_infos(number) for number in range(last + 1)]
    return sum(len(logs_of(*block, set(town.contracts.values()))) for block in blocks)


async def last_hashes(log: EventLog, node: NodeClient) -> bool:
    """Whether every cursor of the log names a block of the node itself."""
    for entry in await log.read_stream("cursor"):
        done: BlocksIngested = entry.event
        if (await node.blocks(done.last, done.last))[0].hash != done.last_hash:
            return False
    return True


def errors(provider: str, kind: str) -> float:
    name = "annals_chain_node_errors_total"
    return REGISTRY.get_sample_value(name, {"provider": provider, "kind": kind}) or 0.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A liar rests longer than a test, so that its health is seen."""
    monkeypatch.setattr(majority, "RETRY", replace(fetch.RETRY, attempts=3, first=0.01))
    monkeypatch.setattr(ingest, "STALLED_SECONDS", 0.0)
    rests = tuple((kind, 60.0 if kind is not NodeError else 1.0) for kind, _ in providers.FIRST_REST_SECONDS)
    monkeypatch.setattr(providers, "FIRST_REST_SECONDS", rests)


@pytest.mark.parametrize("lie", [FORK, A_LOG_LESS], ids=["another-block", "a-log-less"])
@pytest.mark.parametrize("liar", ["one", "three"])
async def test_the_one_that_lies_is_outvoted_loses_its_health_and_is_named(
    town: Any, log: EventLog, node: NodeClient, faces: Fail, liar: str, lie: dict[str, Any]
) -> None:
    before = errors(liar, "NodeLied")
    await faces(liar, lie)
    last = (await node.solid_head()).number
    async with ingesting(log, town) as (subject, nodes), running(subject):
        await eventually(lambda: reached(subject, last))
        states = {state.name: state for state in nodes.states()}
    assert await recorded(log) == await logged(node, town, last)
    assert await last_hashes(log, node)
    assert errors(liar, "NodeLied") > before
    assert not states[liar].healthy
    assert "outvoted by at least 2 of 3 on blocks" in (states[liar].why or "")
    assert [state.healthy for name, state in states.items() if name != liar] == [True, True]


async def test_the_one_left_behind_is_passed_by_and_named(
    town: Any, log: EventLog, node: NodeClient, faces: Fail
) -> None:
    town.mine(30)
    await faces("one", {"kind": "lag", "blocks": 25})
    last = (await node.solid_head()).number
    async with ingesting(log, town) as (subject, nodes), running(subject):
        await eventually(lambda: reached(subject, last))
        behind = nodes.states()[0]
    assert not behind.healthy
    assert behind.why == f"NodeBehind: solidified up to {last - 25}, most providers up to {last}"
    assert await recorded(log) == await logged(node, town, last)


async def test_one_that_calls_blocks_solidified_that_are_not_leads_nobody_on(
    town: Any, log: EventLog, node: NodeClient, proxy: Any
) -> None:
    head = await node.request("wallet/getnowblock", {})
    solid = (await node.solid_head()).number
    proxy.bend = lambda path, body, answer: head if path == "walletsolidity/getnowblock" else answer
    async with ingesting(log, town, one=proxy.url) as (subject, _), running(subject):
        await eventually(lambda: reached(subject, solid))
        town.mine(1)
        await eventually(lambda: reached(subject, solid + 1))
    assert await last_hashes(log, node)
    assert (await subject.cursor()).next == solid + 2 < head["block_header"]["raw_data"]["number"] + 1


async def test_one_of_another_chain_is_outvoted_from_the_genesis_block_on(
    town: Any, log: EventLog, node: NodeClient, proxy: Any
) -> None:
    def stranger(path: str, body: Any, answer: Any) -> Any:
        if path.endswith("getblockbylimitnext") and body["startNum"] == 0:
            header = answer["block"][0]["block_header"]["raw_data"]
            header["timestamp"] = 1
            answer["block"][0]["blockID"] = header_id(header)
        return answer

    proxy.bend = stranger
    last = (await node.solid_head()).number
    async with ingesting(log, town, one=proxy.url) as (subject, nodes):
        await nodes.ask(lambda client: client.head())  # whoever asks first believes the first
        async with running(subject):
            await eventually(lambda: reached(subject, last))
        one = nodes.states()[0]
    assert await last_hashes(log, node)
    assert "outvoted by at least 2 of 3 on the genesis block" in (one.why or "")


async def test_without_a_majority_nothing_is_recorded_and_the_reason_names_each_one(
    town: Any, log: EventLog, node: NodeClient, faces: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "FIRST_REST_SECONDS", ((NodeError, 0.05),))  # all are asked again soon
    await faces("one", FORK)
    await faces("two", A_LOG_LESS)
    last = (await node.solid_head()).number
    async with ingesting(log, town) as (subject, _), running(subject):

        async def stalls() -> bool:
            return subject.stalled_seconds() > 0

        await eventually(stalls)
        with pytest.raises(RuntimeError, match=r"no majority agrees on blocks .*one: .*two: .*three: "):
            await subject.check().probe()
        assert await last_hashes(log, node)
        async with httpx.AsyncClient(timeout=120) as client:
            (await client.delete(f"{town.url}/devnet/faults")).raise_for_status()
        await eventually(lambda: reached(subject, last))
    assert await recorded(log) == await logged(node, town, last)


async def test_one_that_is_away_keeps_nobody_waiting_and_two_do(
    town: Any, log: EventLog, node: NodeClient, faces: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "FIRST_REST_SECONDS", ((NodeError, 0.05),))
    await faces("two", {"kind": "reset"})
    last = (await node.solid_head()).number
    async with ingesting(log, town) as (subject, _), running(subject):
        await eventually(lambda: reached(subject, last))
        await faces("three", {"kind": "reset"})
        town.mine(3)

        async def stalls() -> bool:
            return subject.stalled_seconds() > 0

        await eventually(stalls)
        with pytest.raises(RuntimeError, match=r"no majority agrees on .*two: .*three: "):
            await subject.check().probe()
        assert (await subject.cursor()).next == last + 1
        async with httpx.AsyncClient(timeout=120) as client:
            (await client.delete(f"{town.url}/devnet/faults")).raise_for_status()
        await eventually(lambda: reached(subject, last + 3))


def test_a_majority_needs_three_nodes() -> None:
    two = json.dumps([{"name": name, "url": "http://x"} for name in NAMES[:2]])
    with pytest.raises(ValidationError, match="confirm: expected at least three nodes for a majority, got 2"):
        ChainSettings(nodes=two, confirm="majority")

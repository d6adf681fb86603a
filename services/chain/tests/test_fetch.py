from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from chain_lies import BLOCKS, INFOS, made_up
from echo import FEE_LIMIT
from prometheus_client import REGISTRY
from pydantic import ValidationError

from chain import confirm, fetch, ingest
from chain.confirm import ConfirmedFetcher, fetcher
from chain.domain import ZERO
from chain.fetch import Fetcher, Heights
from chain.ingest import Ingester
from chain.settings import ChainSettings
from contracts.testing import address
from eventlog import EventLog
from messaging.testing import eventually, running
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.errors import NodeDisagrees, NodeError, NodeLied, NodeUnavailable
from tron.model import Block, logs_of
from tron.providers import Nodes, Provider
from tron.sender import Sender


async def test_blocks_come_in_order_however_their_answers_arrive(town: Any, proxy: Any, node: NodeClient) -> None:
    expected = await node.blocks(0, (await node.solid_head()).number)
    proxy.delay = 0.01
    async with Nodes([Provider("node", proxy.url)]) as slow:
        found = [block async for block, _, _ in Fetcher(slow).blocks(0, expected[-1].number)]
    assert found == expected


@pytest.mark.parametrize("honest", [False, True], ids=["alone", "beside an honest node"])
async def test_a_block_that_the_next_one_does_not_follow_is_never_handed_out_and_held_against_who_told_it(
    town: Any, proxy: Any, node: NodeClient, honest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node ends the first range with a block of its own making, empty, which is right by itself."""
    expected = await node.blocks(0, (await node.solid_head()).number)
    proxy.bend = its_own_last(1, 11)
    monkeypatch.setattr(fetch, "RETRY", replace(fetch.RETRY, first=0.01))
    blamed: list[tuple[str, NodeError]] = []
    others = [Provider("honest", town.url)] if honest else []
    async with Nodes([Provider("liar", proxy.url), *others], observe=lambda *what: blamed.append(what)) as nodes:
        found = [block async for block, _, _ in Fetcher(nodes).blocks(1, expected[-1].number)]
    assert found == expected[1:]
    assert {name for name, error in blamed if error} == {"liar"}


async def test_a_block_that_a_range_by_the_index_does_not_follow_is_never_handed_out(
    town: Any, proxy: Any, node: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most blocks are left out there; the first of a range says whether the last of the one before is a chain's."""
    addresses, payment = [town.at.token], DCMXToken(town.at.token).transfer(town.keys[1].address, 1)
    for silent in (12, 20):
        await Sender(node).send(payment, town.keys[0], FEE_LIMIT)
        town.mine(1 + silent)
    expected = await node.blocks(0, (await node.solid_head()).number)
    logged = {block.number for block in expected if logs_of(block, await node.infos_of(block), addresses)}
    first, second = sorted(logged)[-2:]
    assert second == first + 13  # so the index is proven in either range, of which most is left out
    proxy.bend = its_own_last(first + 9, first + 10)
    monkeypatch.setattr(fetch, "RETRY", replace(fetch.RETRY, attempts=2))
    found: list[Block] = []

    async def read() -> None:
        async for block, _, _ in Fetcher(nodes, "alone").blocks(first, expected[-1].number, addresses):
            found.append(block)

    async with Nodes([Provider("node", proxy.url)]) as nodes:
        with pytest.raises(NodeDisagrees, match=f"block {first + 10} has the parent"):
            await read()
    assert found == [expected[first]]


def its_own_last(start: int, end: int) -> Callable[[str, Any, Any], Any]:
    """Asked for these blocks, a node ends them with one of its own making."""

    def bend(path: str, body: Any, answer: Any) -> Any:
        if path == BLOCKS and (body["startNum"], body["endNum"]) == (start, end):
            assert made_up(answer["block"][-1])
        return answer

    return bend


async def test_heights_are_asked_once_a_second_and_a_failure_is_remembered_too(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    now = 100.0
    monkeypatch.setattr(fetch, "monotonic", lambda: now)

    def count(path: str, body: Any, answer: Any) -> Any:
        asked.append(path)
        return (500, "down") if len(asked) > 2 else answer

    async with Nodes([Provider("node", proxy.url)]) as nodes:
        await nodes.ask(lambda node: node.chain_id())  # it is admitted
        proxy.bend = count
        heights = Heights(nodes)
        assert len({await heights.now() for _ in range(5)}) == 1
        assert len(asked) == 2
        now += 1
        with pytest.raises(NodeUnavailable):
            await heights.now()
        failed_after = len(asked)  # the failure of one question takes back the other, which may not have been sent
        for _ in range(2):
            with pytest.raises(NodeUnavailable):
                await heights.now()
        assert len(asked) == failed_after


# ---- a second source ------------------------------------------------------------------------------------------------


def two_of(url: str) -> list[Provider]:
    return [Provider("one", f"{url}/face/one"), Provider("two", f"{url}/face/two", priority=2)]


A_LOG_LESS = {"kind": "lie", "form": "a-log-less", "paths": [INFOS]}

Fail = Callable[[str, dict[str, Any]], Awaitable[None]]


async def recorded(log: EventLog) -> int:
    sql = "SELECT count(*) FROM events WHERE type IN ('ContractEvent', 'UndecodedLog')"
    return int(await log.pool.fetchval(sql))


@asynccontextmanager
async def confirming(town: Any, log: EventLog) -> AsyncIterator[Ingester]:
    """An ingester that records what a second source confirms."""
    settings = ChainSettings(
        nodes=json.dumps([{"name": one.name, "url": one.url, "priority": one.priority} for one in two_of(town.url)]),
        contracts=json.dumps(town.contracts),
        confirm="second",
    )
    async with Nodes(settings.providers) as nodes:
        yield Ingester(log, fetcher(settings, nodes, log), town.contracts, poll_seconds=0.05)


async def reached(subject: Ingester, block: int) -> bool:
    return (await subject.cursor()).next > block


async def test_a_receipt_that_lacks_a_log_is_not_recorded_where_a_second_source_must_agree(
    town: Any, log: EventLog, node: NodeClient, faces: Fail
) -> None:
    await faces("one", A_LOG_LESS)
    last = (await node.solid_head()).number
    async with confirming(town, log) as subject, running(subject):
        await eventually(lambda: reached(subject, last))
    async with httpx.AsyncClient(timeout=120) as client:
        (fault,) = (await client.get(f"{town.url}/devnet/faults")).json()
    assert fault["struck"]
    assert await recorded(log) == len(await node.rpc.logs(0, last, list(town.contracts.values())))


async def test_what_no_two_sources_agree_on_is_not_passed(town: Any, faces: Fail) -> None:
    await faces("*", A_LOG_LESS)
    async with Nodes(two_of(town.url)) as nodes:

        async def watched() -> list[str]:
            return list(town.contracts.values())

        handed_out: list[int] = []

        async def read() -> None:
            async for block, receipts, _ in ConfirmedFetcher(nodes, watched, "never").blocks(0, 60):
                assert not logs_of(block, receipts, set(town.contracts.values()))
                handed_out.append(block.number)

        with pytest.raises(NodeLied, match=r"the receipts tell \d+ logs, its index \d+"):
            await read()
    assert handed_out == list(range(len(handed_out)))


async def test_while_no_two_sources_agree_the_service_is_not_ready_and_says_why_and_for_how_long(
    town: Any, log: EventLog, node: NodeClient, faces: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RETRY", replace(fetch.RETRY, attempts=1))
    monkeypatch.setattr(ingest, "STALLED_SECONDS", 0.0)
    await faces("*", A_LOG_LESS)
    last = (await node.solid_head()).number
    async with confirming(town, log) as subject, running(subject):
        probe = subject.check().probe

        async def stalls() -> bool:
            return subject.stalled_seconds() > 0

        await eventually(stalls)
        with pytest.raises(
            RuntimeError, match=r"no block could be recorded for \d+ s: .* no two sources agree on blocks"
        ):
            await probe()
        assert REGISTRY.get_sample_value("annals_chain_stalled_seconds")
        async with httpx.AsyncClient(timeout=120) as client:
            (await client.delete(f"{town.url}/devnet/faults")).raise_for_status()
        await eventually(lambda: reached(subject, last))
        assert re.fullmatch(r"the last block is \d+ s old", await probe())
        assert (REGISTRY.get_sample_value("annals_chain_lag_seconds") or 0) > 0  # of a chain that stands still
    assert (subject.stalled_seconds(), subject.lag_seconds()) == (0, 0)


async def test_without_a_second_source_the_reason_says_that_it_is_waited_for(
    town: Any, log: EventLog, faces: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "RETRY", replace(fetch.RETRY, attempts=1))
    monkeypatch.setattr(ingest, "STALLED_SECONDS", 0.0)
    await faces("two", {"kind": "reset"})
    async with confirming(town, log) as subject, running(subject):

        async def stalls() -> bool:
            return subject.stalled_seconds() > 0

        await eventually(stalls)
        with pytest.raises(RuntimeError, match=r"blocks 0 to \d+ wait for a second source"):
            await subject.check().probe()


async def test_more_logs_than_an_index_lists_are_confirmed_by_the_receipts_of_two(
    town: Any, log: EventLog, node: NodeClient, faces: Fail
) -> None:
    await faces("*", {"kind": "log-limit", "results": 1})
    await faces("one", {**A_LOG_LESS, "count": 3})
    last = (await node.solid_head()).number
    expected = 0
    for number in range(last + 1):
        expected += len(logs_of(*await node.block_with_infos(number), set(town.contracts.values())))
    async with confirming(town, log) as subject, running(subject):
        await eventually(lambda: reached(subject, last))
    assert await recorded(log) == expected


def test_a_second_source_needs_a_second_node() -> None:
    with pytest.raises(ValidationError, match="confirm: expected several nodes"):
        ChainSettings(confirm="second")


# ---- settings -------------------------------------------------------------------------------------------------------


def test_contracts_are_given_as_json_or_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ChainSettings().watched == {}
    file = tmp_path / "contracts.json"
    file.write_text(json.dumps({"music-nft": address(1), "dcmx-token": address(2)}))
    monkeypatch.setenv("CHAIN_CONTRACTS", str(file))
    assert ChainSettings().watched == {"dcmx-token": address(2), "music-nft": address(1)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected JSON or the path"),
        ("/nowhere.json", "expected JSON or the path"),
        ('{"music-nft": 5}', "an object of names and addresses"),
        (f'{{"kitties": "{ZERO}"}}', "unknown kitties"),
        ('{"music-nft": "T123"}', "contracts.music-nft: not a TRON address"),
        (f'{{"music-nft": "{ZERO}", "dcmx-token": "{ZERO}"}}', "a different address for each"),
    ],
)
def test_wrong_contracts_are_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ChainSettings(contracts=text)

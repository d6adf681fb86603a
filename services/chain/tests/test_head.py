"""The head of a real devnet as it is told: followed, reorganised, killed, behind balancers that disagree."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from chain.domain import WATCH, ContractsWatched
from chain.domain.watch import AbiRegistered
from chain.fetch import Fetcher
from chain.head import HeadFollower, HeadLog, install_sql
from chain.head.branch import MOST_BLOCKS
from chain.ingest import Ingester
from chain.publish import HEAD, publish_head
from contracts.head import BlockAdded, BlockRetracted
from eventlog import EventLog, NewEvent
from messaging import Relay, cloudevents
from messaging.testing import delete_topics, eventually, read_all, running
from service.testing import fails
from tron.providers import Nodes, Provider

sys.path.append(str(Path(__file__).parent))  # for chain_bank and head_stage

from chain_bank import listening
from head_stage import Stage, caught_up, entries, nursery, replayed, retracted, told

pytestmark = pytest.mark.endurance
NOW = "/wallet/getnowblock"


@pytest.fixture
async def log(tables: asyncpg.Pool, log: EventLog) -> EventLog:
    await tables.execute(install_sql())
    return log


@pytest.fixture
async def nodes(stage: Stage) -> AsyncIterator[Nodes]:
    async with Nodes([Provider("node", stage.url)]) as nodes:
        yield nodes


def follower(log: EventLog, nodes: Nodes, stage: Stage, kafka: str = "") -> HeadFollower:
    return HeadFollower(HeadLog(log), log, nodes, kafka, stage.contracts, poll_seconds=0.02)


# ---- following ----------------------------------------------------------------------------------------------------


async def test_an_empty_head_log_begins_at_the_newest_block_and_tells_each_one_after_it(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    begun, _ = await stage.newest()
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
        await stage.mine(1)  # empty
        await caught_up(log.pool, stage)
        await stage.pay(3)
        await stage.control("time", advance=9)  # slots that nobody filled
        await stage.mine(1)
        await caught_up(log.pool, stage)
    messages = await entries(log.pool)
    assert [message.number for message in messages] == [begun, begun + 1, begun + 2]
    assert [len(message.events) for message in messages if isinstance(message, BlockAdded)] == [0, 0, 3]
    last = messages[-1]
    assert isinstance(last, BlockAdded)
    assert (last.transactions, last.solidified, last.parts) == (3, begun + 2 - 20, 1)
    assert [event.stream for event in last.events] == [f"dcmx-token/account/{stage.keys[0].address}"] * 3
    assert [event.message().type for event in last.events] == ["chain.dcmx-token.Transfer.v1"] * 3
    assert [(event.message().source.block_hash, event.data["value"]) for event in last.events] == [(last.hash, "7")] * 3  # type: ignore[attr-defined]


TRANSFER = {
    "type": "event",
    "name": "Transfer",
    "inputs": [
        {"name": "from", "type": "address", "indexed": True},
        {"name": "to", "type": "address", "indexed": True},
        {"name": "value", "type": "uint256", "indexed": False},
    ],
}


async def test_a_contract_that_is_added_while_it_runs_is_told_by_the_abi_it_came_with(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    coin, now = stage.contracts["dcmx-token"], datetime.now(UTC)
    async with running(HeadFollower(HeadLog(log), log, nodes, "", {}, poll_seconds=0.02)):
        await caught_up(log.pool, stage)
        for asked in (AbiRegistered("coin", coin, [TRANSFER], 0, None), ContractsWatched({"coin": coin}, "all", 0)):
            await stage.pay(1)
            await stage.mine(1)
            await caught_up(log.pool, stage)
            await log.append([NewEvent(WATCH, asked, now)])
        await stage.pay(1)
        await stage.mine(1)
        await caught_up(log.pool, stage)
    *before, last = [message for message in await entries(log.pool) if isinstance(message, BlockAdded)]
    assert [message.events for message in before] == [()] * 3
    assert [(event.type, event.stream) for event in last.events] == [("chain.events.EventLogged.v1", "coin/events")]
    assert last.events[0].data["args"]["value"] == "7"


async def test_many_blocks_since_the_last_look_are_all_told_in_steps(log: EventLog, nodes: Nodes, stage: Stage) -> None:
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
    await stage.mine(2 * MOST_BLOCKS + 30)
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
    assert len(await entries(log.pool)) == 2 * MOST_BLOCKS + 31


# ---- reorganisations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3, 17])
async def test_a_reorganisation_takes_blocks_back_newest_first_and_tells_the_others(
    log: EventLog, nodes: Nodes, stage: Stage, depth: int
) -> None:
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
        await stage.pay(2)
        await stage.mine(depth)
        await caught_up(log.pool, stage)
        head, _ = await stage.newest()
        await stage.control("reorg", depth=depth)
        await caught_up(log.pool, stage)
    assert await retracted(log.pool) == list(range(head, head - depth, -1))
    standing = replayed(await entries(log.pool)).blocks
    events = [(part.hash, event.data["source"]["log_index"]) for b in standing for part in b for event in part.events]
    assert events == [(parts[0].hash, index) for parts in standing if parts[0].events for index in (0, 1)]
    assert events == await stage.events(standing[0][0].number)
    assert len(events) == 2


async def test_a_reorganisation_while_nobody_looked_is_taken_back_first(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
        await stage.mine(5)
        await caught_up(log.pool, stage)
    before = len(await entries(log.pool))
    await stage.control("reorg", depth=4)
    await stage.mine(MOST_BLOCKS + 3)  # so many that those of then are solidified now
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
    after = (await entries(log.pool))[before:]
    assert [type(message) for message in after[:5]] == [BlockRetracted] * 4 + [BlockAdded]


async def test_a_reorganisation_below_the_first_block_told_takes_all_of_them_back(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
        await stage.mine(1)
        await caught_up(log.pool, stage)
        await stage.control("reorg", depth=9)
        await caught_up(log.pool, stage)
    assert len(await retracted(log.pool)) == 2


async def test_solidified_blocks_are_never_taken_back_and_a_person_is_called(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    subject = follower(log, nodes, stage)
    async with running(subject):
        await caught_up(log.pool, stage)
        await stage.mine(30)
        await caught_up(log.pool, stage)
        before = await entries(log.pool)
        assert (await subject.check().probe()).startswith("told up to block")
        await stage.control("reorg", depth=25, force=True)

        await eventually(lambda: fails(subject.check(), "was solidified"))
    assert await entries(log.pool) == before


async def test_what_is_not_solidified_is_on_the_head_only_and_in_the_log_once_it_is(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    sql = "SELECT count(*) FROM events WHERE type = 'ContractEvent' AND (data->'source'->>'block_number')::int > $1"
    ingester = Ingester(log, Fetcher(nodes), stage.contracts, poll_seconds=0.02)
    begun, _ = await stage.newest()
    async with running(follower(log, nodes, stage), ingester):
        await caught_up(log.pool, stage)
        await stage.pay(3)
        await stage.mine(20)  # one less than it takes
        await caught_up(log.pool, stage)

        async def read_to(block: int) -> bool:
            cursor = await log.last("cursor")
            return cursor is not None and cursor.event.last >= block

        await eventually(lambda: read_to(begun))
        assert sum(len(one.events) for one in await entries(log.pool) if isinstance(one, BlockAdded)) == 3
        assert await log.pool.fetchval(sql, begun) == 0
        await stage.mine(1)
        await eventually(lambda: read_to(begun + 1))
        assert await log.pool.fetchval(sql, begun) == 3


# ---- nodes that disagree ------------------------------------------------------------------------------------------


@asynccontextmanager
async def balanced(stage: Stage) -> AsyncIterator[str]:
    """The address of a balancer that sends every second look, which `getnowblock` begins, to the face `odd`."""
    looks = 0

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        nonlocal looks
        looks += scope["path"] == NOW
        question = (await receive())["body"]
        answer = await client.post(f"{stage.url}{'' if looks % 2 else '/face/odd'}{scope['path']}", content=question)
        await send({"type": "http.response.start", "status": answer.status_code, "headers": []})
        await send({"type": "http.response.body", "body": answer.content})

    async with httpx.AsyncClient(timeout=120) as client, listening(forward) as url:
        yield url
    assert looks > 6


@pytest.mark.parametrize("fault", [{"kind": "lag", "blocks": 3}, {"kind": "fork", "blocks": 3}], ids=["lags", "forked"])
async def test_nodes_behind_a_balancer_that_disagree_cause_no_retraction(
    log: EventLog, stage: Stage, fault: dict[str, Any]
) -> None:
    await stage.control("faults", face="odd", **fault)
    async with (
        balanced(stage) as url,
        Nodes([Provider("balancer", url)]) as nodes,
        running(follower(log, nodes, stage)),
    ):
        await caught_up(log.pool, stage)
        for _ in range(3):
            await stage.mine(1)
            await caught_up(log.pool, stage)
    assert await retracted(log.pool) == []


async def test_a_second_node_that_goes_on_with_our_chain_is_believed_rather_than_a_branch(
    log: EventLog, nodes: Nodes, stage: Stage
) -> None:
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
    await stage.control("faults", kind="fork", blocks=5, face="odd")
    two = [Provider("forked", f"{stage.url}/face/odd"), Provider("true", stage.url, priority=2)]
    async with Nodes(two) as both, running(follower(log, both, stage)):
        for _ in range(3):
            await stage.mine(1)
            await caught_up(log.pool, stage)
    assert await retracted(log.pool) == []


async def test_a_node_that_falls_behind_is_left_for_another(log: EventLog, nodes: Nodes, stage: Stage) -> None:
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
    await stage.mine(4)
    await stage.control("faults", kind="lag", blocks=9, face="odd")
    two = [Provider("late", f"{stage.url}/face/odd"), Provider("true", stage.url, priority=2)]
    async with Nodes(two) as both, running(follower(log, both, stage)):
        await caught_up(log.pool, stage)
        assert "NodeBehind" in str(both.states()[0].why)
    assert await retracted(log.pool) == []


async def test_a_node_that_stands_still_is_left_for_one_that_goes_on(
    log: EventLog, nodes: Nodes, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.head.follow.SILENT_SECONDS", 0.2)
    async with running(follower(log, nodes, stage)):
        await caught_up(log.pool, stage)
    await stage.control("faults", kind="lag", face="odd")  # stuck at what is told already
    two = [Provider("stuck", f"{stage.url}/face/odd"), Provider("true", stage.url, priority=2)]
    await stage.mine(2)
    async with Nodes(two) as both, running(follower(log, both, stage)):
        await caught_up(log.pool, stage)


async def test_a_node_that_gives_no_answer_makes_the_service_unready_with_the_reason(
    log: EventLog, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.head.follow.SILENT_SECONDS", 0.2)
    async with Nodes([Provider("nobody", "http://127.0.0.1:9")]) as nobody:
        subject = follower(log, nobody, stage)
        assert await subject.check().probe() == "stands by"
        async with running(subject):
            await eventually(lambda: fails(subject.check(), r"127\.0\.0\.1:9"))


# ---- crashes and rivals -------------------------------------------------------------------------------------------


async def test_followers_that_ignore_the_lock_tell_everything_once(log: EventLog, nodes: Nodes, stage: Stage) -> None:
    rivals = [asyncio.create_task(follower(log, nodes, stage).follow()) for _ in range(3)]
    await caught_up(log.pool, stage)
    for depth in (2, 0, 5, 1):
        await stage.mine(2)
        if depth:
            await stage.control("reorg", depth=depth)
        await caught_up(log.pool, stage)
    for rival in rivals:
        rival.cancel()
    ends = await asyncio.gather(*rivals, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


async def test_kills_at_random_moments_while_the_chain_reorganises_lose_and_double_nothing(
    log: EventLog, stage: Stage, database: str, kafka: str
) -> None:
    await delete_topics(kafka)
    choice = random.Random(11)
    await stage.control("block-time", seconds=0.1)

    async def grown_beyond(position: int) -> bool:
        return bool(await log.pool.fetchval("SELECT coalesce(max(position), 0) > $1 FROM head_entries", position))

    async def all_told() -> bool:
        records = await read_all(kafka, HEAD.name)
        return len(records) == len(await entries(log.pool)) and await told(log.pool) == await stage.hashes(first)

    async with nursery(database, kafka, stage.url, *map("=".join, stage.contracts.items())) as processes:
        for kills_left in (3, 2, 1, 0):
            position = await log.pool.fetchval("SELECT coalesce(max(position), 0) FROM head_entries")
            async with processes.one():
                await eventually(lambda position=position: grown_beyond(position))  # type: ignore[misc]
                await stage.pay(2)
                await stage.control("reorg", depth=choice.randint(1, 17), transactions=choice.choice(["keep", "drop"]))
                if not kills_left:  # what is taken back for certain, and perhaps not all of it before the end
                    await stage.control("block-time", seconds=None)
                    await caught_up(log.pool, stage)
                    await stage.control("reorg", depth=17)
                await asyncio.sleep(choice.uniform(0, 0.2))
        first = (await entries(log.pool))[0].number
        async with processes.one():
            await eventually(all_told)
    received = [cloudevents.decode(record) for record in await read_all(kafka, HEAD.name)]
    assert [one.position for one in received] == list(range(1, len(received) + 1))
    assert len({one.id for one in received}) == len(received)
    standing = replayed([one.message for one in received]).blocks  # type: ignore[misc]
    assert [parts[0].hash for parts in standing] == await stage.hashes(first)
    events = [(part.hash, event.data["source"]["log_index"]) for b in standing for part in b for event in part.events]
    assert events == await stage.events(first)
    assert len(await retracted(log.pool)) >= 17


async def test_old_entries_are_deleted_once_they_are_published_and_solidified(
    log: EventLog, nodes: Nodes, stage: Stage, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.head.log.KEPT_ENTRIES", 5)
    monkeypatch.setattr("chain.head.follow.FORGET_EVERY_SECONDS", 0.05)
    await delete_topics(kafka)
    head = HeadLog(log)
    relay = Relay(head, head, kafka, HEAD.name, publish_head, publishes=[HEAD], copy=False, seals=False)
    subject = follower(log, nodes, stage, kafka)

    async def kept() -> int:
        return int(await log.pool.fetchval("SELECT count(*) FROM head_entries"))

    async def only_what_may_change() -> bool:
        return await kept() == 20

    async with running(subject):  # nothing is published, the topics are not even there
        await caught_up(log.pool, stage)
        await stage.mine(30)
        await caught_up(log.pool, stage)
        solidified = (await head.told()).window.solidified
        assert await head.forget(31, solidified) == 0  # they are of today
        await log.pool.execute("UPDATE head_entries SET recorded_at = recorded_at - interval '8 days'")
        assert await head.forget(4, solidified) == 3
        assert await kept() == 28
        async with running(relay):
            await eventually(only_what_may_change)
            assert (await entries(log.pool))[0].number == solidified + 1
            await stage.mine(2)
            await caught_up(log.pool, stage)

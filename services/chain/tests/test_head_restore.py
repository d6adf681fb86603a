"""A database is restored to an earlier state: readers of `chain.head` never notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import asyncpg
import pytest
from head_stage import Stage, caught_up, entries, replayed

from chain.domain import EVENTS
from chain.head import HeadFollower, HeadLog, install_sql, read_back
from chain.head.branch import Window
from chain.head.log import Entry, HeadMoved, Told
from chain.publish import HEAD, publish_head
from contracts.head import BlockAdded, BlockRetracted
from eventlog import EventLog, EventTypes
from eventlog import install_sql as events_sql
from local_stack.testing import Backup
from messaging import LogBehindTopics, Relay, cloudevents
from messaging.testing import delete_topics, eventually, read_all, running
from tron.providers import Nodes, Provider

pytestmark = pytest.mark.endurance


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[EventLog]:
    async with asyncpg.create_pool(url, min_size=1, max_size=6) as pool:
        yield EventLog(pool, EventTypes(EVENTS))


def workers(log: EventLog, nodes: Nodes, stage: Stage, kafka: str) -> tuple[HeadFollower, Relay]:
    head = HeadLog(log)
    catch_up = partial(read_back, head, kafka, HEAD.name)
    relay = Relay(
        head, head, kafka, HEAD.name, publish_head, publishes=[HEAD], copy=False, seals=False, catch_up=catch_up
    )
    return HeadFollower(head, log, nodes, kafka, stage.contracts, poll_seconds=0.02), relay


async def published(kafka: str, log: EventLog, stage: Stage) -> None:
    """Waits until the topic has what the log has, and the node's newest block; holds all three against each other."""
    newest = await stage.newest()

    async def there() -> bool:
        last = await log.pool.fetchrow("SELECT position, number, hash FROM head_entries ORDER BY position DESC LIMIT 1")
        if last is None or tuple(last)[1:] != newest:
            return False
        records = await read_all(kafka, HEAD.name)
        return bool(records) and cloudevents.decode(records[-1]).position == last["position"]

    await eventually(there)
    received = [cloudevents.decode(record) for record in await read_all(kafka, HEAD.name)]
    assert [one.position for one in received] == list(range(1, len(received) + 1))
    messages = [one.message for one in received]
    assert messages == await entries(log.pool)
    standing = [parts[0] for parts in replayed(messages).blocks]  # type: ignore[arg-type]
    assert [block.hash for block in standing] == await stage.hashes(standing[0].number)
    ids = await log.pool.fetch("SELECT event_id::text FROM head_entries ORDER BY position")
    assert [one.id for one in received] == [row[0] for row in ids]


async def begins_with(log: EventLog, lost: list[BlockAdded | BlockRetracted]) -> bool:
    return (await entries(log.pool))[: len(lost)] == lost


@pytest.fixture
async def nodes(stage: Stage) -> AsyncIterator[Nodes]:
    async with Nodes([Provider("node", stage.url)]) as nodes:
        yield nodes


async def test_a_restored_head_log_is_read_back_from_its_topic_and_readers_end_with_the_chain(
    database: str, backup: Backup, kafka: str, nodes: Nodes, stage: Stage
) -> None:
    await delete_topics(kafka)
    async with opened(database) as log:
        await log.pool.execute(events_sql())
        await log.pool.execute(install_sql())
        async with running(*workers(log, nodes, stage, kafka)):
            await stage.mine(3)
            await published(kafka, log, stage)
    restored = await backup(database)
    async with opened(database) as log, running(*workers(log, nodes, stage, kafka)):
        for depth in (2, 5):
            await stage.pay(2)
            await stage.mine(4)
            await published(kafka, log, stage)
            await stage.control("reorg", depth=depth)
            await published(kafka, log, stage)
        lost = await entries(log.pool)
    await stage.control("reorg", depth=3)  # while nothing runs

    async with opened(restored) as log:
        follower, relay = workers(log, nodes, stage, kafka)
        async with running(follower):
            await stage.mine(30)  # told by the restored service alone: its log is the longer one now
            await caught_up(log.pool, stage)
            assert len(await entries(log.pool)) > len(lost)
            async with running(relay):
                await eventually(lambda: begins_with(log, lost))
                await stage.mine(1)  # with which the follower finds that the log has moved
                await published(kafka, log, stage)
                await stage.pay(1)
                await stage.control("reorg", depth=4)
                await published(kafka, log, stage)
        found = await entries(log.pool)
    assert found[: len(lost)] == lost
    assert sum(isinstance(entry, BlockRetracted) for entry in found) == 2 + 5 + 3 + 4


async def test_a_head_log_whose_topic_has_expired_as_well_stops_the_relay(
    tables: asyncpg.Pool, log: EventLog, nodes: Nodes, stage: Stage, kafka: str
) -> None:
    await delete_topics(kafka)
    await tables.execute(install_sql())
    follower, relay = workers(log, nodes, stage, kafka)
    async with running(follower, relay):
        await published(kafka, log, stage)
    await tables.execute("DELETE FROM head_entries")
    await delete_topics(kafka, HEAD.name)
    with pytest.raises(LogBehindTopics, match=r"topic chain\.head, found nothing there: it has expired"):
        await relay.run()


async def test_an_append_behind_another_entry_than_the_last_is_refused_though_its_position_is_right(
    tables: asyncpg.Pool, log: EventLog
) -> None:
    await tables.execute(install_sql())
    head, nothing = HeadLog(log), Window(0, (), -1)
    gone = Entry.of(BlockRetracted(number=7, hash="ab" * 32), datetime.now(UTC))
    first = Told(*await head.append(Told(0, None, nothing), [gone]), nothing)
    for stale in (Told(0, None, nothing), Told(1, uuid4(), nothing), Told(1, None, nothing), Told(2, uuid4(), nothing)):
        with pytest.raises(HeadMoved, match="to be the last"):
            await head.append(stale, [gone])
    assert (await head.append(first, [gone]))[0] == 2

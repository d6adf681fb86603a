"""Knowing that something was not told: all that a topic holds has been handled."""

from __future__ import annotations

import asyncpg

from eventlog import EventLog, Watermark
from messaging import Consumer, Relay, TopicSpec
from messaging.progress import read_progress
from messaging.taken_in import put_aside, taken_in
from messaging.testing import count, eventually, headers, note, publish_to, running, send_raw


async def test_a_group_has_taken_in_a_topic_once_it_has_handled_or_put_aside_all_it_holds(
    log: EventLog, watermark: Watermark, tables: asyncpg.Pool, kafka: str, name: str
) -> None:
    """Transactions leave marks behind the last record, so offsets alone never tell."""
    topic, group = f"{name}.events", f"{name}-readers"

    async def done() -> bool:
        return await taken_in(tables, kafka, group, [topic])

    async def published() -> bool:
        return await read_progress(kafka, f"{name}.relay") is not None

    async def all_there() -> bool:
        return bool(await tables.fetchval("SELECT count(*) = 20 FROM handled"))

    assert not await done(), "a topic that is not there yet tells nothing"
    await count(log, "a", 1, 20)
    relay = Relay(log, watermark, kafka, name, publish_to(topic), publishes=[TopicSpec(topic)], seals=False)
    async with running(watermark, relay):
        await eventually(published)
    assert not await done()
    await send_raw(kafka, topic, b"bad", b"{", headers())
    async with running(Consumer(tables, kafka, group, [topic], note)):
        await eventually(all_there)
        await eventually(done)
    assert await put_aside(tables, group, topic, ["a", "bad"]) == {"bad"}
    await send_raw(kafka, topic, b"a", b'{"number": 21}', headers())
    assert not await done()

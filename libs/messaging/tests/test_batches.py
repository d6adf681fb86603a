"""What a consumer handles together, and what it passes over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from messaging import Consumer, Received, list_parked
from messaging.testing import CountedMessage, eventually, headers, note, running


async def send(producer: AIOKafkaProducer, topic: str, number: int, body: bytes | None = None) -> None:
    value = body or f'{{"number":{number}}}'.encode()
    await producer.send_and_wait(topic, value, f"counter/{number % 7}".encode(), headers=headers())


async def has_handled(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) >= $1 FROM handled", number))


@pytest.mark.parametrize(("takes", "most"), [(0.0, 25), (0.08, 8)], ids=["idle", "busy"])
async def test_messages_that_come_in_a_row_are_handled_together_and_a_lone_one_at_once(
    tables: asyncpg.Pool,
    producer: AIOKafkaProducer,
    kafka: str,
    name: str,
    topic: str,
    takes: float,
    most: int,
) -> None:
    """The fewer batches, the longer each of them takes."""
    batches: list[int] = []

    async def keep(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        batches.append(len(batch))
        await asyncio.sleep(takes)
        await note(batch, connection)

    async with running(Consumer(tables, kafka, name, [topic], keep)):
        await send(producer, topic, 1)
        await eventually(lambda: has_handled(tables, 1))
        for number in range(2, 52):
            await send(producer, topic, number)
            await asyncio.sleep(0.01)
        began = monotonic()
        await eventually(lambda: has_handled(tables, 51))
    assert monotonic() - began < 5
    assert batches[0] == 1
    assert len(batches) < most, batches


async def test_what_is_ignored_is_passed_over_however_it_looks(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, 1)
    await send(producer, topic, 2, b"no JSON at all")

    async def is_past_both() -> bool:
        return bool(await tables.fetchval("SELECT sum(next_offset) = 2 FROM offsets"))

    async with running(Consumer(tables, kafka, name, [topic], note, ignores=[CountedMessage])):
        await eventually(is_past_both)
    assert not await has_handled(tables, 1)
    assert await list_parked(tables) == []

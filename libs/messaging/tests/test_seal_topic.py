"""Seals on their topic: each once, whatever is killed; a log that was sealed anew is found out."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from eventlog import EventLog, Seal, Sealer, Watermark, verify
from eventlog.seals import read_seals
from messaging import LogBehindTopics, LogResealed, Malformed, Relay, TopicSpec, ensure, recover
from messaging.producer import TransactionalProducer
from messaging.seals import SealPublisher, read_published
from messaging.stored import decode
from messaging.testing import count, eventually, publish_to, read_all, readable, running, send_raw
from messaging.topics import seals_topic

Spawn = Callable[..., Any]
ALL = 1_000_000  # a position beyond all


@pytest.fixture
def sealer(tables: asyncpg.Pool, watermark: Watermark) -> Sealer:
    return Sealer(tables, watermark, positions=16, seconds=0)


async def sealed(log: EventLog, sealer: Sealer, first: int, last: int) -> list[Seal]:
    """Appends numbers and seals everything; returns all seals."""
    await count(log, "counter/1", first, last)
    while await sealer.seal(await Watermark(log.pool).measure()):
        pass
    return await read_seals(log.pool)


async def publish(kafka: str, pool: asyncpg.Pool | None, name: str, upto: int = ALL) -> None:
    """What the leader of the relay does: become the only one, hold the table against the topic, publish."""
    await ensure(kafka, [seals_topic(name)])
    producer = TransactionalProducer(kafka, f"{name}.relay")
    try:
        await producer.start()
        publisher = SealPublisher(kafka, pool, name)
        await publisher.start()
        await publisher.publish(producer, upto)
    finally:
        await producer.stop()
    await readable(kafka, f"{name}.relay")


async def superuser(pool: asyncpg.Pool, statement: str) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement)


async def test_each_seal_is_published_once_and_after_its_events_though_sealers_and_relays_are_killed(
    tables: asyncpg.Pool, database: str, log: EventLog, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    random.seed(11)
    feeding = asyncio.create_task(feed(log))
    for _ in range(3):
        process = await spawn("sealing relay", database, kafka, name, topic)
        await asyncio.sleep(random.uniform(0.8, 2.0))
        process.kill()
        await process.wait()
    await feeding
    for _ in range(2):  # and two at once
        await spawn("sealing relay", database, kafka, name, topic)
    await eventually(lambda: all_published(tables, kafka, name))
    seals = await read_seals(tables)
    await asyncio.sleep(1.5)  # time for one too many
    assert await read_published(kafka, name) == seals
    async with tables.acquire() as connection:
        assert (await verify(connection, seals)).problems == []
    copied = [decode(record).position for record in await read_all(kafka, f"{name}.log")]
    assert copied[-1] == seals[-1].last_position


async def feed(log: EventLog) -> None:
    for number in range(0, 600, 20):
        await count(log, "counter/1", number + 1, number + 20)
        await asyncio.sleep(0.1)


async def all_published(pool: asyncpg.Pool, kafka: str, name: str) -> bool:
    found = await read_published(kafka, name)
    return bool(found) and found[-1].last_position == await pool.fetchval("SELECT max(position) FROM events")


async def published(kafka: str, name: str, number: int) -> bool:
    return len(await read_published(kafka, name)) >= number


async def test_a_record_is_a_cloud_event_with_the_seal_as_json(
    log: EventLog, sealer: Sealer, kafka: str, name: str
) -> None:
    [seal] = await sealed(log, sealer, 1, 10)
    await publish(kafka, log.pool, name)
    [record] = await read_all(kafka, f"{name}.seals")
    assert record.key == name.encode()
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": seal.hash.hex().encode(),
        "ce_source": f"/{name}".encode(),
        "ce_type": f"{name}.seals.LogSealed.v1".encode(),
        "ce_subject": name.encode(),
        "ce_time": seal.sealed_at.isoformat().encode(),
        "content-type": b"application/json",
    }
    assert json.loads(record.value) == {
        "number": 1,
        "first_position": 1,
        "last_position": 10,
        "events": 10,
        "root": seal.root.hex(),
        "previous": "00" * 32,
        "sealed_at": seal.sealed_at.isoformat().replace("+00:00", "Z"),
        "hash": seal.hash.hex(),
    }


async def test_no_seal_is_published_before_the_events_it_covers(
    log: EventLog, sealer: Sealer, kafka: str, name: str
) -> None:
    seals = await sealed(log, sealer, 1, 40)
    await publish(kafka, log.pool, name, upto=31)
    assert await read_published(kafka, name) == seals[:1]
    await publish(kafka, log.pool, name, upto=40)
    assert await read_published(kafka, name) == seals


async def test_a_log_sealed_anew_stops_the_relay(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, sealer: Sealer, kafka: str, name: str, topic: str
) -> None:
    original = await sealed(log, sealer, 1, 40)
    relay = Relay(log, watermark, kafka, name, publish_to(topic))
    async with running(watermark, relay):
        await eventually(lambda: published(kafka, name, 3))
    await superuser(tables, "UPDATE events SET data = '{\"number\": 1000}' WHERE position = 7; DELETE FROM seals")
    resealed = await sealed(log, sealer, 41, 80)
    with pytest.raises(
        LogResealed,
        match=f"log of {name}: expected seal 3 with hash {original[2].hash.hex()}, the last one published, found hash "
        f"{resealed[2].hash.hex()}; the log was sealed anew",
    ):
        await relay.run()
    async with tables.acquire() as connection:
        assert (await verify(connection)).ok, "in itself it is consistent"
        found = await verify(connection, await read_published(kafka, name))
    assert [problem.seal for problem in found.problems] == [1, 2, 3]
    assert await read_published(kafka, name) == original


async def test_a_log_sealed_anew_behind_the_last_published_seal_stops_a_relay_that_runs(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, sealer: Sealer, kafka: str, name: str, topic: str
) -> None:
    await sealed(log, sealer, 1, 20)
    relaying = asyncio.create_task(Relay(log, watermark, kafka, name, publish_to(topic)).run())
    watching = asyncio.create_task(watermark.run())
    await eventually(lambda: published(kafka, name, 2))
    await superuser(tables, "UPDATE events SET data = '{\"number\": 1000}' WHERE position = 7; DELETE FROM seals")
    await sealed(log, sealer, 21, 60)
    with pytest.raises(LogResealed, match="found behind it: seal 3: first position: expected 21, found 33"):
        await asyncio.wait_for(relaying, 240)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert len(await read_published(kafka, name)) == 2


async def test_a_log_without_the_last_published_seal_stops_the_relay(
    tables: asyncpg.Pool, log: EventLog, sealer: Sealer, kafka: str, name: str
) -> None:
    await sealed(log, sealer, 1, 20)
    await publish(kafka, tables, name)
    await superuser(tables, "DELETE FROM seals WHERE number = 2")
    with pytest.raises(LogBehindTopics, match=r"expected seal 2 with hash .* found none"):
        await publish(kafka, tables, name)


async def test_a_recovered_log_has_its_published_seals_and_goes_on_sealing(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, sealer: Sealer, kafka: str, name: str, topic: str
) -> None:
    seals = await sealed(log, sealer, 1, 40)
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await eventually(lambda: published(kafka, name, 3))
    await superuser(
        tables,
        """DELETE FROM events WHERE position > 20; UPDATE streams SET version = 20; DELETE FROM seals WHERE number > 1;
           SELECT setval('events_position', 20)""",
    )
    await sealer.seal(20)  # the restored service seals on its own until somebody recovers its log
    assert len(await read_seals(tables)) == 2
    async with tables.acquire() as connection:
        recovered = await recover(connection, kafka, name)
        assert (recovered.events, recovered.seals) == (20, 2)
        assert (await verify(connection, seals)).problems == []
    more = await sealed(log, sealer, 41, 60)
    await publish(kafka, tables, name)
    assert await read_published(kafka, name) == more
    assert more[:3] == seals


async def test_a_record_that_is_no_seal_is_named(kafka: str, name: str) -> None:
    await ensure(kafka, [TopicSpec(f"{name}.seals", partitions=1)])
    await send_raw(kafka, f"{name}.seals", None, b'{"number": "x"}', [])
    with pytest.raises(Malformed, match=rf"{name}\.seals\[0\]@0: expected a seal, found"):
        await read_published(kafka, name)
    with pytest.raises(Malformed, match=rf"{name}\.seals\[0\]@\d+: expected a seal"):
        await publish(kafka, None, name)


async def test_a_service_that_never_published_has_no_seals(kafka: str, name: str) -> None:
    assert await read_published(kafka, name) == []

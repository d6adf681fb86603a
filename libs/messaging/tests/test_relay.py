"""The relay under kills, rivals, fences, restores and events it cannot publish."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from eventlog import EventLog, RecordedEvent, Watermark
from messaging import (
    EventTooLarge,
    LogBehindTopics,
    Publication,
    Relay,
    TopicMismatch,
    TopicSpec,
    audit,
    cloudevents,
    ensure,
)
from messaging.leader import instances
from messaging.producer import Records, TransactionalProducer
from messaging.progress import read_progress
from messaging.stored import decode
from messaging.testing import TYPES, CountedMessage, count, delete_topics, eventually, publish_to, read_all, running

pytestmark = pytest.mark.endurance

Spawn = Callable[..., Any]


def numbers_by_key(records: Sequence[ConsumerRecord[bytes, bytes]]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for record in records:
        received = cloudevents.decode(record)
        assert isinstance(received.message, CountedMessage)
        numbers.setdefault(received.key, []).append(received.message.number)
    return numbers


async def test_a_relay_killed_at_random_moments_loses_and_repeats_nothing(
    tables: asyncpg.Pool, database: str, log: EventLog, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    streams, rounds, batch = 10, 60, 20
    random.seed(7)

    async def feed() -> None:
        for number in range(0, rounds * batch, batch):
            for stream in range(streams):
                await count(log, f"counter/{stream}", number + 1, number + batch)
            await asyncio.sleep(0.1)

    feeding = asyncio.create_task(feed())
    for _ in range(10):
        relay = await spawn("relay", database, kafka, name, topic)
        await asyncio.sleep(random.uniform(0.5, 2.0))
        relay.kill()
        await relay.wait()
    await feeding
    last = await tables.fetchval("SELECT max(position) FROM events")
    await spawn("relay", database, kafka, name, topic)

    async def relayed() -> bool:
        progress = await read_progress(kafka, f"{name}.relay")
        return progress is not None and progress.position == last

    await eventually(relayed)
    expected = {f"counter/{stream}": list(range(1, rounds * batch + 1)) for stream in range(streams)}
    assert numbers_by_key(await read_all(kafka, topic)) == expected
    copied = [decode(record).position for record in await read_all(kafka, f"{name}.log")]
    assert copied == [row["position"] for row in await tables.fetch("SELECT position FROM events ORDER BY position")]


async def test_a_second_relay_stands_by_and_takes_over_within_five_seconds_when_the_first_dies(
    tables: asyncpg.Pool, database: str, log: EventLog, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    await count(log, "counter/1", 1, 10)
    leader = await spawn("relay", database, kafka, name, topic)
    await eventually(lambda: published(kafka, topic, 10))

    async def stands_by() -> bool:
        return bool((await instances(tables, f"relay:{name}")).standing_by)

    took, last = [], 10
    while min(took, default=5.0) >= 5 and len(took) < 3:  # a busy machine may hold up one
        standby = await spawn("relay", database, kafka, name, topic)
        await eventually(stands_by)
        leader.kill()
        died, last = time.monotonic(), last + 10
        await count(log, "counter/1", last - 9, last)
        await eventually(partial(published, kafka, topic, last))
        took.append(time.monotonic() - died)
        leader = standby
    assert min(took) < 5, took
    assert numbers_by_key(await read_all(kafka, topic)) == {"counter/1": list(range(1, last + 1))}


async def test_a_frozen_leader_is_replaced_and_fenced_when_it_wakes(
    tables: asyncpg.Pool, database: str, log: EventLog, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    await count(log, "counter/1", 1, 10)
    first = await spawn("relay", database, kafka, name, topic)
    await eventually(lambda: published(kafka, topic, 10))
    first.send_signal(signal.SIGSTOP)
    second = await spawn("relay", database, kafka, name, topic)
    await count(log, "counter/1", 11, 20)
    await eventually(lambda: published(kafka, topic, 20))
    first.send_signal(signal.SIGCONT)
    await count(log, "counter/1", 21, 30)
    await asyncio.sleep(2)
    second.kill()
    await count(log, "counter/1", 31, 40)
    await eventually(lambda: published(kafka, topic, 40))
    assert numbers_by_key(await read_all(kafka, topic)) == {"counter/1": list(range(1, 41))}


@pytest.mark.parametrize("server", ["PostgreSQL", "Kafka"])
@pytest.mark.parametrize("how", ["silent", "cut"])
async def test_a_leader_that_is_cut_off_is_replaced_and_nothing_is_lost_or_doubled(
    tables: asyncpg.Pool, database: str, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str,
    link: Any, server: str, how: str,
) -> None:  # fmt: skip
    place = urlsplit(database)
    credentials, _, address = place.netloc.rpartition("@")
    async with link(address) as postgres, link(kafka) as broker:
        behind = urlunsplit(place._replace(netloc=f"{credentials}@{postgres.address}"))
        async with asyncpg.create_pool(behind, min_size=0, max_size=5, timeout=3) as far:
            far_watermark = Watermark(far)
            leader = Relay(EventLog(far, TYPES, far_watermark), far_watermark, broker.address, name, publish_to(topic))
            standby = Relay(log, watermark, kafka, name, publish_to(topic))
            leading = asyncio.create_task(leader.run())
            await count(log, "counter/1", 1, 10)
            watching = asyncio.create_task(restarted(far_watermark))
            await eventually(lambda: published(kafka, topic, 10))
            async with running(watermark, standby):
                await asyncio.sleep(1)
                network = postgres if server == "PostgreSQL" else broker
                cut = time.monotonic()
                if how == "cut":
                    network.cut()
                async with network.silence() if how == "silent" else nullcontext():
                    await count(log, "counter/1", 11, 20)
                    await eventually(lambda: published(kafka, topic, 20))
                    print(f"{server} {how}: {time.monotonic() - cut:.1f} s")
                    await count(log, "counter/1", 21, 30)
                    await eventually(lambda: published(kafka, topic, 30))
                await count(log, "counter/1", 31, 40)
                await eventually(lambda: published(kafka, topic, 40))
            await count(log, "counter/1", 41, 50)  # the other one is gone: whoever was cut off leads again
            await eventually(lambda: published(kafka, topic, 50))
            assert not leading.done()
            for task in (leading, watching):
                task.cancel()
            await asyncio.gather(leading, watching, return_exceptions=True)
    assert numbers_by_key(await read_all(kafka, topic)) == {"counter/1": list(range(1, 51))}
    assert all(report.ok for report in await audit(log, watermark, kafka, name, publish_to(topic), [topic]))


async def restarted(watermark: Watermark) -> None:
    """Runs a watermark as a service does: again, when its connection was lost."""
    while True:
        try:
            await watermark.run()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.2)


async def test_a_fenced_relay_steps_down_says_so_in_one_line_and_goes_on_where_the_topics_are(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []  # as texts: whoever keeps the error keeps all that it has touched
    monkeypatch.setattr("messaging.relay.logger.warning", lambda text, *values: said.append(text % values))
    monkeypatch.setattr("messaging.producer.logger.warning", lambda text, *values: said.append(text % values))
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 1, 10)
        await eventually(lambda: published(kafka, topic, 10))
        rival = TransactionalProducer(kafka, f"{name}.relay")  # fences as a zombie's successor would
        await rival.start()
        await rival.stop()
        for stream in range(1, 9):  # a batch for each partition
            await count(log, f"counter/{stream}", 11, 20)
        await eventually(lambda: published(kafka, topic, 90))
    assert numbers_by_key(await read_all(kafka, topic))["counter/1"] == list(range(1, 21))
    gc.collect()  # asyncio speaks of an error that nobody has heard when its future goes
    assert all("steps down" in line for line in said), said
    assert any("ProducerFenced" in line for line in said)


async def test_what_an_aborted_transaction_held_is_neither_read_nor_lost(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 1, 10)
        await eventually(lambda: published(kafka, topic, 10))
    zombie = TransactionalProducer(kafka, f"{name}.relay")
    monkeypatch.setattr(zombie, "commit", partial(asyncio.sleep, 0))
    await zombie.start()
    records = zombie.records()
    await records.add(f"{name}.relay", name.encode(), b'{"position": 99, "log": "?", "event_id": "?"}', [])
    await records.add(topic, b"counter/1", b"{}", [])
    await zombie.send(records)
    await asyncio.gather(*zombie._sent)  # acknowledged by Kafka, never committed
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 11, 20)
        await eventually(lambda: published(kafka, topic, 20))
    await zombie.stop()
    assert numbers_by_key(await read_all(kafka, topic)) == {"counter/1": list(range(1, 21))}


async def test_a_log_restored_to_an_earlier_state_stops_the_relay(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 1, 10)
        await eventually(lambda: published(kafka, topic, 10))
    await restore(tables, upto=6)
    with pytest.raises(LogBehindTopics, match=r"expected event .* at position 10, .* found none"):
        await Relay(log, watermark, kafka, name, publish_to(topic)).run()
    await count(log, "counter/1", 7, 20)  # grown past the position since, with other events
    with pytest.raises(LogBehindTopics, match=r"expected event .* at position 10, .* found [0-9a-f-]{36}"):
        await Relay(log, watermark, kafka, name, publish_to(topic)).run()
    assert len(await read_all(kafka, topic)) == 10


async def test_a_log_with_a_new_identity_and_the_same_events_goes_on(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 1, 10)
        await eventually(lambda: published(kafka, topic, 10))
    before = await log.identity()
    await tables.execute("UPDATE log_identity SET log_id = gen_random_uuid()")
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 11, 20)
        await eventually(lambda: published(kafka, topic, 20))
    received = [cloudevents.decode(record) for record in await read_all(kafka, topic)]
    assert [(r.version, r.log) for r in received] == [
        (number, before if number <= 10 else await log.identity()) for number in range(1, 21)
    ]


async def test_a_relay_whose_progress_was_deleted_goes_on_behind_the_copy(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 1, 10)
        await eventually(lambda: published(kafka, topic, 10))
    await delete_topics(kafka, f"{name}.relay")
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await count(log, "counter/1", 11, 20)
        await eventually(lambda: published(kafka, topic, 20))
    assert numbers_by_key(await read_all(kafka, topic)) == {"counter/1": list(range(1, 21))}


async def test_an_event_that_cannot_be_published_stops_the_relay_and_nothing_of_its_batch_is_seen(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    def refuse(recorded: Any) -> Publication:
        if recorded.event.number == 7:
            raise ValueError("number 7 has no public form")
        return Publication(topic, CountedMessage(number=recorded.event.number))

    await count(log, "counter/1", 1, 10)
    await watermark.measure()
    with pytest.raises(ValueError, match="number 7"):
        await Relay(log, watermark, kafka, name, refuse).run()
    assert await read_all(kafka, topic) == []


async def test_an_event_larger_than_a_topic_takes_is_named(kafka: str, name: str, topic: str) -> None:
    producer = TransactionalProducer(kafka, name)
    await producer.start()
    with pytest.raises(EventTooLarge, match=r"counter/1.* has 3000029 bytes, at most 2097152"):
        await producer.records().add(topic, b"counter/1", b"x" * 3_000_000, [("content-type", b"")])
    await producer.stop()


async def test_events_of_no_interest_are_not_published_but_copied(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    await count(log, "counter/1", 1, 10)
    quiet = Relay(log, watermark, kafka, name, lambda recorded: None)
    async with running(watermark, quiet):
        await eventually(lambda: published(kafka, f"{name}.log", 10))
    assert await read_all(kafka, topic) == []


async def test_a_topic_with_other_partitions_or_settings_is_refused(kafka: str, name: str) -> None:
    await ensure(kafka, [TopicSpec(name, 3)])
    await ensure(kafka, [TopicSpec(name, 3)])
    with pytest.raises(TopicMismatch, match=f"topic {name}: expected 4 partitions, found 3"):
        await ensure(kafka, [TopicSpec(name, 4)])
    with pytest.raises(TopicMismatch, match=rf"topic {name}: expected retention.ms=60000, found -1"):
        await ensure(kafka, [TopicSpec(name, 3, {"retention.ms": "60000"})])


async def test_a_relay_that_cannot_reach_kafka_tries_again_and_stops_when_asked(
    log: EventLog, watermark: Watermark, name: str, topic: str
) -> None:
    relay = asyncio.create_task(Relay(log, watermark, "127.0.0.1:1", name, publish_to(topic)).run())
    await asyncio.sleep(1.5)
    assert not relay.done()
    relay.cancel()
    with pytest.raises(asyncio.CancelledError):
        await relay


async def published(kafka: str, topic: str, number: int) -> bool:
    try:
        return len(await read_all(kafka, topic)) >= number
    except TypeError:  # aiokafka's answer while the topic is not there
        return False


async def restore(pool: asyncpg.Pool, upto: int) -> None:
    """Puts the log back as a restore from a backup would: the superuser may."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("DELETE FROM events WHERE position > $1", upto)
        await connection.execute("UPDATE streams SET version = $1", upto)
        await connection.execute("SELECT setval('events_position', $1)", upto)


async def test_while_a_page_is_sent_the_next_is_made_ready_and_they_are_published_in_order(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    sent, go_on = asyncio.Event(), asyncio.Event()
    send = TransactionalProducer.send

    async def held_up(producer: TransactionalProducer, records: Records) -> None:
        sent.set()
        await go_on.wait()
        await send(producer, records)

    def publish(recorded: RecordedEvent) -> Publication | None:
        made.append(recorded.position)
        return publish_to(topic)(recorded)

    monkeypatch.setattr(TransactionalProducer, "send", held_up)
    await count(log, "counter/1", 1, 300)
    relay = Relay(log, watermark, kafka, name, publish, max_events=100, seals=False)
    async with running(watermark, relay):
        await sent.wait()

        async def next_is_ready() -> bool:
            return len(made) >= 200

        await eventually(next_is_ready)
        await asyncio.sleep(0.1)
        assert sorted(made) == list(range(1, 201)), "one page ahead, no more"
        go_on.set()
        await eventually(lambda: published(kafka, topic, 300))
    assert numbers_by_key(await read_all(kafka, topic)) == {"counter/1": list(range(1, 301))}

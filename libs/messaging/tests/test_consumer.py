"""The consumer under kills, rebalances, fences, lost offsets and servers that go away."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

import messaging
from messaging import Consumer, OffsetLost, Received, TopicRecreated, TopicSpec, Transient, offsets
from messaging.testing import delete_topics, eventually, headers, note, running

Spawn = Callable[..., Any]


async def send(producer: AIOKafkaProducer, topic: str, key: str, first: int, last: int) -> None:
    sent = [
        await producer.send(topic, f'{{"number":{number}}}'.encode(), key.encode(), headers=headers())
        for number in range(first, last + 1)
    ]
    await asyncio.gather(*sent)


async def handled(pool: asyncpg.Pool) -> dict[str, list[int]]:
    rows = await pool.fetch("SELECT key, array_agg(number ORDER BY at) AS numbers FROM handled GROUP BY key")
    return {row["key"]: row["numbers"] for row in rows}


async def has_handled(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) >= $1 FROM handled", number))


@pytest.mark.endurance
async def test_a_consumer_killed_at_random_moments_handles_each_message_once_and_in_order(
    tables: asyncpg.Pool, database: str, producer: AIOKafkaProducer, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    keys, numbers = 10, 1_000
    random.seed(7)
    for key in range(keys):
        await send(producer, topic, f"counter/{key}", 1, numbers)
    for _ in range(4):
        before = await tables.fetchval("SELECT count(*) FROM handled")
        consumer = await spawn("slow consumer", database, kafka, name, topic)
        await eventually(partial(has_handled, tables, before + 1))  # it has joined and works
        await asyncio.sleep(random.uniform(0, 0.6))
        consumer.kill()
        await consumer.wait()
    assert await tables.fetchval("SELECT count(*) FROM handled") < keys * numbers, "killed too late to prove anything"
    await spawn("consumer", database, kafka, name, topic)
    await eventually(lambda: has_handled(tables, keys * numbers))
    assert await handled(tables) == {f"counter/{key}": list(range(1, numbers + 1)) for key in range(keys)}


@pytest.mark.endurance
async def test_three_instances_under_load_handle_each_message_once_and_in_order_whatever_happens_to_them(
    tables: asyncpg.Pool, database: str, producer: AIOKafkaProducer, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    keys, rounds = 12, 90

    async def feed() -> None:
        for number in range(0, rounds * 10, 10):
            for key in range(keys):
                await send(producer, topic, f"counter/{key}", number + 1, number + 10)
            await asyncio.sleep(0.1)

    feeding = asyncio.create_task(feed())
    killed = await spawn("consumer", database, kafka, name, topic)
    paused = await spawn("consumer", database, kafka, name, topic)
    await eventually(lambda: owned_by(tables, 2))
    await spawn("consumer", database, kafka, name, topic)  # joins
    await eventually(lambda: owned_by(tables, 3))
    paused.send_signal(signal.SIGSTOP)
    killed.kill()
    await eventually(lambda: owned_by(tables, 1))  # both sessions, and the transaction of the paused, end
    await asyncio.sleep(1)
    paused.send_signal(signal.SIGCONT)  # with a batch in hand that is another's by now
    await feeding
    await eventually(lambda: has_handled(tables, keys * rounds * 10))
    assert await handled(tables) == {f"counter/{key}": list(range(1, rounds * 10 + 1)) for key in range(keys)}


async def owned_by(pool: asyncpg.Pool, instances: int) -> bool:
    """Whether the four partitions are shared by so many instances."""
    return bool(await pool.fetchval("SELECT count(*) = 4 AND count(DISTINCT owner) = $1 FROM offsets", instances))


async def test_a_new_group_reads_a_growing_topic_from_its_beginning(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    keys, before, after = 10, 300, 200
    for key in range(keys):
        await send(producer, topic, f"counter/{key}", 1, before)

    async def grow() -> None:
        for number in range(before, before + after, 10):
            for key in range(keys):
                await send(producer, topic, f"counter/{key}", number + 1, number + 10)

    growing = asyncio.create_task(grow())
    consumers = [Consumer(tables, kafka, name, [topic], note, max_records=100) for _ in range(2)]
    async with running(*consumers):
        await growing
        await eventually(lambda: has_handled(tables, keys * (before + after)))
    assert await handled(tables) == {f"counter/{key}": list(range(1, before + after + 1)) for key in range(keys)}


async def test_a_slow_database_stops_the_fetching_so_that_memory_stays_bounded(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str, link: Any
) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def slow(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        held.set()
        await go_on.wait()
        await note(batch, connection)

    padding = "x" * 100_000
    numbers = 600  # 60 MB, in four partitions
    for number in range(numbers):
        value = f'{{"number":{number},"padding":"{padding}"}}'.encode()
        await producer.send(topic, value, f"counter/{number}".encode(), headers=headers())
    await producer.flush()
    async with link(kafka) as network, running(Consumer(tables, network.address, name, [topic], slow, max_records=10)):
        await held.wait()
        before = 0

        async def stopped() -> bool:
            nonlocal before
            came, before = network.received - before, network.received
            await asyncio.sleep(1.5)
            return came < 100_000  # heartbeats

        await eventually(stopped)
        assert network.received < 4 * 3_000_000  # of each partition one fetch, and the end of another batch
        go_on.set()
        await eventually(lambda: has_handled(tables, numbers))


async def test_a_frozen_instance_is_replaced_and_fenced_when_it_wakes(
    tables: asyncpg.Pool, database: str, producer: AIOKafkaProducer, kafka: str, name: str, topic: str, spawn: Spawn
) -> None:
    first = await spawn("consumer", database, kafka, name, topic)
    await send(producer, topic, "counter/1", 1, 10)
    await eventually(lambda: has_handled(tables, 10))
    first.send_signal(signal.SIGSTOP)
    await spawn("consumer", database, kafka, name, topic)
    await send(producer, topic, "counter/1", 11, 20)
    await eventually(lambda: has_handled(tables, 20))
    first.send_signal(signal.SIGCONT)
    for number in range(21, 121, 10):
        await send(producer, topic, "counter/1", number, number + 9)
        await asyncio.sleep(0.2)
    await eventually(lambda: has_handled(tables, 120))
    assert await handled(tables) == {"counter/1": list(range(1, 121))}


async def test_an_owner_frozen_in_the_middle_of_a_copy_is_ended_by_whoever_takes_over(
    tables: asyncpg.Pool, kafka: str, name: str, topic: str, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsets, "FORMER_OWNER_SECONDS", 0.5)
    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 10))
    begun = asyncio.Event()

    async def never() -> AsyncIterator[tuple[str, str, int]]:
        yield topic, "counter/1", 11
        begun.set()
        await asyncio.Event().wait()

    async def freeze() -> None:
        async with tables.acquire() as frozen, frozen.transaction():
            await frozen.execute("UPDATE offsets SET next_offset = next_offset + 1")
            await frozen.copy_records_to_table("handled", records=never(), columns=("topic", "key", "number"))

    freezing = asyncio.create_task(freeze())
    await begun.wait()
    await send(producer, topic, "counter/1", 11, 20)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 20))
    assert await handled(tables) == {"counter/1": list(range(1, 21))}
    freezing.cancel()
    with pytest.raises((asyncio.CancelledError, asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await freezing


async def test_an_instance_whose_partition_was_claimed_by_another_keeps_nothing_and_seeks_again(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await send(producer, topic, "counter/1", 1, 10)
        await eventually(lambda: has_handled(tables, 10))
        await tables.execute("UPDATE offsets SET epoch = epoch + 1")  # as another instance's claim does
        await send(producer, topic, "counter/1", 11, 20)
        await eventually(lambda: has_handled(tables, 20))
    assert await handled(tables) == {"counter/1": list(range(1, 21))}


async def test_an_instance_fenced_while_it_handles_a_batch_rolls_it_back(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        entered.set()
        await note(batch, connection)
        await go_on.wait()

    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], slow)):
        await entered.wait()
        # The claim of another waits for the transaction under way instead of reading an offset about to move.
        claim = asyncio.create_task(tables.execute("UPDATE offsets SET epoch = epoch + 1"))
        await asyncio.sleep(0.3)
        assert not claim.done()
        go_on.set()
        await claim
        assert await tables.fetchval("SELECT max(next_offset) FROM offsets") == 10
        await send(producer, topic, "counter/1", 11, 12)
        await eventually(lambda: has_handled(tables, 12))
    assert await handled(tables) == {"counter/1": list(range(1, 13))}


async def test_kafkas_own_offsets_are_only_a_hint(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 10))
        await eventually(lambda: hinted(kafka, name, topic, 10))
    await tables.execute("UPDATE offsets SET next_offset = 4 WHERE next_offset = 10")
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 16))
    assert await handled(tables) == {"counter/1": [*range(1, 11), *range(5, 11)]}


async def test_a_topic_created_again_stops_the_consumer(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 10))
    await recreate(kafka, topic)
    with pytest.raises(TopicRecreated, match=rf"{topic}\[\d\]: offsets of group {name} belong to the topic with id"):
        await Consumer(tables, kafka, name, [topic], note).run()


async def test_a_topic_created_again_under_a_running_consumer_stops_it(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, "counter/1", 1, 10)
    consumer = asyncio.create_task(Consumer(tables, kafka, name, [topic], note, topic_check_seconds=0.5).run())
    await eventually(lambda: has_handled(tables, 10))
    await recreate(kafka, topic)
    with pytest.raises((TopicRecreated, OffsetLost)):
        await asyncio.wait_for(consumer, 240)


async def test_messages_deleted_before_they_were_read_stop_the_consumer(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 10))
    await tables.execute("UPDATE offsets SET next_offset = 99 WHERE next_offset = 10")
    with pytest.raises(OffsetLost, match="goes on at 99, found 0 to 10"):
        await Consumer(tables, kafka, name, [topic], note).run()


async def test_transient_errors_are_tried_again_and_never_parked(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    failures = [Transient("busy"), asyncpg.SerializationError("conflict"), asyncpg.DeadlockDetectedError("deadlock")]

    async def sometimes(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        await note(batch, connection)
        if failures:
            raise failures.pop()

    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], sometimes)):
        await eventually(lambda: has_handled(tables, 10))
    assert await handled(tables) == {"counter/1": list(range(1, 11))}
    assert await tables.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_lost_connection_loses_and_repeats_nothing(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    cut = 3

    async def unlucky(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        nonlocal cut
        await note(batch, connection)
        if cut:
            cut -= 1
            await tables.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await connection.execute("SELECT 1")

    await send(producer, topic, "counter/1", 1, 10)
    async with running(Consumer(tables, kafka, name, [topic], unlucky)):
        await eventually(lambda: has_handled(tables, 10))
    assert await handled(tables) == {"counter/1": list(range(1, 11))}


async def test_a_consumer_waits_for_a_topic_that_is_not_there_yet(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str
) -> None:
    async with running(Consumer(tables, kafka, name, [f"{name}.later"], note)):
        await asyncio.sleep(0.5)
        await messaging.ensure(kafka, [TopicSpec(f"{name}.later")])
        await send(producer, f"{name}.later", "counter/1", 1, 3)
        await eventually(lambda: has_handled(tables, 3))


async def test_a_database_without_the_tables_stops_the_consumer(
    pool: asyncpg.Pool, kafka: str, name: str, topic: str
) -> None:
    with pytest.raises(asyncpg.UndefinedTableError, match="offsets"):
        await Consumer(pool, kafka, name, [topic], note).run()


async def test_a_consumer_that_cannot_reach_kafka_tries_again_and_stops_when_asked(
    tables: asyncpg.Pool, name: str, topic: str
) -> None:
    consumer = asyncio.create_task(Consumer(tables, "127.0.0.1:1", name, [topic], note).run())
    await asyncio.sleep(1.5)
    assert not consumer.done()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer


async def hinted(kafka: str, group: str, topic: str, offset: int) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
        return any(found.get(TopicPartition(topic, p), (0, ""))[0] == offset for p in range(4))
    finally:
        await admin.close()


async def recreate(kafka: str, topic: str) -> None:
    await delete_topics(kafka, topic)
    await messaging.ensure(kafka, [TopicSpec(topic)])


async def test_a_predecessor_may_go_on_until_its_partition_is_claimed(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen for longer than its session, it is out of the group, and still owns the offset that it is moving."""
    monkeypatch.setattr(offsets, "FORMER_OWNER_SECONDS", 300)
    await send(producer, topic, "a", 1, 1)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has_handled(tables, 1))
    async with tables.acquire() as predecessor:
        transaction = predecessor.transaction()
        await transaction.start()
        await predecessor.execute("UPDATE offsets SET next_offset = next_offset + 1 WHERE next_offset > 0")

        async def holds_up_a_claim() -> bool:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
            return bool(await tables.fetchval(waiting, predecessor.get_server_pid()))

        async with running(Consumer(tables, kafka, name, [topic], note)):
            await eventually(holds_up_a_claim)
            await send(producer, topic, "a", 2, 2)  # the one that the predecessor handles
            await transaction.commit()
            await send(producer, topic, "a", 3, 3)
            await eventually(lambda: has_handled(tables, 2))
    assert await handled(tables) == {"a": [1, 3]}

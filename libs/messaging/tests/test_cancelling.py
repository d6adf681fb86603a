from __future__ import annotations

import asyncio
import gc
from time import monotonic
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from eventlog import EventLog, Watermark
from messaging import Consumer, Relay, topics
from messaging.connection import START_SECONDS, STOP_SECONDS, closed, started
from messaging.progress import read_progress
from messaging.testing import count, eventually, note, publish_to


async def _consumer(kafka: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    return consumer


async def test_a_cancellation_that_comes_while_a_client_stops_is_not_lost(kafka: str) -> None:
    for pause in (0, 1, 2, 3, 5, 8):
        consumer = await _consumer(kafka)
        await asyncio.sleep(0.01)

        async def worker(consumer: AIOKafkaConsumer = consumer) -> None:
            await closed(consumer)
            await asyncio.sleep(60)

        task = asyncio.create_task(worker())
        for _ in range(pause + 1):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=240)
        assert task.cancelled()


async def test_stopping_a_client_right_after_its_start_cancels_nobody(kafka: str) -> None:
    consumer = await _consumer(kafka)
    await closed(consumer)


async def test_a_start_that_is_cancelled_at_any_moment_leaves_no_connection_behind(kafka: str) -> None:
    await topics.ensure(kafka, [topics.progress_topic("cancelled")])

    async def consume() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="cancelled")
        try:
            await started(consumer.start())
        finally:
            await closed(consumer)

    for work in (consume, lambda: read_progress(kafka, "cancelled.relay"), lambda: topics.ensure(kafka, [])):
        for number in range(12):
            task = asyncio.create_task(work())
            await asyncio.sleep(0.001 * number)
            task.cancel()
            await asyncio.wait({task}, timeout=240)
            assert task.done()
            assert task.cancelled() or task.exception() is None
    gc.collect()  # an unclosed connection says so in a ResourceWarning, which fails the test


@pytest.mark.parametrize("seconds", [0.5, 7], ids=["just so", "for longer than a session"])
async def test_workers_end_within_seconds_though_kafka_is_silent_and_leave_nothing_that_goes_on(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, link: Any,
    seconds: float,
) -> None:  # fmt: skip
    """A process that ends has 20 s, half of them for its requests: one that took longer would end as if it failed."""
    async with link(kafka) as network:
        relay = Relay(log, watermark, network.address, name, publish_to(topic))
        workers = [watermark, relay, Consumer(tables, network.address, name, [topic], note)]
        at_work = [asyncio.create_task(worker.run()) for worker in workers]
        await count(log, "counter/1", 1, 10)
        await eventually(lambda: tables.fetchval("SELECT count(*) = 10 FROM handled"))
        async with network.silence():
            await count(log, "counter/1", 11, 20)
            await asyncio.sleep(seconds)
            cancelled = monotonic()
            for task in at_work:
                task.cancel()
            await asyncio.wait(at_work)
            assert monotonic() - cancelled < START_SECONDS + STOP_SECONDS + 1
            await eventually(nothing_of_aiokafka_runs)


async def nothing_of_aiokafka_runs() -> bool:
    return not any("aiokafka" in str(task.get_coro()) for task in asyncio.all_tasks())

from __future__ import annotations

import asyncio
import gc

from aiokafka import AIOKafkaConsumer

from messaging import topics
from messaging.connection import closed, started
from messaging.progress import read_progress


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

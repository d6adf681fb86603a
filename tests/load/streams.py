"""Log to Kafka against a bare transactional producer, and Kafka to log against a bare consumer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from books import AT, STREAMS, Paid, PaidMessage, message, paid
from harness import Goal, Path, Run, per_second
from prometheus_client import REGISTRY
from servers import Servers

import messaging
from eventlog import Decider, Executor, Intent, RecordedEvent, Watermark
from messaging import Consumer, Publication, Received, Relay, TopicSpec
from messaging.testing import eventually, headers, running

RECORDS = 100_000
TRANSACTION = 5_000
PATIENCE = 300


def relay(copy: bool) -> Run:
    async def run(servers: Servers) -> float:
        log, kafka, service = await servers.filled_log(RECORDS), await servers.kafka(), _unused("bench")
        topic, watermark = f"{service}.payments", Watermark(log.pool)

        def publish(recorded: RecordedEvent) -> Publication:
            return Publication(topic, message(recorded.event))

        relaying = Relay(log, watermark, kafka, service, publish, publishes=[TopicSpec(topic)], copy=copy)
        last = await log.pool.fetchval("SELECT max(position) FROM events")

        async def all_published() -> bool:
            return (REGISTRY.get_sample_value("annals_relay_position", {"service": service}) or 0) >= last

        async def work() -> None:
            async with running(watermark, relaying):
                await eventually(all_published, within=PATIENCE)

        return await per_second(RECORDS, work)

    return run


async def produce(servers: Servers) -> float:
    """The same keys and bodies, ready made, without headers, in transactions of aiokafka."""
    kafka, topic = await servers.kafka(), _unused("bench.payments")
    await messaging.ensure(kafka, [TopicSpec(topic)])
    return await per_second(RECORDS, await _producing(kafka, topic, with_headers=False))


async def consume(servers: Servers) -> float:
    """Messages become events of the service's own: translated, decided, appended with the offsets in one commit."""
    kafka, topic = await _topic_with_messages(servers)
    async with servers.empty_log() as log:
        handle = messaging.inbox(_noted, Executor(log))
        consumer = Consumer(log.pool, kafka, _unused("bench"), [topic], handle)

        async def all_handled() -> bool:
            return bool(await log.pool.fetchval("SELECT last_value >= $1 FROM events_position", RECORDS))

        async def work() -> None:
            async with running(consumer):
                await eventually(all_handled, within=PATIENCE)

        return await per_second(RECORDS, work)


async def read_topic(servers: Servers) -> float:
    """The same records by aiokafka's consumer, each body decoded; nothing else."""
    kafka, topic = await _topic_with_messages(servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest")

    async def work() -> None:
        await consumer.start()
        consumer.assign([TopicPartition(topic, partition) for partition in range(TopicSpec(topic).partitions)])
        left = RECORDS
        while left:
            for records in (await consumer.getmany(timeout_ms=250)).values():
                left -= len(records)
                for record in records:
                    PaidMessage.model_validate_json(record.value)

    try:
        return await per_second(RECORDS, work)
    finally:
        await consumer.stop()


def _note(event: Paid, _: None) -> Sequence[Paid]:
    return [event]


_NOTE = Decider(initial=None, decide=_note, evolve=lambda state, _: state)


def _noted(received: Received) -> Sequence[Intent]:
    told = received.message
    event = Paid(told.account, told.asset, int(told.amount), told.reference)
    return [Intent(f"account/{told.account}", _NOTE, event, AT)]


_topics: dict[str, str] = {}


async def _topic_with_messages(servers: Servers) -> tuple[str, str]:
    kafka = await servers.kafka()
    if kafka not in _topics:
        _topics[kafka] = _unused("bench.payments")
        await messaging.ensure(kafka, [TopicSpec(_topics[kafka])])
        await (await _producing(kafka, _topics[kafka], with_headers=True))()
    return kafka, _topics[kafka]


async def _producing(kafka: str, topic: str, with_headers: bool) -> Callable[[], Awaitable[None]]:
    """Returns what produces RECORDS messages to a topic, with the bodies made ready before."""
    records = [
        (
            f"account/{number % STREAMS}".encode(),
            message(paid(number)).model_dump_json().encode(),
            headers(ce_type=PaidMessage.type.encode()) if with_headers else [],
        )
        for number in range(RECORDS)
    ]

    async def work() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=uuid4().hex, max_batch_size=524_288)
        await producer.start()
        try:
            for start in range(0, RECORDS, TRANSACTION):
                async with producer.transaction():
                    for key, body, named in records[start : start + TRANSACTION]:
                        await producer.send(topic, body, key=key, headers=named)
        finally:
            await producer.stop()

    return work


def _unused(prefix: str) -> str:
    return f"{prefix}{uuid4().hex[:8]}"


PATHS = (
    Path("relay", "events/s", relay(copy=False), produce, Goal(ours=25_000)),
    Path("relay_with_copy", "events/s", relay(copy=True), produce, Goal(ours=15_000)),
    Path("consume", "events/s", consume, read_topic),
)

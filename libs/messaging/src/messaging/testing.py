"""For tests, here and in services: run workers for a while, wait for an outcome, read a topic back.

`Counted` and its message are the smallest event there is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts import Message
from eventlog import EventLog, EventTypes, NewEvent, RecordedEvent
from eventlog.testing import eventually as eventually
from messaging.connection import Kafka, closed, options, started
from messaging.errors import is_transient
from messaging.producer import TransactionalProducer
from messaging.received import Received
from messaging.relay import Publication
from messaging.topics import TopicSpec, ensure

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter, its stream, has reached a number."""

    number: int


class CountedMessage(Message, type="testing.events.Counted.v1"):
    """What the world is told of it."""

    number: int


TYPES = EventTypes({"Counted.v1": Counted})


async def count(log: EventLog, stream: str, first: int, last: int) -> None:
    """Appends the numbers from `first` to `last` to a stream."""
    await log.append([NewEvent(stream, Counted(number), NOW) for number in range(first, last + 1)])


def publish_to(topic: str) -> Callable[[RecordedEvent], Publication]:
    """Returns a `publish` for the relay that publishes every number."""
    return lambda recorded: Publication(topic, CountedMessage(number=recorded.event.number))


def headers(**changed: bytes | None) -> list[tuple[str, bytes]]:
    """Returns the headers of a valid message; `changed` replaces some, None leaves one out."""
    standard: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": str(uuid4()).encode(),
        "ce_source": b"/testing",
        "ce_type": CountedMessage.type.encode(),
        "content-type": b"application/json",
    }
    standard |= {name.replace("content_type", "content-type"): value for name, value in changed.items()}
    return [(name, value) for name, value in standard.items() if value is not None]


class Worker(Protocol):
    async def run(self) -> None: ...


@contextlib.asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    """Runs workers inside the block: again after a transient error, as a service does; any other ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_kept_running(worker)) for worker in workers]
        yield
        for task in tasks:
            task.cancel()


async def run_on(*workers: Worker) -> None:
    """Runs workers as `running` does, until the process is killed or one of them fails for good."""
    async with running(*workers):
        await asyncio.Event().wait()


async def _kept_running(worker: Worker) -> None:
    while True:
        try:
            return await worker.run()
        except Exception as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(0.1)


async def readable(kafka: Kafka, transactional_id: str) -> None:
    """Waits until readers see this id's last transaction: Kafka marks it in the partitions after it has answered."""
    producer = TransactionalProducer(kafka, transactional_id)
    try:
        await producer.start()
    finally:
        await producer.stop()


async def note(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
    """A handler that writes each number into the table `handled (at bigserial, topic, key, number)`."""
    rows = [(r.topic, r.key, r.message.number) for r in batch if isinstance(r.message, CountedMessage)]
    await connection.copy_records_to_table("handled", records=rows, columns=("topic", "key", "number"))


async def read_all(kafka: Kafka, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Returns every committed record of a topic, partition by partition, in order."""
    consumer = AIOKafkaConsumer(topic, **options(kafka), isolation_level="read_committed", auto_offset_reset="earliest")
    try:
        await started(consumer.start())
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(60):
            while True:
                for got in (await consumer.getmany(timeout_ms=100)).values():
                    records.extend(got)
                if all([await consumer.position(partition) >= ends[partition] for partition in partitions]):
                    return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await closed(consumer)


async def send(bootstrap: str, *messages: tuple[str, Message]) -> None:
    """Publishes messages, each with its key, as the service that owns their topics would; creates the topics."""
    await ensure(bootstrap, [TopicSpec(topic) for topic in {message.topic for _, message in messages}])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        for key, message in messages:
            body = message.model_dump_json().encode()
            named = headers(ce_type=message.type.encode(), ce_subject=key.encode())
            await producer.send(message.topic, body, key.encode(), headers=named)
    finally:
        await producer.stop()


async def send_raw(bootstrap: str, topic: str, key: bytes | None, value: bytes, named: list[tuple[str, bytes]]) -> None:
    """Publishes a record as it is, however wrong."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key, headers=named)
    finally:
        await producer.stop()


async def delete_topics(bootstrap: str, *only: str) -> None:
    """Deletes topics and waits until they are gone: these, or every one, so that a test begins with an empty Kafka."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while names := [n for n in await admin.list_topics() if not n.startswith("__") and (not only or n in only)]:
                await admin.delete_topics(names)
                await asyncio.sleep(0.05)
    finally:
        await admin.close()

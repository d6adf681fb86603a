"""Reading topics from one offset to another, committed records only, a bounded number in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from messaging.connection import Kafka, closed, options, started
from messaging.errors import is_transient
from messaging.records import tolerate_header_names
from messaging.topics import MAX_BATCH_BYTES

MAX_RECORDS = 5_000
POLL_MILLISECONDS = 500


@dataclass(frozen=True, slots=True)
class Step:
    """How far a long piece of work has come: `done` of `total` of what its `phase` counts."""

    phase: str
    done: int
    total: int


OnProgress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition held when it was opened: offsets from `beginning` up to, not including, `end`."""

    beginning: int
    end: int


class Reading:
    """An open reader; `extents` has every partition of those topics that exist."""

    def __init__(self, consumer: AIOKafkaConsumer, extents: Mapping[TopicPartition, Extent]) -> None:
        self._consumer = consumer
        self.extents = extents

    async def records(
        self, partition: TopicPartition, start: int | None = None
    ) -> AsyncGenerator[list[ConsumerRecord[bytes, bytes]], None]:
        """Yields the partition's records in order, from offset `start` (or its beginning) to its extent's end."""
        extent = self.extents[partition]
        position = extent.beginning if start is None else max(start, extent.beginning)
        self._consumer.seek(partition, position)
        while position < extent.end:
            try:
                polled = await self._consumer.getmany(partition, timeout_ms=POLL_MILLISECONDS, max_records=MAX_RECORDS)
            except UnicodeDecodeError:
                tolerate_header_names()
                self._consumer.seek(partition, position)
                continue
            if batch := [record for record in polled.get(partition, ()) if record.offset < extent.end]:
                yield batch
            position = await self._consumer.position(partition)  # also past aborted records and markers


@asynccontextmanager
async def committed_reader(kafka: Kafka, fetch_bytes: int = MAX_BATCH_BYTES) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of no group, for committed records; it fetches so many bytes of a partition at once.

    It begins where it is made to seek: records that are gone are an error, never passed over. What Kafka refuses for
    the time being is raised as KafkaConnectionError: aiokafka's own errors mostly don't say that they pass, as that of
    a cluster that names no broker, and a service would end over them.
    """
    consumer = AIOKafkaConsumer(
        **options(kafka),
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=fetch_bytes,
    )
    try:
        await started(consumer.start())
        yield consumer
    except KafkaError as error:
        if error.retriable or not is_transient(error):
            raise
        raise KafkaConnectionError(str(error)) from error
    finally:
        await closed(consumer)


@asynccontextmanager
async def reading(kafka: Kafka, topics: Iterable[str]) -> AsyncIterator[Reading]:
    """Opens topics; those that do not exist are left out."""
    async with committed_reader(kafka) as consumer:
        cluster = await consumer._client.fetch_all_metadata()  # a consumer asks only for what it is subscribed to
        partitions = [
            TopicPartition(topic, number)
            for topic in sorted(set(topics))
            for number in sorted(cluster.partitions_for_topic(topic) or ())
        ]
        consumer.assign(partitions)
        beginnings = await consumer.beginning_offsets(partitions) if partitions else {}
        ends = await consumer.end_offsets(partitions) if partitions else {}
        yield Reading(consumer, {p: Extent(beginnings[p], ends[p]) for p in partitions})

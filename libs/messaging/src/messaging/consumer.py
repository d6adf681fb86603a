"""The consumer: messages and what they lead to in one PostgreSQL transaction, so each takes effect exactly once."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import perf_counter
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)

from contracts import Message, message_class
from messaging import metrics, offsets, topics
from messaging.cloudevents import MessageClass
from messaging.connection import Kafka, closed, options, started
from messaging.errors import Fenced, OffsetLost, TopicRecreated, is_transient
from messaging.handling import BatchHandler, Handle, processing
from messaging.offsets import Claim
from messaging.records import tolerate_header_names
from messaging.retrying import ParkedMessages
from messaging.sealing import IN_CLEAR, Sealing

logger = logging.getLogger(__name__)

MAX_RECORDS = 2_000
POLL_MILLISECONDS = 250
TICK_SECONDS = 1.0
GATHER_SECONDS = 0.1  # from the beginning of one small batch to the next: what comes in a row shares one,
GATHER_TIMES = 5  # and so many times what it took, where everything is busy,
LONGEST_GATHER_SECONDS = 0.5  # but no longer
LOOK_SECONDS = 0.2  # for topics that are not there yet
TOPIC_CHECK_SECONDS = 30.0
SESSION_SECONDS = 6  # the shortest that brokers allow by default: a dead instance's partitions move on after it
FENCED_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Reads `topics` as one instance of `group` and handles what comes; a worker.

    `handle` gets typed messages inside an open transaction that already holds the new offsets; what it writes and the
    offsets commit together. A message that fails for good is put aside in table `parked`, its body sealed, with those
    of its key behind it; other keys go on. `run` raises TopicRecreated or OffsetLost when the stored offsets mean
    nothing any more, and whatever keeps PostgreSQL from storing offsets at all; while a server is away it waits.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        kafka: Kafka,
        group: str,
        topics: Sequence[str],
        handle: Handle,
        *,
        classes: MessageClass = message_class,
        sealing: Sealing = IN_CLEAR,
        park_unknown: bool = False,
        ignores: Iterable[type[Message]] = (),
        max_records: int = MAX_RECORDS,
        topic_check_seconds: float = TOPIC_CHECK_SECONDS,
    ) -> None:
        self.name = f"consumer:{group}"
        self._pool = pool
        self._kafka = kafka
        self._group = group
        self._topics = sorted(set(topics))
        self._max_records = max_records
        self._topic_check_seconds = topic_check_seconds
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._handler = BatchHandler(pool, group, handle, classes, sealing, park_unknown, ignores)
        self._parked = ParkedMessages(pool, group, self._handler, classes, sealing)
        # What Kafka has assigned to us, counted by generation, and what of it we have claimed and sought: only
        # records of claimed partitions are handled.
        self._generation = 0
        self._assigned: set[TopicPartition] = set()
        self._claims: dict[TopicPartition, Claim] = {}
        self._topic_ids: dict[str, UUID] = {}
        self._hints: dict[TopicPartition, int] = {}
        self._arrived = False
        self._measured: set[TopicPartition] = set()

    # aiokafka delivers records while `on_partitions_assigned` still waits and only logs what it raises. So the
    # listener just takes note, and the loop claims and seeks before it handles anything.

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._rebalanced(set())

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._rebalanced(set(assigned))

    def _rebalanced(self, assigned: set[TopicPartition]) -> None:
        self._generation += 1
        self._assigned = assigned
        self._claims.clear()
        self._hints.clear()
        for partition in self._measured - assigned:
            metrics.consumer_lag.remove(self._group, partition.topic, str(partition.partition))
        self._measured &= assigned

    async def run(self) -> None:
        """Runs until cancelled; a transaction under way is rolled back then, which loses nothing."""
        pause = 0.5
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._session()
            except Exception as error:
                if not is_transient(error):
                    raise
                if asyncio.get_running_loop().time() - started > LONGEST_PAUSE_SECONDS:
                    pause = 0.5
                logger.warning("group %s: joins again in %.1f s: %r", self._group, pause, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _session(self) -> None:
        """One membership in the group, until an error ends it."""
        self._rebalanced(set())
        client = AIOKafkaClient(**options(self._kafka))
        consumer = AIOKafkaConsumer(
            **options(self._kafka),
            group_id=self._group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # where to begin is decided here, never by Kafka
            max_partition_fetch_bytes=topics.MAX_BATCH_BYTES,
            metadata_max_age_ms=30_000,
            session_timeout_ms=SESSION_SECONDS * 1000,
            heartbeat_interval_ms=1_500,
        )
        try:
            await started(client.bootstrap())
            await self._wait_for_topics(client)
            consumer.subscribe(topics=self._topics, listener=self)
            await started(consumer.start())
            await self._loop(client, consumer)
        finally:
            try:
                await closed(consumer, client)
            except KafkaError as error:
                logger.warning("group %s: not left cleanly: %r", self._group, error)

    async def _wait_for_topics(self, client: AIOKafkaClient) -> None:
        """Services start in any order: a topic may not be there yet."""
        said = False
        while missing := set(self._topics) - (await topics.topic_ids(client, self._topics)).keys():
            if not said:
                logger.warning("group %s: waits for topics: %s", self._group, ", ".join(sorted(missing)))
                said = True
            await asyncio.sleep(LOOK_SECONDS)

    async def _loop(self, client: AIOKafkaClient, consumer: AIOKafkaConsumer) -> None:
        clock = asyncio.get_running_loop().time
        tick_at, check_at, next_at, before = clock(), clock() + self._topic_check_seconds, 0.0, 0
        while True:
            try:
                await self._claim(client, consumer)
                await asyncio.sleep(next_at - clock())
                if records := await self._poll(consumer):
                    began = clock()
                    await self._handle(records)
                    # Behind a large one a small one may be what is left of a fetch, and there is a backlog.
                    small = before + len(records) < self._max_records
                    next_at, before = began + (_gathering(clock() - began) if small else 0.0), len(records)
                if clock() >= tick_at:
                    await self._tick(consumer)
                    tick_at = clock() + TICK_SECONDS
            except Fenced as error:
                metrics.fenced.labels(self._group).inc()
                logger.info("%s", error)
                self._claims.clear()  # claim and seek again what Kafka still says is ours
                await asyncio.sleep(FENCED_PAUSE_SECONDS)
            if clock() >= check_at:
                self._verify_topics(await topics.topic_ids(client, self._topics))
                check_at = clock() + self._topic_check_seconds

    async def _claim(self, client: AIOKafkaClient, consumer: AIOKafkaConsumer) -> None:
        """Claims assigned partitions in PostgreSQL and seeks to the stored offsets."""
        missing = sorted(self._assigned - self._claims.keys())
        if not missing:
            return
        generation = self._generation
        found = await topics.topic_ids(client, self._topics)
        self._verify_topics(found)
        if unknown := {partition.topic for partition in missing} - found.keys():  # to the broker that we asked
            raise UnknownTopicOrPartitionError(f"group {self._group}: topics {', '.join(sorted(unknown))}: not found")
        beginnings = await consumer.beginning_offsets(missing)
        claims = {
            partition: await offsets.claim(
                self._pool, self._group, partition, found[partition.topic], beginnings[partition], self._owner
            )
            for partition in missing
        }
        ends = await consumer.end_offsets(missing)  # not before: until it is claimed, a former owner may go on
        for partition, claimed in claims.items():
            if not beginnings[partition] <= claimed.next_offset <= ends[partition]:
                raise OffsetLost(
                    f"{partition.topic}[{partition.partition}]: group {self._group} goes on at {claimed.next_offset}, "
                    f"found {beginnings[partition]} to {ends[partition]}: records were deleted before they were read"
                )
        if generation != self._generation:
            return  # rebalanced while we waited; whoever owns it now claims it again
        for partition, claimed in claims.items():
            consumer.seek(partition, claimed.next_offset)
        self._claims.update(claims)
        logger.info("group %s: goes on with %d partitions", self._group, len(self._claims))

    async def _poll(self, consumer: AIOKafkaConsumer) -> list[ConsumerRecord[bytes, bytes]]:
        """Returns the next records of claimed partitions; others are dropped and come again after the seek."""
        try:
            polled = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=self._max_records)
        except NoOffsetForPartitionError:
            return []  # just assigned, not sought yet
        except UnicodeDecodeError:
            tolerate_header_names()
            self._claims.clear()  # read the same records again
            return []
        except OffsetOutOfRangeError as error:
            if lost := [p for p in error.args[0] if p in self._claims]:
                raise OffsetLost(f"group {self._group}: out of range: {error.args[0]}, partitions {lost}") from error
            return []
        return [
            record
            for partition, records in polled.items()
            if (claimed := self._claims.get(partition)) is not None
            for record in records
            if record.offset >= claimed.next_offset
        ]

    async def _handle(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        generation, claims = self._generation, dict(self._claims)
        started = perf_counter()
        items = [self._handler.item(record) for record in records]
        with processing(self._group, (item.received for item in items if item.received is not None)) as onward:
            for item in items if onward else ():
                if item.received is not None:
                    item.received = replace(item.received, traceparent=onward(item.received.traceparent))
            await self._handler.apply(items, claims, lambda: generation == self._generation)
        metrics.consumer_batch.labels(self._group).observe(len(records))
        metrics.consumer_seconds.labels(self._group).observe(perf_counter() - started)
        self._arrived = True
        if generation == self._generation:
            places = {TopicPartition(record.topic, record.partition) for record in records}
            self._hints.update({place: claims[place].next_offset for place in places})

    async def _tick(self, consumer: AIOKafkaConsumer) -> None:
        """Once a second: what was put aside, the hint to Kafka, the gauges."""
        arrived, self._arrived = self._arrived, False
        try:
            await self._parked.retry_due(dict(self._claims), arrived)
            await self._parked.measure()
        except Exception as error:
            if not is_transient(error):
                raise
            logger.warning("group %s: parked messages wait: %r", self._group, error)
        await self._measure(consumer)
        await self._hint(consumer)

    async def _measure(self, consumer: AIOKafkaConsumer) -> None:
        for partition in list(self._claims):
            try:
                end, at = consumer.last_stable_offset(partition), await consumer.position(partition)
            except IllegalStateError:  # revoked while we asked
                continue
            if end is not None and partition in self._claims:
                self._measured.add(partition)
                metrics.consumer_lag.labels(self._group, partition.topic, partition.partition).set(max(0, end - at))

    async def _hint(self, consumer: AIOKafkaConsumer) -> None:
        """Tells Kafka how far we are, for lag tools only: PostgreSQL alone decides where to go on."""
        hints, self._hints = self._hints, {}
        if not hints:
            return
        try:
            async with asyncio.timeout(2):
                await consumer.commit(hints)
        except (KafkaError, TimeoutError) as error:
            logger.debug("group %s: offsets not hinted: %r", self._group, error)

    def _verify_topics(self, found: dict[str, UUID]) -> None:
        """Raises TopicRecreated when a topic has another id than it had. A missing one may just not be known yet."""
        for topic, topic_id in found.items():
            if topic_id != (known := self._topic_ids.setdefault(topic, topic_id)):
                raise TopicRecreated(
                    f"topic {topic}: group {self._group} expected id {known}, found {topic_id}: it was deleted and "
                    "created again"
                )


def _gathering(took: float) -> float:
    """Seconds from the beginning of a small batch, that took so many, to that of the next."""
    return max(GATHER_SECONDS, min(GATHER_TIMES * took, LONGEST_GATHER_SECONDS))

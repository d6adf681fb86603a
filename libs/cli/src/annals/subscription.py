"""Subscribe to a topic of Annals from outside: typed messages, acknowledged or with offsets of your own.

docs/consuming.md shows both ways and says what is guaranteed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from annals.delivery import Delivery, Partition, Sieve, Skipped
from contracts import Message, message_types
from messaging.connection import Kafka, closed, options, started
from messaging.errors import OffsetLost, is_transient
from messaging.records import tolerate_header_names

logger = logging.getLogger("annals")

M = TypeVar("M", bound=Message)
Start = Literal["beginning", "end"]

POLL_MILLISECONDS = 250
RECORDS_AT_ONCE = 100  # few, because Kafka takes a reader for dead that does not ask for more within five minutes
COMMIT_SECONDS = 1.0
CLOSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 10.0


@overload
def subscribe(
    topic: str,
    *,
    bootstrap: Kafka,
    types: Collection[type[M]],
    group: str | None = None,
    offsets: Mapping[int, int] | None = None,
    start: Start = "beginning",
    complete: bool = False,
    skip_malformed: bool = False,
) -> Subscription[M]: ...
@overload
def subscribe(
    topic: str,
    *,
    bootstrap: Kafka,
    group: str | None = None,
    offsets: Mapping[int, int] | None = None,
    start: Start = "beginning",
    complete: bool = False,
    skip_malformed: bool = False,
) -> Subscription[Message]: ...
def subscribe(
    topic: str,
    *,
    bootstrap: Kafka,
    types: Collection[type[Message]] | None = None,
    group: str | None = None,
    offsets: Mapping[int, int] | None = None,
    start: Start = "beginning",
    complete: bool = False,
    skip_malformed: bool = False,
) -> Subscription[Any]:
    """A subscription to `topic`; iterate over it with `async for`.

    `bootstrap` is `host:port,…` or a mapping of aiokafka's connection arguments. Only messages of `types` are
    delivered, classes of `contracts`; all that are known of the topic without it. Where to go on is kept

    - by Kafka, for a `group`: each message until its delivery's `ack()`, so at least once. Instances of the same group
      share the partitions;
    - or by you: pass the `offsets` that you stored with the effects (partition → `next_offset`), so exactly once.

    Where neither knows, reading begins at the topic's beginning, or at its end with `start="end"`. With `complete`,
    for topics that publish every event of their streams, a missing version of a key raises GapFound. A record that
    is no valid message raises Malformed, or is left out with `skip_malformed`.

    Raises ValueError when the arguments contradict each other.
    """
    known = [cls for cls in message_types().values() if cls.topic == topic]
    if strangers := [cls.type for cls in types or () if cls.topic != topic]:
        raise ValueError(f"types: expected messages of topic {topic}, got {', '.join(strangers)}")
    if (group is None) == (offsets is None):
        raise ValueError("expected a group, or offsets of your own (`offsets={}` the first time), and not both")
    sieve = Sieve(
        known if types is None else types,
        complete=complete,
        skip_malformed=skip_malformed,
        acknowledges=group is not None,
    )
    return Subscription(topic, bootstrap, group, offsets or {}, start, sieve)


class Subscription(Generic[M]):
    """An endless stream of deliveries; made by `subscribe`.

    It connects when it is first iterated over, and again whenever Kafka was away. `async with` closes it at once at
    the end of the block, so that another instance of the group takes over without waiting.
    """

    def __init__(
        self, topic: str, kafka: Kafka, group: str | None, offsets: Mapping[int, int], start: Start, sieve: Sieve
    ) -> None:
        self.topic = topic
        self._kafka = kafka
        self._group = group
        self._start = start
        self._sieve = sieve
        self._partitions: dict[TopicPartition, Partition] = {}
        self._stored = {TopicPartition(topic, number): offset for number, offset in offsets.items()}
        self._assigned: set[TopicPartition] = set()
        self._deliveries = self._deliver()

    @property
    def skipped(self) -> Skipped:
        """What was left out so far."""
        return self._sieve.skipped

    def __aiter__(self) -> AsyncIterator[Delivery[M]]:
        return self._deliveries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Tells Kafka what was acknowledged, and leaves the group."""
        await self._deliveries.aclose()

    async def _deliver(self) -> AsyncGenerator[Delivery[M]]:
        """Sessions with Kafka, one after the other."""
        pause = 0.5
        while True:
            try:
                async with self._session() as consumer, contextlib.aclosing(self._read(consumer)) as deliveries:
                    async for delivery in deliveries:
                        pause = 0.5
                        yield delivery
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("topic %s: connects again in %.1f s: %r", self.topic, pause, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **options(self._kafka),
            group_id=self._group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # where to begin is decided here, never by Kafka
        )
        try:
            await started(consumer.start())
            await self._join(consumer)
            yield consumer
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):  # then it is delivered again, and left out if it was us
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._commit(consumer)
            await closed(consumer)

    async def _join(self, consumer: AIOKafkaConsumer) -> None:
        """Takes part in the group, or takes all partitions. Raises LookupError when there is no such topic."""
        cluster = await consumer._client.fetch_all_metadata()  # a consumer asks only for what it is subscribed to
        if not (numbers := cluster.partitions_for_topic(self.topic)):
            raise LookupError(f"topic {self.topic!r} does not exist there")
        if self._group is not None:
            self._reassign(set())
            consumer.subscribe([self.topic], listener=_Listener(self, consumer))
            return
        partitions = {TopicPartition(self.topic, number) for number in numbers}
        if strangers := self._stored.keys() - partitions:
            raise ValueError(f"offsets: topic {self.topic} has no partitions {sorted(p.partition for p in strangers)}")
        self._stored |= {partition: read.next_offset for partition, read in self._partitions.items()}
        consumer.assign(sorted(partitions))
        self._reassign(partitions)

    def _reassign(self, partitions: Iterable[TopicPartition]) -> None:
        """What Kafka says is ours; what was known of partitions is forgotten until they are claimed again."""
        self._assigned = set(partitions)
        self._partitions.clear()

    async def _read(self, consumer: AIOKafkaConsumer) -> AsyncGenerator[Delivery[M]]:
        clock = asyncio.get_running_loop().time
        commit_at = clock() + COMMIT_SECONDS
        while True:
            await self._claim(consumer)
            for at, records in (await self._poll(consumer)).items():
                partition = self._partitions.get(at)
                for record in records:
                    if partition is None or self._partitions.get(at) is not partition:
                        break  # it went to another instance, or has to be sought first
                    if (delivery := self._sieve.take(partition, record)) is not None:
                        yield delivery
                    if clock() >= commit_at:
                        await self._commit(consumer)
                        commit_at = clock() + COMMIT_SECONDS
            if clock() >= commit_at:
                await self._commit(consumer)
                commit_at = clock() + COMMIT_SECONDS

    async def _claim(self, consumer: AIOKafkaConsumer) -> None:
        """Seeks every partition that has become ours. Raises OffsetLost."""
        missing = sorted(self._assigned - self._partitions.keys())
        if not missing:
            return
        beginnings, ends = await consumer.beginning_offsets(missing), await consumer.end_offsets(missing)
        for partition in missing:
            stored = await consumer.committed(partition) if self._group is not None else self._stored.get(partition)
            offset = stored if stored is not None else (beginnings if self._start == "beginning" else ends)[partition]
            if not beginnings[partition] <= offset <= ends[partition]:
                raise OffsetLost(
                    f"{partition.topic}[{partition.partition}]: goes on at {offset}, found {beginnings[partition]} to "
                    f"{ends[partition]}: messages were deleted, or the topic was made anew"
                )
            if partition not in self._assigned:
                continue  # given to another instance while we waited
            consumer.seek(partition, offset)
            self._partitions[partition] = Partition(next_offset=offset, committed=offset)

    async def _poll(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        try:
            polled: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = await consumer.getmany(
                timeout_ms=POLL_MILLISECONDS, max_records=RECORDS_AT_ONCE
            )
            return polled
        except NoOffsetForPartitionError:
            return {}  # just assigned, not sought yet
        except UnicodeDecodeError:
            tolerate_header_names()
            for partition, read in self._partitions.items():
                consumer.seek(partition, read.next_offset)
            return {}
        except OffsetOutOfRangeError as error:
            raise OffsetLost(f"topic {self.topic}: {error.args[0]}: deleted before they were read") from error

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Tells Kafka what the group has acknowledged."""
        if self._group is None:
            return
        moved = {
            partition: offset
            for partition, read in self._partitions.items()
            if (offset := read.acknowledged()) > read.committed
        }
        if not moved:
            return
        try:
            await consumer.commit(moved)
        except (CommitFailedError, IllegalStateError) as error:
            logger.info("group %s: partitions moved to another instance: %s", self._group, error)
            return
        for partition, offset in moved.items():
            if (read := self._partitions.get(partition)) is not None:
                read.committed = offset


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Notes what Kafka assigns; the loop claims it. (aiokafka delivers while a listener waits, and only logs its
    errors.)"""

    def __init__(self, subscription: Subscription[Any], consumer: AIOKafkaConsumer) -> None:
        self._subscription = subscription
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """What is acknowledged is committed while the partitions are still ours, so that less is repeated."""
        with contextlib.suppress(KafkaError):
            await self._subscription._commit(self._consumer)
        self._subscription._reassign(set())

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._subscription._reassign(assigned)

"""A batch of records in one transaction, halved when it fails until the guilty message stands alone."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry.trace import SpanKind

from contracts import Message
from eventlog import tracing
from messaging import cloudevents, metrics, offsets, parking
from messaging.cloudevents import MessageClass
from messaging.errors import Fenced, Malformed, MissingPrerequisite, UnknownType, is_transient
from messaging.offsets import Claim
from messaging.parking import Failure
from messaging.received import Received
from messaging.sealing import Sealing
from messaging.settled import settled

logger = logging.getLogger(__name__)

Committed = Callable[[], None]
Handle = Callable[[Sequence[Received], asyncpg.Connection], Awaitable[Committed | None]]
"""Handles messages inside the open transaction; what it returns is called once that has committed."""

ACQUIRE_SECONDS = 30
HANDLE_SECONDS = 60
TRANSIENT_ATTEMPTS = 5  # of a batch, then of a message, before the one is halved and the other put aside to wait
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 5.0
MAX_NAMED_TYPES = 100
SPAN = {"messaging.system": "kafka", "messaging.operation.type": "process"}


class HandlingFailed(Exception):
    """The handler, or the commit of what it did, failed: `cause` says why."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause

    def failure(self, attempts: int) -> Failure:
        """Returns how to put the message aside: to wait when that may help, else for a person."""
        missing = _missing(self.cause)
        cause = missing[0] if missing else self.cause
        waits = bool(missing) or is_transient(cause)
        return Failure("waiting" if waits else "failed", parking.describe(cause), attempts)

    def named(self) -> dict[tuple[TopicPartition, int], MissingPrerequisite]:
        """Returns those messages whose missing prerequisite it was, by partition and offset, as far as it is said."""
        return {
            (TopicPartition(error.message.topic, error.message.partition), error.message.offset): error
            for error in _missing(self.cause)
            if error.message is not None
        }


def _missing(cause: Exception) -> list[MissingPrerequisite]:
    """What a handler may raise for several messages at once is a group."""
    raised = cause.exceptions if isinstance(cause, ExceptionGroup) else [cause]
    missing = [error for error in raised if isinstance(error, MissingPrerequisite)]
    return missing if len(missing) == len(raised) else []


@dataclass(slots=True)
class Item:
    """A record with its message, or with the reason to put it aside."""

    record: ConsumerRecord[bytes, bytes]
    received: Received | None = None
    failure: Failure | None = None

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.record.topic, self.record.partition)

    @property
    def key(self) -> parking.Key | None:
        return None if self.record.key is None else (self.record.topic, self.record.key)


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection in a transaction that commits at the end of the block; an error in it rolls back.

    Raises HandlingFailed when the commit finds a deferred constraint violated.
    """
    async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
        under_way = connection.transaction()
        await under_way.start()
        try:
            yield connection
        except BaseException:
            if not is_lost(connection):
                # If that fails the server does it by itself; what must not get lost is the error, or the cancellation.
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                    await under_way.rollback()
            raise
        try:
            await under_way.commit()
        except asyncpg.IntegrityConstraintViolationError as error:
            raise HandlingFailed(error) from error


def is_lost(connection: asyncpg.Connection) -> bool:
    """Whether a connection is closed; one that its pool has given up already cannot even be asked."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


@contextmanager
def processing(group: str, messages: Iterable[Received]) -> Iterator[tracing.Onward]:
    """Continues the sampled traces of messages, below the spans that published them."""
    came = ((received.traceparent, received.id) for received in messages)
    span = {"messaging.consumer.group.name": group, **SPAN}
    with tracing.continued(f"process {group}", SpanKind.CONSUMER, came, span) as onward:
        yield onward


class BatchHandler:
    """Applies batches of one consumer group.

    Messages of a type not known here are skipped, counted and named once in the log (a newer release publishes new
    types beside the old ones), or put aside with `park_unknown`. Those that it `ignores` are not even decoded.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        group: str,
        handle: Handle,
        classes: MessageClass,
        sealing: Sealing,
        park_unknown: bool = False,
        ignores: Iterable[type[Message]] = (),
    ) -> None:
        self._pool = pool
        self._group = group
        self._handle = handle
        self._classes = classes
        self._sealing = sealing
        self._park_unknown = park_unknown
        self._ignores = frozenset(cls.type.encode() for cls in ignores)
        self._named_types: set[str] = set()

    def item(self, record: ConsumerRecord[bytes, bytes]) -> Item:
        """Decodes a record; never raises."""
        if self._ignores and cloudevents.type_of(record) in self._ignores:
            return Item(record)
        try:
            return Item(record, cloudevents.decode(record, self._classes))
        except Malformed as error:
            metrics.malformed.labels(self._group, record.topic).inc()
            logger.warning("group %s: %s", self._group, error)
            return Item(record, failure=Failure("malformed", parking.describe(error)))
        except UnknownType as error:
            metrics.unknown.labels(self._group, record.topic).inc()
            if error.ce_type not in self._named_types and len(self._named_types) < MAX_NAMED_TYPES:
                self._named_types.add(error.ce_type)
                logger.warning("group %s: %s (named once)", self._group, error)
            return Item(record, failure=Failure("unknown", parking.describe(error)) if self._park_unknown else None)

    async def apply(
        self, items: Sequence[Item], claims: Mapping[TopicPartition, Claim], current: Callable[[], bool]
    ) -> None:
        """Handles items and moves the offsets of their partitions past them; returns when all are committed.

        Raises Fenced when the partitions are no longer ours, or `current` says so between two attempts; what was
        committed until then stays. Any other error means that no progress is possible, e.g. a missing table.
        """
        attempts = 0
        while True:
            if not current():
                raise Fenced(f"group {self._group}: rebalanced before {items[0].partition} was handled")
            try:
                return await self._transaction(items, claims)
            except Fenced:
                raise
            except HandlingFailed as error:
                attempts += 1
                if is_transient(error.cause) and attempts < TRANSIENT_ATTEMPTS:
                    await self._pause(attempts, error.cause)
                elif self._put_aside_named(items, error):
                    attempts = 0  # the others are not to blame
                elif len(items) > 1:
                    half = len(items) // 2
                    await self.apply(items[:half], claims, current)
                    await self.apply(items[half:], claims, current)
                    return None
                else:
                    items[0].failure = error.failure(attempts)
            except Exception as error:
                if not is_transient(error):
                    raise
                attempts += 1
                await self._pause(attempts, error)

    def _put_aside_named(self, items: Sequence[Item], error: HandlingFailed) -> bool:
        """Marks the messages that an error names as the ones that have to wait; returns whether there are any."""
        named = error.named()
        found = [item for item in items if item.failure is None and (item.partition, item.record.offset) in named]
        for item in found:
            missing = named[item.partition, item.record.offset]
            item.failure = Failure("waiting", parking.describe(missing))
        return bool(found)

    async def handle(self, received: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        """Calls the handler for as long as it may take. Raises HandlingFailed."""
        try:
            async with asyncio.timeout(HANDLE_SECONDS):
                return await self._handle(received, connection)
        except Exception as error:
            if is_lost(connection):  # whatever the handler made of it
                error = asyncpg.ConnectionDoesNotExistError(f"lost while handling: {error!r}")
            raise HandlingFailed(error) from error

    async def _transaction(self, items: Sequence[Item], claims: Mapping[TopicPartition, Claim]) -> None:
        ends = {(item.record.topic, item.record.partition): item.record.offset + 1 for item in items}
        moves = {TopicPartition(*place): (claims[TopicPartition(*place)], end) for place, end in ends.items()}
        committed: Committed | None = None
        async with transaction(self._pool) as connection:
            # First the offsets: whoever claims one of these partitions now waits for our commit.
            await offsets.advance(connection, self._group, moves)
            good, aside = await self._sort(connection, items)
            if aside:
                await parking.park(connection, self._group, aside, self._sealing)
            if good:
                committed = await self.handle(good, connection)
        for claimed, next_offset in moves.values():
            claimed.next_offset = next_offset
        metrics.consumed.labels(self._group).inc(len(good))
        for _, failure in aside:
            metrics.parked_total.labels(self._group, failure.reason).inc()
        if committed is not None:
            committed()

    async def _sort(
        self, connection: asyncpg.Connection, items: Sequence[Item]
    ) -> tuple[list[Received], list[tuple[ConsumerRecord[bytes, bytes], Failure]]]:
        """Returns what to handle and what to put aside: the failed, and whatever comes behind one of its key."""
        keys = {item.key for item in items if item.key is not None}
        any_parked, any_settled = await parking.any_aside(connection, self._group)
        blocked = await parking.blocked(connection, self._group, keys) if any_parked else set()
        done = await settled(connection, self._group, keys) if any_settled else {}
        good: list[Received] = []
        aside: list[tuple[ConsumerRecord[bytes, bytes], Failure]] = []
        for item in items:
            failure = item.failure
            if item.key is not None and any(item.record.offset in passed for passed in done.get(item.key, ())):
                continue
            if failure is not None and failure.reason == "unknown":
                aside.append((item.record, failure))
            elif item.key in blocked and (failure is not None or item.received is not None):
                aside.append((item.record, Failure("behind", "an earlier message of its key is put aside", 0)))
            elif failure is not None:
                aside.append((item.record, failure))
                if item.key is not None:
                    blocked.add(item.key)
            elif item.received is not None:
                good.append(item.received)
        return good, aside

    async def _pause(self, attempts: int, error: BaseException) -> None:
        metrics.retries.labels(self._group).inc()
        seconds = min(FIRST_PAUSE_SECONDS * 2 ** min(attempts, 16), LONGEST_PAUSE_SECONDS)
        level = logging.WARNING if seconds > 1 else logging.INFO
        logger.log(level, "group %s: tries again in %.2f s: %r", self._group, seconds, error)
        await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

"""Trying again what was put aside: by the instance that owns the partition, in order of the key."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic

import asyncpg
from aiokafka import TopicPartition

from messaging import cloudevents, metrics, offsets, parking
from messaging.cloudevents import MessageClass
from messaging.errors import Malformed, UnknownType
from messaging.handling import BatchHandler, Committed, HandlingFailed, processing, transaction
from messaging.offsets import Claim
from messaging.parking import Failure, Parked, Reason
from messaging.sealing import Sealing

logger = logging.getLogger(__name__)

KEYS_AT_ONCE = 100
MESSAGES_OF_A_KEY = 500  # then the others and the live stream get their turn
COUNTING_SHARE = 50  # a part in so many of the time is spent on counting, however much there is to count


class ParkedMessages:
    """The messages that one consumer group has put aside."""

    def __init__(
        self, pool: asyncpg.Pool, group: str, handler: BatchHandler, classes: MessageClass, sealing: Sealing
    ) -> None:
        self._pool = pool
        self._group = group
        self._handler = handler
        self._classes = classes
        self._sealing = sealing
        self._measure_at = 0.0

    async def retry_due(self, claims: Mapping[TopicPartition, Claim], arrived: bool) -> None:
        """Tries what is due in our partitions; `arrived` says that other messages were handled since the last time.

        Raises Fenced when a partition is no longer ours.
        """
        for parked in await parking.due(self._pool, self._group, claims, arrived, KEYS_AT_ONCE):
            if (claimed := claims.get(TopicPartition(parked.topic, parked.partition))) is not None:
                await self._apply_key(parked, claimed)

    async def measure(self) -> None:
        """Brings the gauges up to date, less often the longer it takes to count."""
        began = monotonic()
        if began < self._measure_at:
            return
        numbers, waiting = await parking.counts(self._pool, self._group)
        self._measure_at = monotonic() + COUNTING_SHARE * (monotonic() - began)
        for reason in ("malformed", "unknown", "failed", "waiting", "behind"):
            metrics.parked.labels(self._group, reason).set(numbers.get(reason, 0))
        metrics.waiting_seconds.labels(self._group).set(waiting)

    async def _apply_key(self, first: Parked, claimed: Claim) -> None:
        parked: Parked | None = first
        for _ in range(MESSAGES_OF_A_KEY):
            if parked is None:
                return
            try:
                following = await self._apply(parked, claimed)
            except HandlingFailed as error:
                await parking.failed_again(self._pool, parked.id, error.failure(parked.attempts + 1))
                return
            except (Malformed, UnknownType) as error:
                reason: Reason = "unknown" if isinstance(error, UnknownType) else "malformed"
                failure = Failure(reason, parking.describe(error), parked.attempts + 1)
                await parking.failed_again(self._pool, parked.id, failure)
                return
            parked = following

    async def _apply(self, parked: Parked, claimed: Claim) -> Parked | None:
        """Applies one message; returns the one that stood behind it, None when there is none."""
        partition = TopicPartition(parked.topic, parked.partition)
        following: Parked | None = None
        async with transaction(self._pool) as connection:
            await offsets.hold(connection, self._group, partition, claimed)
            committed = await self._in_transaction(connection, parked)
            if parked.key is not None:
                following = await parking.promote(connection, self._group, parked.topic, parked.key)
        if committed is not None:
            committed()
        return following

    async def _in_transaction(self, connection: asyncpg.Connection, parked: Parked) -> Committed | None:
        if not await parking.applied(connection, parked.id):
            return None  # discarded meanwhile
        if (record := await parked.record(self._sealing)) is None:
            metrics.erased.labels(self._group).inc()
            logger.warning("group %s: message %d is dropped: the key of its body is destroyed", self._group, parked.id)
            return None
        received = cloudevents.decode(record, self._classes)
        logger.info("group %s: %s[%d]@%d tried again", self._group, parked.topic, parked.partition, parked.offset)
        with processing(self._group, [received]) as onward:
            received = replace(received, traceparent=onward(received.traceparent))
            return await self._handler.handle([received], connection)

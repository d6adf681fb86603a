"""A transactional producer that writes whole batches: one transaction of thousands of records in a few requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced
from aiokafka.partitioner import murmur2

from messaging.connection import STOP_SECONDS, Kafka, closed, options, started
from messaging.errors import EventTooLarge
from messaging.topics import MAX_BATCH_BYTES

logger = logging.getLogger(__name__)

BATCH_BYTES = 524_288  # of one partition in one request; below every topic's max.message.bytes
RECORD_OVERHEAD_BYTES = 1_024
SURELY_FITTING_BYTES = MAX_BATCH_BYTES // 4  # key and value; no header is longer than the key by much
REQUEST_TIMEOUT_SECONDS = 15
# Readers of committed records wait at an open transaction, so that of a dead producer must not live long.
TRANSACTION_TIMEOUT_SECONDS = 30


@lru_cache(maxsize=65_536)  # the hash is plain Python, and streams come back
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFF_FFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Returns the partition that a key belongs to, as Kafka's own clients place it."""
    return _hash(key) % partitions


class Records:
    """What one transaction is to write, in batches of a partition each.

    It can be filled before the transaction begins, while another one is under way.
    """

    def __init__(self, producer: AIOKafkaProducer, partitions: dict[str, int]) -> None:
        self._producer = producer
        self._partitions = partitions  # of topics, as far as they are known
        self._open: dict[tuple[str, int], Any] = {}
        self._full: list[tuple[tuple[str, int], Any]] = []

    async def add(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
        """Adds a record, in the partition its key belongs to (as Kafka's own clients place it).

        Raises EventTooLarge when no batch of its topic could hold the record.
        """
        if len(key) + len(value) > SURELY_FITTING_BYTES:
            size = len(key) + len(value) + sum(len(name) + len(text or b"") + 8 for name, text in headers)
            if size > MAX_BATCH_BYTES - RECORD_OVERHEAD_BYTES:
                raise EventTooLarge(f"topic {topic}: a record of {key!r} has {size} bytes, at most {MAX_BATCH_BYTES}")
        if topic not in self._partitions:
            self._partitions[topic] = len(await self._producer.partitions_for(topic))
        place = (topic, partition_of(key, self._partitions[topic]))
        batch = self._open.get(place)
        if batch is None:
            batch = self._open[place] = self._producer.create_batch()
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            self._full.append((place, batch))
            batch = self._open[place] = self._producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)

    def batches(self) -> list[tuple[tuple[str, int], Any]]:
        """All of them, those of one partition in order, each with its topic and partition."""
        return [*self._full, *self._open.items()]


class TransactionalProducer:
    """One Kafka transaction at a time, for the holder of a transactional id.

    After any error the producer is spent: stop it and start another, which aborts what was left open. (aiokafka
    neither fails a transaction whose record was refused nor continues its sequence numbers after that.)
    """

    def __init__(self, kafka: Kafka, transactional_id: str) -> None:
        self._producer = AIOKafkaProducer(
            **options(kafka),
            transactional_id=transactional_id,
            acks="all",
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_SECONDS * 1000,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_SECONDS * 1000,
        )
        self._partitions: dict[str, int] = {}
        self._sent: list[asyncio.Future[Any]] = []
        self._in_transaction = False

    async def start(self) -> None:
        """Initialises the transactional id: an older holder is fenced and its open transaction aborted."""
        async with asyncio.timeout(60):
            await started(self._producer.start())

    def records(self) -> Records:
        """None yet, for `send`."""
        return Records(self._producer, self._partitions)

    async def send(self, records: Records) -> None:
        """Writes records in one transaction. Raises KafkaError when the producer was fenced, or any was refused."""
        await self.begin()
        for (topic, partition), batch in records.batches():
            batch.close()
            self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        await self.commit()

    async def begin(self) -> None:
        """Begins a transaction. Raises KafkaError when the producer was fenced meanwhile."""
        try:
            await self._producer.begin_transaction()
        except AssertionError as error:  # how aiokafka says that its sender has failed
            raise ProducerFenced(f"producer is spent: {error}") from error
        self._in_transaction = True

    async def commit(self) -> None:
        """Waits until every record is acknowledged, and commits. Raises when any was refused."""
        sent, self._sent = self._sent, []
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        self._in_transaction = False
        async with asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS):
            try:
                await self._producer.commit_transaction()
            except AssertionError as error:
                raise ProducerFenced(f"producer is spent: {error}") from error

    async def stop(self) -> None:
        """Aborts an open transaction if that is quickly done, and closes the connection."""
        for future in self._sent:
            future.cancel()
        _heard(self._sent)
        try:
            if self._in_transaction:
                # An assertion is how aiokafka says that its sender has failed, which was said.
                with suppress(AssertionError):
                    async with asyncio.timeout(STOP_SECONDS):
                        await self._producer.abort_transaction()
        except Exception as error:  # the successor's start aborts it, or Kafka does after its time-out
            logger.warning("relay: open transaction not aborted: %r", error)
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            await closed(self._producer)
        except Exception as error:
            logger.warning("relay: producer not stopped cleanly: %r", error)
        # What aiokafka fails with its sender, for nobody in particular: asyncio would print each, with a traceback.
        accumulator, manager = self._producer._message_accumulator, self._producer._txn_manager
        batches = chain(*accumulator._batches.values(), accumulator._pending_batches)
        _heard([*(batch._drain_waiter for batch in batches), *filter(None, [manager._transaction_waiter])])


def _heard(futures: Iterable[asyncio.Future[Any]]) -> None:
    """What failed has been said already, by the error that ended the transaction."""
    for future in futures:
        if future.done() and not future.cancelled():
            future.exception()

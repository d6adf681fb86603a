"""The seals of a log on its topic `<service>.seals`, out of reach of whoever may write to the database.

A record is one seal as JSON, with the headers of a CloudEvent; its id is the seal's hash. The leader of the relay
publishes them, by the same transactional producer as everything else, after the events they cover.
"""

from __future__ import annotations

from time import monotonic

import asyncpg
from aiokafka import ConsumerRecord

from eventlog import BrokenSeal, Seal
from eventlog.seals import check_chain, read_seals
from messaging.connection import Kafka
from messaging.errors import LogBehindTopics, LogResealed, Malformed
from messaging.producer import TransactionalProducer
from messaging.progress import read_last
from messaging.reading import reading
from messaging.topics import seals_topic

LOOK_SECONDS = 1.0
MAX_SEALS = 1_000  # of one transaction


def seal_type(service: str) -> str:
    """The CloudEvents type of a service's seals."""
    return f"{seals_topic(service).name}.LogSealed.v1"


class SealPublisher:
    """Publishes the seals of one service's log, each once; for the leader of its relay."""

    def __init__(self, kafka: Kafka, pool: asyncpg.Pool, service: str) -> None:
        self._kafka = kafka
        self._pool = pool
        self._service = service
        self._topic = seals_topic(service).name
        self._last: Seal | None = None
        self._looked = -LOOK_SECONDS

    async def start(self) -> None:
        """Finds the last seal published, after the transactional id was initialised, and holds the table against it.

        Raises LogResealed when the table has another seal in its place, LogBehindTopics when it has none,
        Malformed when the last record is no seal.
        """
        record = await read_last(self._kafka, self._topic)
        self._last = _read(record) if record is not None else None
        if self._last is None:
            return
        found = await read_seals(self._pool, self._last.number - 1, limit=1)
        if not found or found[0].number != self._last.number:
            raise LogBehindTopics(
                f"log of {self._service}: expected seal {self._last.number} with hash {self._last.hash.hex()}, the "
                f"last one published, found none; bring the log up to date with `annals log recover {self._service}`"
            )
        if found[0].hash != self._last.hash:
            raise LogResealed(self._resealed(f"found hash {found[0].hash.hex()}"))

    async def publish(self, producer: TransactionalProducer, upto: int) -> None:
        """Publishes, in one transaction, new seals of positions up to `upto`; looks for them once a second at most.

        Raises LogResealed when they don't follow the last one published.
        """
        if monotonic() - self._looked < LOOK_SECONDS:
            return
        after = self._last.number if self._last else 0
        found = [seal for seal in await read_seals(self._pool, after, MAX_SEALS) if seal.last_position <= upto]
        if len(found) < MAX_SEALS:
            self._looked = monotonic()
        if not found:
            return
        try:
            check_chain(found, self._last)
        except BrokenSeal as error:
            raise LogResealed(self._resealed(f"found behind it: {error}")) from error
        records = producer.records()
        for seal in found:
            await records.add(self._topic, self._service.encode(), seal.to_json().encode(), self._headers(seal))
        await producer.send(records)
        self._last = found[-1]

    def _resealed(self, found: str) -> str:
        last = f"seal {self._last.number} with hash {self._last.hash.hex()}" if self._last else "no seal"
        return (
            f"log of {self._service}: expected {last}, the last one published, {found}; the log was sealed anew after "
            f"its seals were published: `annals verify {self._service}` says where it differs"
        )

    def _headers(self, seal: Seal) -> list[tuple[str, bytes | None]]:
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", seal.hash.hex().encode()),
            ("ce_source", f"/{self._service}".encode()),
            ("ce_type", seal_type(self._service).encode()),
            ("ce_subject", self._service.encode()),
            ("ce_time", seal.sealed_at.isoformat().encode()),
            ("content-type", b"application/json"),
        ]


async def last_published(kafka: Kafka, service: str) -> Seal | None:
    """The last seal published by a service, None when there is none or no such topic. Raises Malformed."""
    topic = seals_topic(service).name
    async with reading(kafka, [topic]) as reader:
        if not any(extent.end for extent in reader.extents.values()):
            return None
    record = await read_last(kafka, topic)
    return _read(record) if record is not None else None


async def read_published(kafka: Kafka, service: str) -> list[Seal]:
    """All seals published by a service, in order; none when it has no such topic. Raises Malformed."""
    published: list[Seal] = []
    async with reading(kafka, [seals_topic(service).name]) as reader:
        for partition in reader.extents:
            async for records in reader.records(partition):
                published += map(_read, records)
    return published


def _read(record: ConsumerRecord[bytes, bytes]) -> Seal:
    try:
        return Seal.from_json(record.value or b"")
    except BrokenSeal as error:
        raise Malformed(f"{record.topic}[{record.partition}]@{record.offset}: {error}") from error

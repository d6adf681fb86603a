"""Bringing a log that lost events up to date from the verbatim copy that its relay made, topic `<service>.log`.

The README says what happens on a crash at each step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from eventlog import restore, seals
from eventlog.restore import StoredEvent
from messaging import settled, stored
from messaging.connection import Kafka
from messaging.errors import LogForked, Malformed
from messaging.leader import alone
from messaging.producer import TransactionalProducer
from messaging.reading import OnProgress, Reading, Step, reading
from messaging.seals import read_published
from messaging.topics import log_topic

_row = attrgetter(*restore.COLUMNS)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did: `events` were missing behind position `after`, the log now ends at `position`.

    `settled` messages stand at or behind the consumer's offsets and will be passed over, for they took effect. `seals`
    were missing and are back.
    """

    log_id: UUID
    after: int
    position: int
    events: int
    settled: int
    seals: int


async def recover(
    connection: asyncpg.Connection,
    kafka: Kafka,
    service: str,
    consumes: Sequence[str] = (),
    *,
    on_progress: OnProgress = lambda step: None,
) -> Recovered:
    """Writes what the log of `service` lacks, byte for byte, and settles the messages of the topics it `consumes`.

    `connection` is the database owner's, without time limits, and used for nothing else meanwhile. Killed at any
    moment, it leaves log and consumer closed, and the next run goes on.

    Raises LogForked when the log has events that the topic contradicts, Led while a relay of the service runs,
    RestoreRefused when the copy has gaps, BrokenSeal when published seals contradict it, LookupError when there is no
    copy.
    """
    async with alone(connection, f"relay:{service}"):
        await _fence(kafka, service)  # what the topic holds now is all it will ever hold of the log that was
        async with reading(kafka, [log_topic(service).name]) as reader:
            partition = TopicPartition(log_topic(service).name, 0)
            if partition not in reader.extents:
                raise LookupError(f"topic {partition.topic}: not found: nothing of this log was ever copied")
            async with _closed(connection, service) as after:
                await _bring_up_to_date(connection, reader, partition, on_progress)
                sealed = await seals.restore(connection, await read_published(kafka, service))
                found = await settled.settle(connection, kafka, service, consumes, after, on_progress)
        end = await restore.end_of_log(connection)
        events = await connection.fetchval("SELECT count(*) FROM events WHERE position > $1", after)
        log_id = UUID(str(await connection.fetchval("SELECT log_id FROM log_identity")))
    return Recovered(log_id, after, end, events, found, sealed.added)


async def _fence(kafka: Kafka, service: str) -> None:
    """Ends a relay that still runs somewhere, perhaps beside the database that was lost, and its open transaction."""
    producer = TransactionalProducer(kafka, f"{service}.relay")
    try:
        await producer.start()
    finally:
        await producer.stop()


@asynccontextmanager
async def _closed(connection: asyncpg.Connection, group: str) -> AsyncIterator[int]:
    """Closes log and consumer inside the block, which gets the position after which events are missing.

    They stay closed when the block fails, unless nothing was written yet.
    """
    after = await restore.begin(connection)
    await settled.begin(connection, group)
    try:
        yield after
    except BaseException:
        if not connection.is_closed() and await restore.end_of_log(connection) == after:
            await _open(connection, group)
        raise
    await _open(connection, group)


async def _open(connection: asyncpg.Connection, group: str) -> None:
    async with connection.transaction():
        await settled.finish(connection, group)
        await restore.finish(connection)


async def _bring_up_to_date(
    connection: asyncpg.Connection, reader: Reading, partition: TopicPartition, on_progress: OnProgress
) -> None:
    end_of_log, end_of_copy = await restore.end_of_log(connection), reader.extents[partition].end
    reached: int | None = None  # the log may be older than its copy
    async for records in reader.records(partition):
        copied = [stored.decode(record) for record in records]
        reached = copied[0].position - 1 if reached is None else reached
        _check_order(copied, reached, records[0])
        known = [event for event in copied if event.position <= end_of_log]
        if known:
            await _compare(connection, known, reached, end_of_log)
        if missing := copied[len(known) :]:
            await restore.write(connection, missing)
        reached = copied[-1].position
        on_progress(Step("events", records[-1].offset + 1, end_of_copy))
    on_progress(Step("events", end_of_copy, end_of_copy))


def _check_order(events: Sequence[StoredEvent], reached: int, first: ConsumerRecord[bytes, bytes]) -> None:
    for event in events:
        if event.position <= reached:
            raise Malformed(
                f"{first.topic}[{first.partition}], from offset {first.offset}: expected a position above {reached}, "
                f"found {event.position}"
            )
        reached = event.position


async def _compare(
    connection: asyncpg.Connection, copied: Sequence[StoredEvent], reached: int, end_of_log: int
) -> None:
    """Raises LogForked at the first position where the log is not what was copied from it."""
    rows = await connection.fetch(
        f"SELECT {', '.join(restore.COLUMNS)} FROM events WHERE position > $1 AND position <= $2 ORDER BY position",  # noqa: S608 - constant columns
        reached,
        copied[-1].position,
    )
    if [tuple(row) for row in rows] == [_row(event) for event in copied]:
        return
    found = {row["position"]: tuple(row) for row in rows}
    expected = {event.position: _row(event) for event in copied}
    position = min(p for p in found.keys() | expected.keys() if found.get(p) != expected.get(p))
    raise LogForked(
        f"position {position}: expected {_named(expected.get(position))}, as it was published, found "
        f"{_named(found.get(position))} in a log that goes on to {end_of_log}: it has another history; "
        "restore the backup again, or an empty database, and recover before anything else writes to it"
    )


def _named(row: Sequence[object] | None) -> str:
    return "no event" if row is None else f"event {row[3]} ({row[4]}, stream {row[1]}, version {row[2]})"

"""Messages put aside: in PostgreSQL, in the transaction that moves the offset past them, in order of their key.

The consumer that owns the partition is the only one that applies them. `retry` and `discard` are for people: they mark
rows, and the consumer acts on the marks within a second.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from eventlog import EventLog, MessageDiscarded, Metadata, NewEvent, dead_letters_stream
from messaging.cloudevents import Headers
from messaging.sealing import Sealing

Reason = Literal["malformed", "unknown", "failed", "waiting", "behind"]
Key = tuple[str, bytes]
"""A topic and a key in it: the unit of order."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
MAX_ERROR_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message is put aside. A waiting one is tried again by itself."""

    reason: Reason
    error: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Parked:
    """A message put aside, as it came but for its body, which is sealed."""

    id: int
    group: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: Reason
    error: str
    attempts: int
    parked_at: datetime
    retry_at: datetime | None
    discarded_at: datetime | None
    discarded_because: str | None

    def header(self, name: str) -> bytes | None:
        """Returns the last header of this name, None when there is none."""
        return dict(self.headers).get(name)

    async def record(self, sealing: Sealing) -> ConsumerRecord[bytes, bytes] | None:
        """Returns the record as Kafka delivered it (without its timestamp and checksum).

        None when the key of its body is destroyed.
        """
        value = None if self.value is None else await sealing.open(self.value)
        if value is None and self.value is not None:
            return None
        return ConsumerRecord(
            self.topic, self.partition, self.offset, -1, 0, self.key, value, None, -1, -1, self.headers
        )


def describe(error: BaseException) -> str:
    """Returns an error in one text that PostgreSQL takes."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\\0")[:MAX_ERROR_CHARACTERS]
    return text.encode(errors="backslashreplace").decode()  # surrogates are no UTF-8


async def park(
    connection: asyncpg.Connection,
    group: str,
    items: Sequence[tuple[ConsumerRecord[bytes, bytes], Failure]],
    sealing: Sealing,
) -> None:
    """Puts messages aside, their bodies sealed, in the transaction of `connection`."""
    bodies = iter(await sealing.seal([(record.key, record.value) for record, _ in items if record.value is not None]))
    await connection.executemany(
        """INSERT INTO parked (consumer_group, topic, partition, "offset", key, value, headers, reason, error,
                               attempts, retry_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + $11)""",
        [
            (
                group, record.topic, record.partition, record.offset, record.key,
                None if record.value is None else next(bodies),
                _pack(record.headers), failure.reason, failure.error, failure.attempts, _pause(failure),
            )
            for record, failure in items
        ],
    )  # fmt: skip


async def any_aside(connection: asyncpg.Connection, group: str) -> tuple[bool, bool]:
    """Whether any message of the group is put aside, and whether any is settled: mostly there is none to look for."""
    row = await connection.fetchrow(
        """SELECT EXISTS (SELECT FROM parked WHERE consumer_group = $1 AND discarded_at IS NULL),
                  EXISTS (SELECT FROM settled WHERE consumer_group = $1)""",
        group,
    )
    return row[0], row[1]


async def blocked(connection: asyncpg.Connection, group: str, keys: Iterable[Key]) -> set[Key]:
    """Returns those keys that have a message put aside, so that later ones must queue behind it.

    A message of an unknown type blocks nobody: new types are published beside the old ones.
    """
    names = list(set(keys))
    rows = await connection.fetch(
        """SELECT k.topic, k.key FROM unnest($2::text[], $3::bytea[]) AS k(topic, key)
           CROSS JOIN LATERAL (  -- one look into the index for each, however many stand behind it: hence the order
               SELECT FROM parked
               WHERE consumer_group = $1 AND topic = k.topic AND key_hash = sha256(k.key)
                 AND discarded_at IS NULL AND reason <> 'unknown'
               ORDER BY "offset" LIMIT 1) AS first""",
        group,
        [topic for topic, _ in names],
        [key for _, key in names],
    )
    return {(row["topic"], row["key"]) for row in rows}


async def due(
    pool: asyncpg.Pool, group: str, partitions: Iterable[TopicPartition], arrived: bool, limit: int
) -> list[Parked]:
    """Returns messages to be tried now: the first of their key, asked for by a person, waiting long enough, or next
    because the one before was applied or discarded. When others have `arrived`, all that wait."""
    owned = list(partitions)
    rows = await pool.fetch(
        f"""SELECT {_COLUMNS} FROM parked AS p
            JOIN unnest($2::text[], $3::integer[]) AS o(topic, partition) USING (topic, partition)
            WHERE consumer_group = $1 AND discarded_at IS NULL
              AND retry_at IS NOT NULL AND (retry_at <= clock_timestamp() OR ($4 AND reason = 'waiting'))
              AND (key IS NULL OR reason = 'unknown' OR NOT EXISTS (
                  SELECT FROM parked AS q
                  WHERE q.consumer_group = $1 AND q.topic = p.topic AND q.key_hash = p.key_hash
                    AND q."offset" < p."offset" AND q.discarded_at IS NULL AND q.reason <> 'unknown'))
            ORDER BY retry_at, id LIMIT $5""",  # noqa: S608 - constant columns
        group, [p.topic for p in owned], [p.partition for p in owned], arrived, limit,
        timeout=30,
    )  # fmt: skip
    return [_parked(row) for row in rows]


async def promote(connection: asyncpg.Connection, group: str, topic: str, key: bytes) -> Parked | None:
    """Makes the message that is now the first of its key due, if it only stood behind another; returns it then.

    To be called in the transaction that removes the one before it, which must also hold the partition's offset row:
    otherwise a message could be put behind one that is just leaving, and wait for ever.
    """
    row = await connection.fetchrow(
        f"""UPDATE parked SET retry_at = clock_timestamp()
            WHERE reason = 'behind' AND id = (
                SELECT id FROM parked
                WHERE consumer_group = $1 AND topic = $2 AND key_hash = sha256($3)
                  AND discarded_at IS NULL AND reason <> 'unknown'
                ORDER BY "offset" LIMIT 1)
            RETURNING {_COLUMNS}""",  # noqa: S608 - constant columns
        group, topic, key,
    )  # fmt: skip
    return _parked(row) if row else None


async def applied(connection: asyncpg.Connection, parked_id: int) -> bool:
    """Removes a message that is applied in this transaction; returns whether it was still there."""
    status: str = await connection.execute("DELETE FROM parked WHERE id = $1 AND discarded_at IS NULL", parked_id)
    return status == "DELETE 1"


async def failed_again(pool: asyncpg.Pool, parked_id: int, failure: Failure) -> None:
    """Notes another failed attempt and, for one that waits, when to try next."""
    await pool.execute(
        """UPDATE parked SET reason = $2, error = $3, attempts = $4, retry_at = clock_timestamp() + $5
           WHERE id = $1 AND discarded_at IS NULL""",
        parked_id, failure.reason, failure.error, failure.attempts, _pause(failure),
        timeout=30,
    )  # fmt: skip


async def counts(pool: asyncpg.Pool, group: str) -> tuple[dict[str, int], float]:
    """Returns how many messages are put aside by reason, and the age of the oldest that waits, in seconds."""
    rows = await pool.fetch(
        """SELECT reason, count(*) AS number,
                  coalesce(extract(epoch FROM clock_timestamp() - min(parked_at)), 0)::float8 AS age
           FROM parked WHERE consumer_group = $1 AND discarded_at IS NULL GROUP BY reason""",
        group,
        timeout=30,
    )
    return {row["reason"]: row["number"] for row in rows}, max(
        (row["age"] for row in rows if row["reason"] == "waiting"), default=0.0
    )


# For people: the functions behind `annals dlq`.


async def list_parked(
    pool: asyncpg.Pool, group: str | None = None, *, discarded: bool = False, limit: int = 100
) -> list[Parked]:
    """Returns messages put aside (or discarded), oldest first."""
    rows = await pool.fetch(
        f"""SELECT {_COLUMNS} FROM parked
            WHERE ($1::text IS NULL OR consumer_group = $1) AND (discarded_at IS NOT NULL) = $2
            ORDER BY id LIMIT $3""",  # noqa: S608 - constant columns
        group, discarded, limit,
    )  # fmt: skip
    return [_parked(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Blocked:
    """The first message of a key, which blocks it, and how many stand behind it; or one that blocks nobody."""

    first: Parked
    behind: int


async def list_blocked(
    pool: asyncpg.Pool, *, key: str | None = None, reason: str | None = None, limit: int = 100
) -> list[Blocked]:
    """Returns what blocks each key, or only this one, oldest first; a million messages behind one are one line."""
    rows = await pool.fetch(
        f"""SELECT {_COLUMNS}, behind FROM (
                SELECT *, count(*) OVER unit - 1 AS behind, min("offset") OVER unit = "offset" AS is_first
                FROM parked WHERE discarded_at IS NULL AND ($1::bytea IS NULL OR key_hash = sha256($1))
                WINDOW unit AS (PARTITION BY consumer_group, topic, key_hash,
                                CASE WHEN key IS NULL OR reason = 'unknown' THEN id END)) AS p
            WHERE is_first AND ($2::text IS NULL OR reason = $2) ORDER BY id LIMIT $3""",  # noqa: S608 - constant columns
        None if key is None else key.encode(), reason, limit,
    )  # fmt: skip
    return [Blocked(_parked(row[:-1]), row[-1]) for row in rows]


async def show(pool: asyncpg.Pool, parked_id: int) -> Parked:
    """Returns one message. Raises LookupError when there is none with this id."""
    row = await pool.fetchrow(f"SELECT {_COLUMNS} FROM parked WHERE id = $1", parked_id)  # noqa: S608 - constant columns
    if row is None:
        raise LookupError(f"parked message {parked_id}: not found")
    return _parked(row)


async def list_behind(pool: asyncpg.Pool, parked_id: int) -> list[Parked]:
    """Returns the messages that follow one once it is applied or discarded, in order. Raises LookupError."""
    first = await show(pool, parked_id)
    if first.key is None or first.reason == "unknown":
        return []
    rows = await pool.fetch(
        f"""SELECT {_COLUMNS} FROM parked
            WHERE consumer_group = $1 AND topic = $2 AND key_hash = sha256($3) AND "offset" > $4
              AND discarded_at IS NULL AND reason <> 'unknown' ORDER BY "offset" """,  # noqa: S608 - constant columns
        first.group, first.topic, first.key, first.offset,
    )  # fmt: skip
    return [_parked(row) for row in rows]


async def retry(pool: asyncpg.Pool, parked_id: int | None = None, *, group: str | None = None) -> int:
    """Asks the consumer to try one message again, or all (of a group); returns how many were marked.

    Those behind it follow in order once it succeeds. Raises LookupError for an id that is not put aside.
    """
    status: str = await pool.execute(
        """UPDATE parked SET retry_at = clock_timestamp()
           WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR consumer_group = $2)
             AND discarded_at IS NULL AND reason <> 'behind'""",
        parked_id, group,
    )  # fmt: skip
    marked = int(status.split()[-1])
    if parked_id is not None and not marked:
        parked = await show(pool, parked_id)
        found = "discarded" if parked.discarded_at else f"behind another of its key ({parked.error}): retry that one"
        raise LookupError(f"parked message {parked_id}: expected one that can be retried, found it {found}")
    return marked


async def discard(log: EventLog, parked_id: int, *, reason: str, by: str) -> None:
    """Gives a message up for good; the decision is an event of `log`, the message stays, those behind it go on.

    Raises ValueError without a reason or a name, LookupError when the message is not put aside.
    """
    reason, by = reason.strip(), by.strip()
    if not reason or not by:
        raise ValueError(f"parked message {parked_id}: expected a reason and a name to discard it, found none")
    async with log.pool.acquire() as connection, connection.transaction():
        # Not while the consumer puts another message behind this one.
        await connection.execute(
            """SELECT FROM offsets AS o JOIN parked AS p USING (consumer_group, topic, partition)
               WHERE p.id = $1 FOR UPDATE OF o""",
            parked_id,
        )
        row = await connection.fetchrow(
            f"""UPDATE parked SET discarded_at = clock_timestamp(), discarded_because = $2
                WHERE id = $1 AND discarded_at IS NULL RETURNING {_COLUMNS}""",  # noqa: S608 - constant columns
            parked_id,
            reason,
        )
        if row is None:
            raise LookupError(f"parked message {parked_id}: expected one put aside, found none or one discarded before")
        discarded = _parked(row)
        if discarded.key is not None:
            await promote(connection, discarded.group, discarded.topic, discarded.key)
        decision = NewEvent(
            dead_letters_stream(discarded.group),
            _decision(discarded, reason, by),
            datetime.now(UTC),
            metadata=Metadata(causation_id=text(discarded.header("ce_id")), actor=by),
        )
        await log.append([decision], conn=connection)
    log.wake()


def _decision(parked: Parked, reason: str, by: str) -> MessageDiscarded:
    return MessageDiscarded(
        group=parked.group,
        topic=parked.topic,
        partition=parked.partition,
        offset=parked.offset,
        key=text(parked.key),
        message_id=text(parked.header("ce_id")),
        type=text(parked.header("ce_type")),
        error=parked.error,
        reason=reason,
        by=by,
    )


def text(found: bytes | None) -> str | None:
    """Bytes from Kafka as text that PostgreSQL and a terminal take, whatever they are."""
    return None if found is None else found.decode(errors="backslashreplace").replace("\0", "\\0")


_COLUMNS = """id, consumer_group, topic, partition, "offset", key, value, headers, reason, error, attempts, parked_at,
              retry_at, discarded_at, discarded_because"""


def _parked(row: Any) -> Parked:
    id_, group, topic, partition, offset, key, value, headers, *rest = row
    return Parked(id_, group, topic, partition, offset, key, value, unpack(headers), *rest)


def _pause(failure: Failure) -> timedelta | None:
    if failure.reason != "waiting":
        return None
    return timedelta(seconds=min(FIRST_PAUSE_SECONDS * 2 ** min(failure.attempts - 1, 16), LONGEST_PAUSE_SECONDS))


def _pack(headers: Headers) -> str:
    return json.dumps([[name, None if text is None else base64.b64encode(text).decode()] for name, text in headers])


def unpack(packed: str) -> Headers:
    """Returns headers from the text that column `headers` holds."""
    return tuple((name, None if text is None else base64.b64decode(text)) for name, text in json.loads(packed))

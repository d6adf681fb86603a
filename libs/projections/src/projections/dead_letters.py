"""Events that failed, and the later ones of their keys: list them, retry them in order, discard one with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from eventlog import DeadLetterDiscarded, EventLog, Metadata, NewEvent, dead_letters_stream
from projections.batch import NOTHING_HELD, Batch, describe_error, prepare, write_rows
from projections.errors import EventFailed, blames_event
from projections.generation import Generation, Suffix
from projections.projection import Projection
from projections.swap import not_while_rebuilding

_AT_ONCE = 1_000  # letters of one key retried in one transaction
_SPAN = 5_000  # positions read at once to find them


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A parked key: the event that failed first, and how many later ones wait behind it."""

    subscription: str
    key: str
    position: int
    event_id: UUID
    type: str
    error: str | None
    attempts: int
    parked_at: datetime
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry came to: events that took effect, and the event that failed again, if one did."""

    applied: int
    failed_at: int | None = None
    error: str | None = None


async def dead_letters(
    pool: asyncpg.Pool, projection: type[Projection] | Projection | None = None, limit: int = 1000
) -> list[DeadLetter]:
    """The parked keys of a projection's live generation, or of all generations; oldest event first."""
    records = await pool.fetch(
        """SELECT head.*, (SELECT count(*) FROM dead_letters AS l
                           WHERE l.subscription = head.subscription AND l.key = head.key) - 1 AS waiting
           FROM (SELECT DISTINCT ON (subscription, key) subscription, key, position, event_id, type, error, attempts,
                        parked_at
                 FROM dead_letters WHERE $1::text IS NULL OR subscription = $1
                 ORDER BY subscription, key, position) AS head
           ORDER BY subscription, position LIMIT $2""",
        None if projection is None else projection.schema,
        limit,
    )
    return [DeadLetter(**dict(record)) for record in records]


async def waiting_letters(pool: asyncpg.Pool, projection: type[Projection] | Projection, key: str) -> list[DeadLetter]:
    """The events that wait behind the first one of a parked key, in order. Raises LookupError if it is not parked."""
    records = await pool.fetch(
        """SELECT subscription, key, position, event_id, type, error, attempts, parked_at FROM dead_letters
           WHERE subscription = $1 AND key = $2 ORDER BY position""",
        projection.schema,
        key,
    )
    if not records:
        raise LookupError(f"{projection.schema}: nothing is parked under key {key}")
    return [DeadLetter(**dict(record)) for record in records[1:]]


async def retry(pool: asyncpg.Pool, log: EventLog, projection: Projection, key: str) -> Retried:
    """Apply the parked events of a key in order, up to the first that fails again.

    The runners may be at work: the locks of the checkpoints decide who comes first. Raises SchemaChanged or
    NoGeneration if this code and the live generation don't fit.
    """
    generation = Generation(projection, log.types)
    applied, at_once = 0, _AT_ONCE
    while True:
        async with pool.acquire() as conn:
            try:
                taken = await _apply_first(conn, generation, log, key, at_once)
            except EventFailed as failure:
                if failure.index == 0:
                    return await _failed_again(conn, generation, key, applied, describe_error(failure.cause))
                at_once = failure.index
            except Exception as error:
                if not blames_event(error):
                    raise
                at_once = max(1, at_once // 2)
            else:
                if not taken:
                    return Retried(applied)
                applied += taken
                at_once = min(at_once * 2, _AT_ONCE)


async def retry_all(pool: asyncpg.Pool, log: EventLog, projection: Projection) -> dict[str, Retried]:
    """As `retry`, for every parked key."""
    letters = await dead_letters(pool, projection, limit=1_000_000)
    return {letter.key: await retry(pool, log, projection, letter.key) for letter in letters}


async def discard(
    pool: asyncpg.Pool, log: EventLog, projection: Projection, key: str, *, reason: str, by: str
) -> Retried:
    """Decide that the event that failed first of a key shall never take effect; then retry those behind it.

    The decision is an event of the log, appended in the transaction that removes the letter, so that it holds for every
    rebuild of this version, also in a database brought back from the log alone. What a broken-off rebuild has left was
    built without it and is dropped. Raises LookupError if nothing is parked under the key, RebuildRunning.
    """
    reason, by = reason.strip(), by.strip()
    if not reason or not by:
        raise ValueError("discard: a reason and a name are required")
    generation = Generation(projection, log.types)
    schema = generation.schema
    async with pool.acquire() as conn, conn.transaction():
        await not_while_rebuilding(conn, schema)
        await generation.lock(conn)
        letter = await conn.fetchrow(
            """DELETE FROM dead_letters WHERE subscription = $1 AND position = (
                   SELECT min(position) FROM dead_letters WHERE subscription = $1 AND key = $2)
               RETURNING subscription, position, key, event_id, type, coalesce(error, '') AS error""",
            schema,
            key,
        )
        if letter is None:
            raise LookupError(f"{schema}: nothing is parked under key {key}")
        await Generation(projection, log.types, Suffix.NEW).drop(conn)
        decision = DeadLetterDiscarded(**dict(letter), reason=reason, by=by)
        stream, now = dead_letters_stream(schema), datetime.now(UTC)
        await log.append([NewEvent(stream, decision, now, metadata=Metadata(actor=by))], conn=conn)
    log.wake()
    return await retry(pool, log, projection, key)


async def _apply_first(conn: asyncpg.Connection, generation: Generation, log: EventLog, key: str, limit: int) -> int:
    """Apply up to `limit` parked events of a key in one transaction; returns how many, 0 if none is left."""
    async with conn.transaction(isolation="read_committed"):
        await generation.lock(conn)
        records = await conn.fetch(
            "SELECT position FROM dead_letters WHERE subscription = $1 AND key = $2 ORDER BY position LIMIT $3",
            generation.schema,
            key,
            limit,
        )
        if not records:
            return 0
        first = records[0]["position"]
        positions = {record["position"] for record in records if record["position"] < first + _SPAN}
        events = await log.read(first - 1, max(positions), limit=_SPAN, conn=conn)
        batch = Batch(first - 1, max(positions), [event for event in events if event.position in positions])
        positions = {event.position for event in batch.events}  # not those behind events too large to be read at once
        await write_rows(conn, generation, await prepare(generation, batch, NOTHING_HELD, conn))
        await conn.execute(
            "DELETE FROM dead_letters WHERE subscription = $1 AND position = ANY ($2)",
            generation.schema,
            list(positions),
        )
        return len(positions)


async def _failed_again(
    conn: asyncpg.Connection, generation: Generation, key: str, applied: int, error: str
) -> Retried:
    position = await conn.fetchval(
        """UPDATE dead_letters SET error = $3, attempts = attempts + 1 WHERE subscription = $1 AND position = (
               SELECT min(position) FROM dead_letters WHERE subscription = $1 AND key = $2) RETURNING position""",
        generation.schema,
        key,
        error,
    )
    return Retried(applied, position, error)

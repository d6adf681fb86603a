"""Events that failed, and the later ones of their keys: list them, retry them in order, discard one with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from eventlog import EventLog
from projections.batch import NOTHING_HELD, Batch, describe_error, prepare, write_rows
from projections.errors import EventFailed, NoGeneration, SchemaChanged, blames_event
from projections.generation import Generation
from projections.projection import Projection

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
    waiting: int


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


async def retry(pool: asyncpg.Pool, log: EventLog, projection: Projection, key: str) -> Retried:
    """Apply the parked events of a key in order, up to the first that fails again.

    The runner may be at work: the lock of the checkpoint decides who comes first. Raises SchemaChanged or NoGeneration
    if this code and the live generation don't fit.
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

    The decision is recorded with its reason and holds for rebuilds of this version, too. Raises LookupError if
    nothing is parked under the key.
    """
    if not reason.strip() or not by.strip():
        raise ValueError("discard: a reason and a name are required")
    generation = Generation(projection, log.types)
    async with pool.acquire() as conn, conn.transaction():
        await _lock(conn, generation)
        discarded = await conn.fetchval(
            """WITH head AS (
                   DELETE FROM dead_letters WHERE subscription = $1 AND position = (
                       SELECT min(position) FROM dead_letters WHERE subscription = $1 AND key = $2)
                   RETURNING position, key, event_id, type, error)
               INSERT INTO discarded_events (projection, position, key, event_id, type, error, reason, discarded_by)
               SELECT $1, position, key, event_id, type, error, $3, $4 FROM head
               ON CONFLICT (projection, position) DO NOTHING RETURNING position""",
            generation.schema,
            key,
            reason.strip(),
            by.strip(),
        )
        if discarded is None:
            raise LookupError(f"{generation.schema}: nothing is parked under key {key}")
    return await retry(pool, log, projection, key)


async def _apply_first(conn: asyncpg.Connection, generation: Generation, log: EventLog, key: str, limit: int) -> int:
    """Apply up to `limit` parked events of a key in one transaction; returns how many, 0 if none is left."""
    async with conn.transaction(isolation="read_committed"):
        await _lock(conn, generation)
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


async def _lock(conn: asyncpg.Connection, generation: Generation) -> None:
    """Keep the runner and other retries away until the transaction ends."""
    fingerprint = await conn.fetchval(
        "SELECT fingerprint FROM checkpoints WHERE subscription = $1 FOR UPDATE", generation.schema
    )
    if fingerprint is None:
        raise NoGeneration(f"{generation.schema} does not exist")
    if fingerprint != generation.fingerprint:
        raise SchemaChanged(f"{generation.schema}: its tables are not those that this release declares")

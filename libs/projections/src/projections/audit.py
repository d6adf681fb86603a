"""Proving that the live rows are the log's: they are computed anew and compared, at exactly the same position."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

import asyncpg

from eventlog import EventLog, Watermark
from projections import control
from projections.compare import Comparison
from projections.generation import Generation, Suffix, require
from projections.job import Job, OnProgress
from projections.projection import Projection
from projections.swap import exclusively

_ATTEMPTS = 5


async def audit(
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    projection: Projection,
    *,
    on_progress: OnProgress | None = None,
    events_per_second: int | None = None,
) -> Comparison:
    """Compute the rows anew up to the live position and say what differs; the live rows are `first`.

    What is parked or was discarded is left out on both sides: a parked key's rows are computed up to where the key
    stands. Should somebody retry or discard meanwhile, so that the two sides differ in what is parked, it starts again.

    Raises RebuildRunning if an audit of it is running, NoGeneration, SchemaChanged.
    """
    live, side = (Generation(projection, log.types, suffix) for suffix in (Suffix.LIVE, Suffix.AUDIT))
    async with exclusively(pool, side.schema) as conn:
        await require(live, conn)
        try:
            for _ in range(_ATTEMPTS):
                await side.drop(conn)
                await control.begin(conn, side.schema, events_per_second)
                job = Job(pool, log, watermark, side, conn, on_progress)
                await job.create()
                await _adopt_letters(conn, live, side)
                await job.start(indexes=False)
                comparison = await job.compare_with(live)
                parked = await _letters(conn, side, job.position)
                if comparison.equal or parked == await _letters(conn, live, job.position):
                    break
            job.tell("done")
            return replace(comparison, parked_keys=len({key for key, _ in parked}))
        finally:
            if not conn.is_closed():
                await side.drop(conn)


async def _adopt_letters(conn: asyncpg.Connection, live: Generation, side: Generation) -> None:
    """What is parked in the live rows does not take effect in the computed ones either."""
    await conn.execute(
        """INSERT INTO dead_letters (subscription, position, key, event_id, type, error, attempts)
           SELECT $2, position, key, event_id, type, error, attempts FROM dead_letters WHERE subscription = $1""",
        live.schema,
        side.schema,
    )


async def _letters(conn: asyncpg.Connection, generation: Generation, upto: int) -> Set[tuple[str, int]]:
    records = await conn.fetch(
        "SELECT key, position FROM dead_letters WHERE subscription = $1 AND position <= $2", generation.schema, upto
    )
    return {(record["key"], record["position"]) for record in records}

"""Rebuilding a projection while it serves, and going back to the former rows."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from eventlog import EventLog, Watermark
from projections import control
from projections.compare import Comparison
from projections.generation import Generation, Suffix, require
from projections.job import Job, OnProgress
from projections.projection import Projection
from projections.swap import exclusively

SWAP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to. Not `swapped`: rows differed and `only_if_equal` was asked for; `_new` is kept."""

    position: int
    events: int
    seconds: float
    swapped: bool
    comparison: Comparison | None


async def rebuild(
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    projection: Projection,
    *,
    on_progress: OnProgress | None = None,
    compare: bool = False,
    only_if_equal: bool = False,
    events_per_second: int | None = None,
    resume: bool = False,
    workers: int = 1,
    swap_seconds: float = SWAP_SECONDS,
) -> Rebuilt:
    """Build the rows anew from the whole log beside the live ones, then exchange the two; the former stay as `_old`.

    `workers` above one divides the keys among that many processes, which import the projection and its events by name.
    `compare` compares them at the same position first, `only_if_equal` swaps only if nothing differs.
    `events_per_second` throttles; `control` changes that on the way, and pauses. `resume` goes on where a rebuild was
    broken off, which is right only if the handlers have not changed since; otherwise what it left is dropped. The live
    generation serves and is fed all the while.

    Raises RebuildRunning, NoGeneration, WorkerFailed, SchemaChanged (asked to compare different tables), SwapBlocked.
    """
    live, new = (Generation(projection, log.types, suffix) for suffix in (Suffix.LIVE, Suffix.NEW))
    old = Generation(projection, log.types, Suffix.OLD)
    async with exclusively(pool, projection.schema) as conn:
        await require(live, conn)
        if not resume:
            await new.drop(conn)
        await control.begin(conn, new.schema, events_per_second)
        job = Job(pool, log, watermark, new, conn, on_progress, workers=workers)
        await job.start()
        comparison = None
        if compare or only_if_equal:
            comparison = await job.compare_with(live)
        if only_if_equal and comparison is not None and not comparison.equal:
            return Rebuilt(job.position, job.events, job.seconds, False, comparison)
        await job.catch_up()
        job.tell("drop")
        await old.drop(conn)
        job.tell("swap")
        await job.swap(live, old, swap_seconds)
        await control.forget(conn, new.schema)
        job.tell("done")
        return Rebuilt(job.position, job.events, job.seconds, True, comparison)


async def rollback(
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    projection: Projection,
    *,
    swap_seconds: float = SWAP_SECONDS,
) -> int:
    """Make the generation before the last swap the live one again, after it has caught up; returns the position.

    Raises NoGeneration if there is none, SchemaChanged if another release must do it, RebuildRunning, SwapBlocked.
    """
    live, old = (Generation(projection, log.types, suffix) for suffix in (Suffix.LIVE, Suffix.OLD))
    async with exclusively(pool, projection.schema) as conn:
        await require(old, conn)
        job = Job(pool, log, watermark, old, conn)
        await job.start()
        await job.swap(live, old, swap_seconds)
        return job.position


async def drop_old(pool: asyncpg.Pool, log: EventLog, projection: Projection) -> bool:
    """Remove the generation before the last swap; returns whether there was one. Raises RebuildRunning."""
    async with exclusively(pool, projection.schema) as conn:
        return await Generation(projection, log.types, Suffix.OLD).drop(conn)


async def clear(pool: asyncpg.Pool, log: EventLog, projection: Projection) -> bool:
    """Remove the live rows and those kept beside them; a runner makes them anew from the whole log when it starts.

    For what stands still: queries fail meanwhile, where `rebuild` serves on. Returns whether there were any rows.
    Raises RebuildRunning.
    """
    async with exclusively(pool, projection.schema) as conn:
        generations = [Generation(projection, log.types, suffix) for suffix in (Suffix.NEW, Suffix.OLD, Suffix.LIVE)]
        return any([await generation.drop(conn) for generation in generations])

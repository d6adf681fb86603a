"""Rebuilding a projection while it serves, going back to the former rows, and proving that rows are the log's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from time import monotonic

import asyncpg

from eventlog import EventLog, Watermark
from projections.batch import Batch
from projections.compare import Comparison, compare_on
from projections.errors import SchemaChanged
from projections.follow import follow
from projections.generation import Generation, Suffix, require
from projections.projection import Projection
from projections.runner import BATCH_EVENTS, read_batch
from projections.swap import SWAP_EVENTS, Behind, exclusively, swap

SWAP_SECONDS = 60.0
_SCAN = 20 * BATCH_EVENTS  # positions looked through by one query, however few events are of interest


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rebuild is. `seconds_left` is an estimate for the phase, None before there is one."""

    phase: str  # build, index, compare, swap, done
    position: int
    target: int
    events: int
    events_per_second: float
    seconds_left: float | None


OnProgress = Callable[[Progress], None]


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
    events_per_second: float | None = None,
    resume: bool = False,
    swap_seconds: float = SWAP_SECONDS,
) -> Rebuilt:
    """Build the rows anew from the whole log beside the live ones, then exchange the two; the former stay as `_old`.

    `compare` compares them at the same position first, `only_if_equal` swaps only if nothing differs.
    `events_per_second` throttles. `resume` goes on where a rebuild was broken off, which is right only if the handlers
    have not changed since; otherwise what it left is dropped. The live generation serves and is fed all the while.

    Raises RebuildRunning, NoGeneration, SchemaChanged (asked to compare different tables), SwapBlocked.
    """
    live, new = (Generation(projection, log.types, suffix) for suffix in (Suffix.LIVE, Suffix.NEW))
    old = Generation(projection, log.types, Suffix.OLD)
    async with exclusively(pool, projection.schema) as conn:
        await require(live, conn)
        if not resume:
            await new.drop(conn)
        job = _Job(pool, log, watermark, new, conn, on_progress, events_per_second)
        await job.start()
        comparison = None
        if compare or only_if_equal:
            comparison = await job.compare_with(live)
        if only_if_equal and comparison is not None and not comparison.equal:
            return job.result(swapped=False, comparison=comparison)
        await job.catch_up()
        job.tell("swap")
        await old.drop(conn)
        await job.swap(live, old, swap_seconds)
        job.tell("done")
        return job.result(swapped=True, comparison=comparison)


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
        job = _Job(pool, log, watermark, old, conn)
        await job.start()
        await job.swap(live, old, swap_seconds)
        return job.position


async def drop_old(pool: asyncpg.Pool, log: EventLog, projection: Projection) -> bool:
    """Remove the generation before the last swap; returns whether there was one. Raises RebuildRunning."""
    async with exclusively(pool, projection.schema) as conn:
        return await Generation(projection, log.types, Suffix.OLD).drop(conn)


async def audit(
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    projection: Projection,
    *,
    on_progress: OnProgress | None = None,
    events_per_second: float | None = None,
) -> Comparison:
    """Compute the rows anew up to the live position and say what differs; the live rows are `first`.

    Raises RebuildRunning if an audit of it is running, NoGeneration, SchemaChanged.
    """
    live, side = (Generation(projection, log.types, suffix) for suffix in (Suffix.LIVE, Suffix.AUDIT))
    async with exclusively(pool, side.schema) as conn:
        await require(live, conn)
        await side.drop(conn)
        try:
            job = _Job(pool, log, watermark, side, conn, on_progress, events_per_second)
            await job.start(indexes=False)
            comparison = await job.compare_with(live)
            job.tell("done")
            return comparison
        finally:
            if not conn.is_closed():
                await side.drop(conn)


class _Job:
    """Brings one generation up to date beside the live one, on one connection, and tells how far it is."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        log: EventLog,
        watermark: Watermark,
        generation: Generation,
        conn: asyncpg.Connection,
        on_progress: OnProgress | None = None,
        events_per_second: float | None = None,
    ) -> None:
        self._pool = pool
        self._log = log
        self._watermark = watermark
        self._generation = generation
        self._conn = conn
        self._on_progress = on_progress
        self._rate = events_per_second
        self._types = sorted(generation.handlers)
        self._started = monotonic()
        self._first = 0
        self._events = 0
        self.position = 0
        self._target = 0

    async def start(self, *, indexes: bool = True) -> None:
        """Create the generation if it is missing and follow the live one until little is left.

        It never passes the live position, so that the two can still be compared. The indexes beside the primary keys
        are built when the rows are there, which is faster than keeping them up to date.
        """
        self.position = self._first = await self._generation.ensure(self._conn, indexes=False)
        await self._follow_live()
        if indexes:
            self.tell("index")
            await self._generation.build_indexes(self._conn)
            await self._follow_live()

    async def catch_up(self) -> None:
        """Apply everything up to the safe horizon, again and again until little is left."""
        while (horizon := await self._watermark.measure()) - self.position > SWAP_EVENTS:
            await self._apply("build", horizon)

    async def swap(self, live: Generation, retired: Generation, seconds: float) -> None:
        while True:
            try:
                self.position = await swap(self._conn, self._log, live, self._generation, retired, seconds)
                return
            except Behind:
                await self._apply("build", await self._live_position())

    async def compare_with(self, live: Generation) -> Comparison:
        """Compare with the live rows at exactly the same position, without holding up whoever writes or reads them."""
        async with self._pool.acquire() as conn:
            await conn.execute("SET idle_in_transaction_session_timeout = 0")
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                row = await conn.fetchrow(
                    "SELECT position, fingerprint FROM checkpoints WHERE subscription = $1", live.schema
                )
                if row["fingerprint"] != self._generation.fingerprint:
                    raise SchemaChanged(f"{live.schema}: its tables are others than those declared now: not comparable")
                await self._apply("build", row["position"])
                self.tell("compare")
                async with self._conn.transaction(isolation="repeatable_read", readonly=True):
                    tables = [spec.table for spec in live.specs]
                    sides = (conn, live.schema, self._conn, self._generation.schema)
                    return await compare_on(*sides, tables, position=row["position"])

    def tell(self, phase: str) -> None:
        """Report progress."""
        if self._on_progress is None:
            return
        seconds = monotonic() - self._started
        done, left = self.position - self._first, max(0, self._target - self.position)
        estimate = left * seconds / done if done > 0 else None
        speed = self._events / seconds if seconds > 0 else 0.0
        self._on_progress(Progress(phase, self.position, self._target, self._events, speed, estimate))

    def result(self, *, swapped: bool, comparison: Comparison | None) -> Rebuilt:
        return Rebuilt(self.position, self._events, monotonic() - self._started, swapped, comparison)

    async def _follow_live(self) -> None:
        while (target := await self._live_position()) > self.position:
            close = target - self.position <= SWAP_EVENTS
            await self._apply("build", target)
            if close:
                return

    async def _live_position(self) -> int:
        position: int = await self._conn.fetchval(
            "SELECT position FROM checkpoints WHERE subscription = $1", self._generation.projection.schema
        )
        return position

    async def _apply(self, phase: str, until: int) -> None:
        self._target = until
        began, before = monotonic(), self._events

        async def next_batch(position: int) -> Batch:
            upto = min(until, position + _SCAN)
            return await read_batch(self._log, position, upto, BATCH_EVENTS, types=self._types)

        async def after_batch(batch: Batch) -> None:
            self._events += len(batch.events)
            self.position = batch.upto
            self.tell(phase)
            if self._rate is not None:
                ahead = (self._events - before) / self._rate - (monotonic() - began)
                await asyncio.sleep(max(0.0, ahead))

        await follow(
            self._generation, lambda: nullcontext(self._conn), next_batch, self.position, until, after_batch=after_batch
        )

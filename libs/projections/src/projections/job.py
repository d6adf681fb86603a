"""One generation brought up to date beside the live one: the work that rebuilds, audits and replays share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic

import asyncpg

from eventlog import EventLog, Watermark, session
from projections.batch import Batch
from projections.compare import Comparison, compare_on
from projections.control import Pace
from projections.division import undivided
from projections.errors import SchemaChanged
from projections.feed import BATCH_EVENTS, SCAN, read_batch
from projections.follow import deliver, follow
from projections.generation import Generation
from projections.parallel import advance
from projections.partitions import left_over
from projections.swap import SWAP_EVENTS, Behind, swap

_PARALLEL_FROM = 10 * BATCH_EVENTS  # positions from which starting processes is worth the second it takes


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rebuild is. `seconds_left` is an estimate for the phase, None before there is one."""

    phase: str  # build, paused, index, compare, drop (of _old), swap, done
    position: int
    target: int
    events: int
    events_per_second: float
    seconds_left: float | None


OnProgress = Callable[[Progress], None]
Read = Callable[[int, int], Awaitable[Batch]]
"""Reads the next batch of those events that a job applies: after a position, at most up to another."""


class Job:
    """Brings one generation up to date beside the live one, on one connection, and tells how far it is."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        log: EventLog,
        watermark: Watermark,
        generation: Generation,
        conn: asyncpg.Connection,
        on_progress: OnProgress | None = None,
        read: Read | None = None,
        workers: int = 1,
    ) -> None:
        self._pool = pool
        self._log = log
        self._watermark = watermark
        self._generation = generation
        self._conn = conn
        self._on_progress = on_progress
        self.read = read or self._read_handled
        self._workers = workers
        self._pace = Pace(conn, generation.schema, on_pause=lambda: self.tell("paused"))
        self._types = sorted(generation.handlers)
        self._started = monotonic()
        self._first = 0
        self.events = 0
        self.position = 0
        self._target = 0

    async def start(self, *, indexes: bool = True) -> None:
        """Create the generation if it is missing and follow the live one until little is left.

        It never passes the live position, so that the two can still be compared.
        """
        await self.create()
        await self._follow_live()
        if indexes:
            await self.index()
            await self._follow_live()

    async def create(self) -> None:
        """Create the generation, without its indexes, if it is missing; the job goes on from where it is."""
        self.position = self._first = await self._generation.ensure(self._conn, indexes=False)
        if await left_over(self._conn, self._generation):  # a run of several workers was broken off: finish it
            await self._apply_in_parallel(self.position)

    async def index(self) -> None:
        """Build the indexes beside the primary keys: faster when the rows are there than keeping them up to date."""
        self.tell("index")
        await self._generation.build_indexes(self._conn)

    async def catch_up(self) -> None:
        """Apply everything up to the safe horizon, again and again until little is left."""
        while (horizon := await self._watermark.measure()) - self.position > SWAP_EVENTS:
            await self.apply(horizon)

    async def swap(self, live: Generation, retired: Generation, seconds: float) -> None:
        while True:
            try:
                async with undivided(self._conn, self._log, live):
                    self.position = await swap(self._conn, self._log, live, self._generation, retired, seconds)
                return
            except Behind:
                await self.apply(await self.live_position())

    async def compare_with(self, live: Generation) -> Comparison:
        """Compare with the live rows at exactly the same position, without holding up whoever writes or reads them."""
        async with session(self._pool) as conn, AsyncExitStack() as stack:
            await conn.execute("SET idle_in_transaction_session_timeout = 0")
            async with undivided(self._conn, self._log, live):
                await stack.enter_async_context(conn.transaction(isolation="repeatable_read", readonly=True))
                row = await conn.fetchrow(
                    "SELECT position, fingerprint FROM checkpoints WHERE subscription = $1", live.schema
                )
            if row["fingerprint"] != self._generation.fingerprint:
                raise SchemaChanged(f"{live.schema}: its tables are others than those declared now: not comparable")
            await self.apply(row["position"])
            self.tell("compare")
            async with self._conn.transaction(isolation="repeatable_read", readonly=True):
                tables = [spec.table for spec in live.specs]
                sides = (conn, live.schema, self._conn, self._generation.schema)
                return await compare_on(*sides, tables, position=row["position"])

    def tell(self, phase: str) -> None:
        """Report progress."""
        if self._on_progress is None:
            return
        seconds = self.seconds
        done, left = self.position - self._first, max(0, self._target - self.position)
        estimate = left * seconds / done if done > 0 else None
        speed = self.events / seconds if seconds > 0 else 0.0
        self._on_progress(Progress(phase, self.position, self._target, self.events, speed, estimate))

    @property
    def seconds(self) -> float:
        """How long the job has been at work."""
        return monotonic() - self._started

    async def _follow_live(self) -> None:
        while (target := await self.live_position()) > self.position:
            close = target - self.position <= SWAP_EVENTS
            await self.apply(target)
            if close:
                return

    async def live_position(self) -> int:
        """How far the live generation is: where its partitions are united."""
        position: int = await self._conn.fetchval(
            "SELECT furthest FROM progress WHERE subscription = $1", self._generation.projection.schema
        )
        return position

    async def apply(self, until: int) -> None:
        """Apply everything up to a position below the safe horizon, as fast as the pace allows."""
        if self._workers > 1 and until - self.position >= _PARALLEL_FROM:
            return await self._apply_in_parallel(until)
        self._target = until

        async def next_batch(position: int) -> Batch:
            return await self.read(position, until)

        async def after_batch(batch: Batch) -> None:
            self.events += len(batch.events)
            self.position = batch.upto
            self.tell("build")
            await self._pace.keep(len(batch.events))

        sink = partial(deliver, self._conn)
        await follow(self._generation, sink, next_batch, self.position, until, after_batch=after_batch)

    async def _read_handled(self, after: int, upto: int) -> Batch:
        return await read_batch(self._log, after, min(upto, after + SCAN), BATCH_EVENTS, types=self._types)

    async def _apply_in_parallel(self, until: int) -> None:
        self._target = until

        def on_advance(position: int, events: int) -> None:
            self.events += events
            self.position = position
            self.tell("build")

        self.position = await advance(
            self._pool,
            self._conn,
            self._generation,
            self._log.types,
            until=until,
            workers=self._workers,
            on_advance=on_advance,
            on_pause=lambda: self.tell("paused"),
        )

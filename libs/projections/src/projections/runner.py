"""The worker that keeps a service's projections fresh."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from functools import partial

import asyncpg

from eventlog import EventLog, Share, Watermark
from projections import metrics
from projections.batch import Batch
from projections.control import Gate
from projections.errors import Fenced, SchemaChanged
from projections.follow import follow
from projections.generation import Generation
from projections.measures import Measures
from projections.projection import Projection

logger = logging.getLogger("projections")

BATCH_EVENTS = 5_000
_WAIT_SECONDS = 5.0  # one wait for the horizon; only bounds how long an abandoned wait lives
_KEPT_BATCHES = 6  # bounds the memory of the feed
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STANDBY_SECONDS = 0.5


class Feed:
    """Reads of the log shared by all projections of a process: those at the same position share one read.

    A projection that lags, or retries, asks for other positions and so catches up by itself.
    """

    def __init__(self, log: EventLog, watermark: Watermark, batch_events: int = BATCH_EVENTS) -> None:
        self._log = log
        self._watermark = watermark
        self._batch_events = batch_events
        self._reads: dict[int, asyncio.Task[Batch]] = {}

    async def after(self, position: int) -> Batch:
        """The batch after `position`; waits until there is something."""
        read = self._reads.get(position)
        if read is None or (read.done() and (read.cancelled() or read.exception() is not None)):
            read = self._reads[position] = asyncio.create_task(self._read(position))
            self._forget_some()
        return await asyncio.shield(read)

    async def close(self) -> None:
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)  # cancelled on purpose

    async def _read(self, position: int) -> Batch:
        horizon = self._watermark.position
        while horizon <= position:
            horizon = await self._watermark.beyond(position, _WAIT_SECONDS)
        return await read_batch(self._log, position, horizon, self._batch_events)

    def _forget_some(self) -> None:
        done = [position for position, read in self._reads.items() if read.done()]
        for position in done[: max(0, len(self._reads) - _KEPT_BATCHES)]:
            del self._reads[position]


async def read_batch(
    log: EventLog,
    after: int,
    upto: int,
    limit: int,
    types: Sequence[str] | None = None,
    conn: asyncpg.Connection | None = None,
    share: Share | None = None,
) -> Batch:
    """The next batch of the log; it reaches `upto`, which must be below the safe horizon, or `limit` events."""
    events = await log.read(after, upto, limit, types=types, conn=conn, share=share)
    return Batch(after, events[-1].position if len(events) == limit else upto, events)


class Runner:
    """Feeds the live generations of `projections`, creating those that are missing. A worker: run it until cancelled.

    Several may run at once: the compare-and-set of the checkpoint lets one win each batch, the others stand by.
    """

    name = "projections"

    def __init__(
        self,
        pool: asyncpg.Pool,
        log: EventLog,
        watermark: Watermark,
        projections: Sequence[Projection],
        *,
        batch_events: int = BATCH_EVENTS,
    ) -> None:
        self._pool = pool
        self._watermark = watermark
        self._log = log
        self._batch_events = batch_events
        self._generations = [Generation(projection, log.types) for projection in projections]
        self._schemas = {generation.schema for generation in self._generations}
        if len(self._schemas) < len(projections):
            raise ValueError("two projections have the same name and version")

    async def create_missing(self) -> None:
        """Create the schemas of projections that have none. Raises SchemaChanged if one has other tables."""
        async with self._pool.acquire() as conn:
            for generation in self._generations:
                await generation.ensure(conn)

    async def run(self) -> None:
        """Feed all projections until cancelled. Raises SchemaChanged at once if one has other tables."""
        await self._start()
        feed = Feed(self._log, self._watermark, self._batch_events)
        gate = Gate(self._pool, self._schemas)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(gate.watch())
                tasks.create_task(Measures(self._pool, self._watermark, self._schemas).watch())
                for generation in self._generations:
                    tasks.create_task(self._keep_fresh(generation, feed, gate))
        finally:
            await feed.close()

    async def _start(self) -> None:
        failures = 0
        while True:
            try:
                return await self.create_missing()
            except SchemaChanged:
                raise
            except Exception:  # the database is away, as it may be later
                failures += 1
                await _back_off(self.name, failures)

    async def _keep_fresh(self, generation: Generation, feed: Feed, gate: Gate) -> None:
        failures = 0
        connect = partial(gate.connection, generation.schema)

        async def after_batch(_: Batch) -> None:
            nonlocal failures
            failures = 0

        while True:
            try:
                async with self._pool.acquire() as conn:
                    position = await generation.ensure(conn)
                await follow(generation, connect, feed.after, position, after_batch=after_batch)
            except Fenced as fenced:
                logger.info("%s; standing by", fenced)
                await asyncio.sleep(_STANDBY_SECONDS)
            except Exception:  # no event's fault: tried again for ever, seen by lag and by the log
                failures += 1
                metrics.RETRIES.labels(generation.schema).inc()
                await _back_off(generation.schema, failures)


async def _back_off(what: str, failures: int) -> None:
    """Log the exception being handled and wait, longer each time."""
    pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), _LONGEST_PAUSE_SECONDS)
    logger.exception("%s: failed, trying again within %.1f s", what, pause)
    await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter

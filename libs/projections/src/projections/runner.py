"""The worker that keeps a service's projections fresh."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from time import monotonic

import asyncpg

from eventlog import EventLog, Watermark
from projections import metrics
from projections.batch import Batch, Held, Prepared
from projections.control import Gate
from projections.crew import Crew
from projections.division import arrange, declare, declared
from projections.errors import Fenced, NoGeneration, SchemaChanged
from projections.feed import BATCH_EVENTS, Feed
from projections.follow import NextBatch, deliver, follow
from projections.generation import Generation, require
from projections.measures import Measures
from projections.partitions import Partition
from projections.projection import Projection
from projections.shared_writer import SharedWriter

logger = logging.getLogger("projections")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STANDBY_SECONDS = 0.5


class Runner:
    """Feeds the live generations of `projections`, creating those that are missing. A worker: run it until cancelled.

    Several may run at once: they share out the partitions of a projection; of one that declares none, the
    compare-and-set of the checkpoint lets one win each batch, and the others stand by.
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
                await declare(conn, generation)

    async def run(self) -> None:
        """Feed all projections until cancelled. Raises SchemaChanged at once if one has other tables."""
        await self._start()
        feed = Feed(self._log, self._watermark, self._batch_events)
        gate = Gate(self._pool, self._schemas)
        writer = SharedWriter(self._pool)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(gate.watch())
                tasks.create_task(Measures(self._pool, self._watermark, self._schemas).watch())
                for generation in self._generations:
                    tasks.create_task(self._keep_fresh(generation, feed, gate, writer))
        finally:
            await writer.close()

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

    async def _keep_fresh(self, generation: Generation, feed: Feed, gate: Gate, writer: SharedWriter) -> None:
        """Feed a live generation for ever: all of it, or this instance's part if it is to be divided."""
        failures = 0
        while True:
            began = monotonic()
            try:
                async with self._pool.acquire() as conn:
                    await generation.ensure(conn)
                    alone = await declared(conn, generation) == 1
                    if alone:
                        await arrange(conn, self._log, generation)
                if alone:
                    await self._feed(generation, feed, gate, writer)
                    await asyncio.sleep(_STANDBY_SECONDS)
                else:
                    crew = Crew(self._pool, self._log, generation, lambda part: self._feed(part, feed, gate, writer))
                    await crew.run()
            except Exception:
                failures = failures + 1 if monotonic() - began < _LONGEST_PAUSE_SECONDS else 1
                await _back_off(generation.schema, failures)

    async def _feed(self, generation: Generation, feed: Feed, gate: Gate, writer: SharedWriter) -> None:
        """Feed a generation or a partition until another process moves its checkpoint or takes it away."""
        failures = 0

        async def sink(generation: Generation, prepared: Prepared) -> Held:
            await gate.passed(generation.schema)
            if not isinstance(generation, Partition):
                return await writer.deliver(generation, prepared)
            async with self._pool.acquire() as conn:  # partitions are at positions of their own
                return await deliver(conn, generation, prepared)

        async def after_batch(_: Batch) -> None:
            nonlocal failures
            failures = 0

        while True:
            try:
                position = await require(generation, self._pool)
                await follow(generation, sink, self._reader(generation, feed), position, after_batch=after_batch)
            except (Fenced, NoGeneration) as gone:
                logger.info("%s; standing by", gone)
                self._log.read_anew()
                return
            except Exception:  # no event's fault: tried again for ever, seen by lag and by the log
                failures += 1
                self._log.read_anew()
                metrics.RETRIES.labels(generation.schema).inc()
                await _back_off(generation.checkpoint, failures)

    def _reader(self, generation: Generation, feed: Feed) -> NextBatch:
        """A partition reads by itself, and only what is its own; the others share their reads."""
        if not isinstance(generation, Partition):
            return feed.after

        async def next_batch(position: int) -> Batch:
            return await generation.read(self._log, position, await feed.horizon_beyond(position), self._batch_events)

        return next_batch


async def _back_off(what: str, failures: int) -> None:
    """Log the exception being handled and wait, longer each time."""
    pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), _LONGEST_PAUSE_SECONDS)
    logger.exception("%s: failed, trying again within %.1f s", what, pause)
    await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter

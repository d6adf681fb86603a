"""Gauges that must be true also while nothing moves: lag, dead letters, and rebuilds that run in other processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from time import monotonic

import asyncpg

from eventlog import Watermark
from projections import metrics

logger = logging.getLogger("projections")

MEASURE_SECONDS = 1.0
COUNTING_SHARE = 50  # a part in so many of the time is spent on counting, however many letters there are
LONGEST_PAUSE_SECONDS = 30.0  # one slow look says little of the next


class Measures:
    """What the database says of the live generations `schemas`, and of those that are being built to replace them."""

    def __init__(self, pool: asyncpg.Pool, watermark: Watermark, schemas: Iterable[str]) -> None:
        self._pool = pool
        self._watermark = watermark
        self._schemas = list(schemas)

    async def watch(self) -> None:
        """Measure every second, or less often where it takes long, until cancelled."""
        while True:
            began = monotonic()
            try:
                await self.measure()
            except Exception:  # the database is away, for the runner too; the gauges stay as they were
                logger.exception("projections: cannot be measured, trying again")
            pause = max(MEASURE_SECONDS, COUNTING_SHARE * (monotonic() - began))
            await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))

    async def measure(self) -> None:
        """Bring the gauges up to date once."""
        horizon = self._watermark.position
        rows = await self._pool.fetch(
            """SELECT live.subscription AS schema, live.position, live.partitions,
                      (SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM events
                       WHERE position > live.position AND position <= $2 ORDER BY position LIMIT 1) AS waiting,
                      (SELECT count(*) FROM dead_letters WHERE subscription = live.subscription) AS letters,
                      (SELECT position FROM progress WHERE subscription = live.subscription || '_new') AS built
               FROM progress AS live WHERE subscription = ANY ($1)""",
            self._schemas,
            horizon,
        )
        for row in rows:
            schema = row["schema"]
            metrics.POSITION.labels(schema).set(row["position"])
            metrics.PARTITIONS.labels(schema).set(row["partitions"])
            metrics.LAG_EVENTS.labels(schema).set(max(0, horizon - row["position"]))
            metrics.LAG_SECONDS.labels(schema).set(max(0.0, row["waiting"] or 0.0))
            metrics.DEAD_LETTERS.labels(schema).set(row["letters"])
            self._say_rebuild(schema, row["built"], horizon)

    def _say_rebuild(self, schema: str, position: int | None, target: int) -> None:
        if position is None:
            for gauge in (metrics.REBUILD_POSITION, metrics.REBUILD_TARGET):
                gauge.remove(schema)
            return
        metrics.REBUILD_POSITION.labels(schema).set(position)
        metrics.REBUILD_TARGET.labels(schema).set(target)

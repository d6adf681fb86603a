"""Reading the log in batches, for a rebuild or for live rows that wait for what comes next."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from eventlog import EventLog, Share, Watermark
from projections.batch import Batch

BATCH_EVENTS = 5_000
SCAN = 20 * BATCH_EVENTS  # positions looked through by one query, however few events are of interest
_WAIT_SECONDS = 5.0  # one wait for the horizon


class Feed:
    """What follows in the log, for all projections of a process; those at the same place share what is read.

    A projection that lags, or retries, asks for other positions and so catches up by itself.
    """

    def __init__(self, log: EventLog, watermark: Watermark, batch_events: int = BATCH_EVENTS) -> None:
        self._log = log
        self._watermark = watermark
        self._batch_events = batch_events

    async def after(self, position: int) -> Batch:
        """The batch after `position`; waits until there is something."""
        horizon = await self.horizon_beyond(position)
        events = await self._log.following(position, horizon, self._batch_events)
        return Batch(position, events[-1].position if events else horizon, events)

    async def horizon_beyond(self, position: int) -> int:
        """The safe horizon, once it is above `position`."""
        horizon = self._watermark.position
        while horizon <= position:
            horizon = await self._watermark.beyond(position, _WAIT_SECONDS)
        return horizon


async def read_batch(
    log: EventLog,
    after: int,
    upto: int,
    limit: int,
    types: Sequence[str] | None = None,
    conn: asyncpg.Connection | None = None,
    share: Share | None = None,
) -> Batch:
    """The next batch of the log; it reaches `upto`, which must be below the safe horizon, unless that is too much."""
    events = await log.read(after, upto, limit, types=types, conn=conn, share=share)
    if events and (last := events[-1].position) < upto:
        more = len(events) == limit or await log.read(last, upto, 1, types=types, conn=conn, share=share)
        return Batch(after, last if more else upto, events)
    return Batch(after, upto, events)

"""The events of a log that order a task, and beside the keys the position up to which they are carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

from eventlog import EventLog, RecordedEvent, Watermark
from privacy.keys import KeyStore

LOOK_SECONDS = 1.0  # between two looks at a log that grows all the time
STORE_SECONDS = 5.0  # as often a position is stored that was reached without an order


class Orders:
    """Follows a log for the few events that order one task.

    Where the last look found none, the next is a second later; where nothing was carried out, the position is stored
    now and then. After a crash what was done since the last stored position is done again.
    """

    def __init__(
        self, task: str, log: EventLog, watermark: Watermark, keys: KeyStore, types: Sequence[type], batch: int
    ) -> None:
        self.read = 0
        """Up to here the log was looked through."""
        self._task = task
        self._log = log
        self._watermark = watermark
        self._keys = keys
        self._types = log.types.names(types)
        self._batch = batch
        self._found = self._stored = 0
        self._look_at = self._store_at = 0.0

    async def begin(self) -> None:
        """Go on where the task was left."""
        self._log_id = await self._log.identity()
        self.read = self._found = self._stored = await self._keys.done(self._task, self._log_id)

    async def next(self, timeout: float) -> Sequence[RecordedEvent]:  # noqa: ASYNC109 - a time-out is no error here
        """The next orders, a batch at most; waits for them, but not much longer than `timeout` seconds."""
        await asyncio.sleep(min(timeout, self._look_at - monotonic()))
        horizon = await self._watermark.beyond(self.read, timeout)
        if horizon <= self.read:
            return ()
        orders = await self._log.read(self.read, horizon, self._batch, types=self._types)
        if orders:
            self.read = self._found = orders[-1].position
        else:
            self.read, self._look_at = horizon, monotonic() + LOOK_SECONDS
        return orders

    async def carried_out(self, upto: int) -> None:
        """Note that nothing is left to do up to a position."""
        if upto > self._stored and (self._found > self._stored or monotonic() >= self._store_at):
            await self._keys.advance(self._task, self._log_id, upto)
            self._stored, self._store_at = upto, monotonic() + STORE_SECONDS

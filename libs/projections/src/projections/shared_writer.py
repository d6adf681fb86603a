"""Several generations written in one transaction a batch: one connection, one commit, all checkpoints in one statement.

Projections that are fed by one read are ready at about the same time. What is ready when a transaction ends goes into
the next one together. If that is refused, for the fault of whichever of them, it has left nothing, and each is written
by itself, so that it parks its own events, is fenced by its own rival, and is kept waiting by nobody's errors.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from time import perf_counter

import asyncpg

from projections.batch import Held, Prepared, write_together
from projections.errors import Fenced
from projections.follow import deliver, measure
from projections.generation import Generation

logger = logging.getLogger("projections")


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    generation: Generation
    prepared: Prepared
    outcome: asyncio.Future[Held]


class SharedWriter:
    """Writes what the live generations of one runner have prepared."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._ready: list[_Ready] = []
        self._writer: asyncio.Task[None] | None = None

    async def deliver(self, generation: Generation, prepared: Prepared) -> Held:
        """As `follow.deliver`. Cancelled, it may be written all the same: the checkpoint tells."""
        outcome: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
        self._ready.append(_Ready(generation, prepared, outcome))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_ready())
        return await outcome

    async def close(self) -> None:
        """Roll back what is being written."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)  # cancelled on purpose

    async def _write_ready(self) -> None:
        try:
            while self._ready:
                async with self._pool.acquire() as conn:  # kept while there is work
                    while self._ready and not conn.is_closed():
                        ready, self._ready = self._ready, []
                        await self._write(conn, [one for one in ready if not one.outcome.done()])
        except Exception as error:  # there is no connection to be had
            ready, self._ready = self._ready, []
            for one in ready:
                _fail(one, error)
        finally:  # in the same step as the last look at what is ready, so that nothing is left waiting
            self._writer = None

    async def _write(self, conn: asyncpg.Connection, ready: list[_Ready]) -> None:
        good = [one for one in ready if one.prepared.failure is None]
        written = good if len(good) > 1 and await self._written(conn, good) else []
        for one in ready:
            if one in written:
                continue
            try:
                held = await deliver(conn, one.generation, one.prepared)
            except Exception as error:
                _fail(one, error)
            else:
                _succeed(one, held)

    async def _written(self, conn: asyncpg.Connection, good: list[_Ready]) -> bool:
        """Whether all could be written in one transaction."""
        started = perf_counter()
        try:
            held = await write_together(conn, [(one.generation, one.prepared) for one in good])
        except Exception as error:
            level = logging.INFO if isinstance(error, Fenced) else logging.WARNING  # a rival is no fault
            logger.log(level, "%d projections are written one by one: %r", len(good), error)
            return False
        for one, now in zip(good, held, strict=True):
            measure(one.generation, one.prepared.batch, started)
            _succeed(one, now)
        return True


def _succeed(one: _Ready, held: Held) -> None:
    if not one.outcome.done():
        one.outcome.set_result(held)


def _fail(one: _Ready, error: Exception) -> None:
    if not one.outcome.done():
        one.outcome.set_exception(error)

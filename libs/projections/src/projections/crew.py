"""Sharing the partitions of a live generation out among the instances that run, each with its crew of workers.

An instance holds, in one session, a shared advisory lock that says it is there, and one for each partition it feeds. It
takes free partitions while it has less than its part of them, and gives one up when it has more. Locks only decide who
works, and go with their session; it is the compare-and-set of the checkpoints that lets each event take effect once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from math import ceil

import asyncpg

from eventlog import EventLog, Share, session
from projections.division import arrange
from projections.generation import Generation
from projections.partitions import Partition, checkpoint_of

logger = logging.getLogger("projections")

LOOK_SECONDS = 0.5
SILENT_SECONDS = 3  # then PostgreSQL ends the session of an instance that is frozen or cut off

Feed = Callable[[Generation], Coroutine[None, None, None]]
"""Feeds a partition, or a whole generation, until it is cancelled or fenced."""


class Crew:
    """The workers of this instance for one live generation."""

    def __init__(self, pool: asyncpg.Pool, log: EventLog, live: Generation, feed: Feed) -> None:
        self._pool = pool
        self._log = log
        self._live = live
        self._feed = feed
        self._workers: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Feed this instance's part until cancelled. Raises what the database raises; nothing is fed any more then."""
        async with session(self._pool) as conn, asyncio.TaskGroup() as group:
            await conn.execute(f"SET idle_session_timeout = '{SILENT_SECONDS}s'")
            await conn.execute("SELECT pg_advisory_lock_shared(hashtextextended($1, 0))", self._roll)
            while True:
                await self._look(conn, group)
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, conn: asyncpg.Connection, group: asyncio.TaskGroup) -> None:
        """Compare what this instance feeds with its part, and change one into the other."""
        live = self._live
        shares = await arrange(conn, self._log, live)
        parts: dict[str, Share | None] = {checkpoint_of(live.schema, share): share for share in shares}
        if not parts:
            parts[live.checkpoint] = None  # all of it
        before = [*self._workers]
        for checkpoint in [name for name, worker in self._workers.items() if worker.done() or name not in parts]:
            await self._give_up(conn, checkpoint)
        fair = ceil(len(parts) / await self._instances(conn))
        for checkpoint in [*self._workers][fair:]:
            await self._give_up(conn, checkpoint)
        for checkpoint, share in parts.items():
            if len(self._workers) < fair and checkpoint not in self._workers and await _take(conn, checkpoint):
                part = live if share is None else Partition(live.projection, self._log.types, live.suffix, share)
                self._workers[checkpoint] = group.create_task(self._feed(part))
        if before != [*self._workers]:
            logger.info("%s: this instance feeds %s", live.schema, ", ".join(self._workers) or "nothing")

    async def _give_up(self, conn: asyncpg.Connection, checkpoint: str) -> None:
        worker = self._workers.pop(checkpoint)
        worker.cancel()
        await asyncio.wait([worker])
        await conn.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", _right(checkpoint))

    async def _instances(self, conn: asyncpg.Connection) -> int:
        """How many are there, this one included."""
        count: int = await conn.fetchval(
            """SELECT count(*) FROM pg_locks, hashtextextended($1, 0) AS key
               WHERE locktype = 'advisory' AND granted AND objsubid = 1
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND classid::bigint = (key >> 32) & 4294967295 AND objid::bigint = key & 4294967295""",
            self._roll,  # PostgreSQL shows the lock's 64 bits in halves, without a sign
        )
        return count

    @property
    def _roll(self) -> str:
        return f"crew of {self._live.schema}"


async def _take(conn: asyncpg.Connection, checkpoint: str) -> bool:
    taken: bool = await conn.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", _right(checkpoint))
    return taken


def _right(checkpoint: str) -> str:
    return f"feeding {checkpoint}"

"""How far the log can be read without missing an event that commits late.

Positions are drawn before commit, so a reader that just asks for `position > checkpoint` can see 8, move on, and never
see 7, whose transaction was slower. The watermark tells the horizon below which nothing can still appear:

1. note h, the last position drawn;
2. note which transactions hold the fence (every writer takes it before it draws a position);
3. wait until none of *those* is left. Whoever draws a position later gets one above h;
4. the horizon is the last event at or below h: behind it are only positions that were drawn and rolled back, which a
   server that crashes may forget and draw again.

Readers never block writers, and writers never wait for each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import perf_counter
from typing import Any

import asyncpg

from eventlog import metrics
from eventlog.errors import BrokenLog

logger = logging.getLogger(__name__)

CHANNEL = "events"
NOTIFY_EVERY_SECONDS = 0.01  # one coalesced NOTIFY: inside the append it would serialise all commits
LONGEST_PAUSE_SECONDS = 0.02
LONG_SECONDS = 5.0  # then whoever keeps all readers waiting is named


class Watermark:
    """The safe horizon of one database, measured by one watcher per process and shared by all its readers."""

    name = "watermark"

    def __init__(self, pool: asyncpg.Pool, poll_seconds: float = 0.25) -> None:
        self.position = 0
        self._pool = pool
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._announce = False
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Watch until cancelled: on each append, heard of by NOTIFY or by this process, and at every poll.

        Raises BrokenLog, and ConnectionError or PostgresError when the database goes away: run it again then.
        """
        async with self._pool.acquire() as conn:
            try:
                await self._check(conn)
                await conn.add_listener(CHANNEL, self._heard)
                # A standby that took over may have less than the server that was measured before.
                self.position = min(self.position, await _measure(conn))
                while True:
                    await self._advance(await _measure(conn))
                    await self._pause(conn)
            except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:  # asyncpg's words for a cut one
                raise ConnectionResetError(f"the watcher lost its connection: {error}") from error
            finally:
                with contextlib.suppress(asyncpg.InterfaceError):  # cut already
                    conn.terminate()  # the listener ends with it, and the pool makes a new one

    async def measure(self) -> int:
        """One fenced measurement now; for scripts and tests that run no watcher."""
        async with self._pool.acquire() as conn:
            await self._check(conn)
            await self._advance(await _measure(conn))
        return self.position

    async def beyond(self, position: int, timeout: float) -> int:  # noqa: ASYNC109 - a time-out is no error here
        """Wait until the horizon is above `position`, at most `timeout` seconds; returns the horizon either way."""
        if self.position <= position:
            try:
                async with asyncio.timeout(timeout), self._moved:
                    await self._moved.wait_for(lambda: self.position > position)
            except TimeoutError:
                return self.position  # nothing new is an answer, too
        return self.position

    def notify(self) -> None:
        """Say that this process has committed an append; other processes hear of it at most 10 ms later."""
        self._announce = True
        self._wake.set()

    def _heard(self, conn: Any, session: int, *_: Any) -> None:
        if session != conn.get_server_pid():  # what this process has said it knows
            self._wake.set()

    async def _advance(self, horizon: int) -> None:
        if horizon > self.position:
            async with self._moved:
                self.position = horizon
                self._moved.notify_all()
            metrics.watermark.set(horizon)

    async def _pause(self, conn: asyncpg.Connection) -> None:
        """Sleep until woken or until the next poll; pass the news on, coalesced."""
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return  # the poll guarantees progress when a notification is lost
        self._wake.clear()
        if self._announce:
            self._announce = False
            await conn.execute(f"NOTIFY {CHANNEL}")
        await asyncio.sleep(NOTIFY_EVERY_SECONDS)

    async def _check(self, conn: asyncpg.Connection) -> None:
        cache = await conn.fetchval(
            "SELECT seqcache FROM pg_sequence WHERE seqrelid = to_regclass('events_position')::oid"
        )
        if cache != 1:
            raise BrokenLog(f"sequence events_position: expected CACHE 1, found {cache}")
        if await conn.fetchval("SELECT pg_is_in_recovery()"):
            # Whoever should take over is not promoted yet, or the address still leads to whoever was the primary.
            raise ConnectionRefusedError("this server is a replica: only a primary shows which writers are at work")
        if not await conn.fetchval(
            "SELECT tgenabled IN ('O', 'A') FROM pg_trigger WHERE tgname = 'events_fence' AND tgrelid = $1::regclass",
            "events",
        ):
            raise BrokenLog("trigger events_fence: expected enabled, found missing or disabled")


async def _measure(conn: asyncpg.Connection) -> int:
    drawn, writers = await conn.fetchrow("SELECT drawn, writers FROM events_drawn()")
    if writers:
        await _gone(conn, writers)
    return int(await conn.fetchval("SELECT coalesce(max(position), 0) FROM events WHERE position <= $1", drawn))


async def _gone(conn: asyncpg.Connection, writers: list[str]) -> None:
    pause, started, said = 0.001, perf_counter(), False
    try:
        while writers:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            writers = await conn.fetchval("SELECT events_writers($1)", writers)
            waited = perf_counter() - started
            metrics.fence_waiting.set(waited)
            if waited > LONG_SECONDS and not said:
                said = True
                logger.warning("readers of the log have been waiting for %.0f s: %s", waited, await _who(conn, writers))
    finally:
        metrics.fence_waiting.set(0)
    metrics.fence_wait_seconds.observe(perf_counter() - started)


async def _who(conn: asyncpg.Connection, writers: list[str]) -> str:
    """Names the sessions that hold the fence; a prepared transaction has none."""
    found: str | None = await conn.fetchval(
        """SELECT string_agg(format('%s, process %s, %s since %s', application_name, pid, state, state_change), '; ')
           FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks WHERE virtualtransaction = ANY ($1))""",
        writers,
    )
    return found or f"transactions {', '.join(writers)}"

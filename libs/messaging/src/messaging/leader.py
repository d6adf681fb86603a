"""One leader per service: a session advisory lock in the service's database.

The lock only saves two instances from fencing each other in turns; what makes a second leader harmless is Kafka's
transactional id.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from messaging.errors import Led

LOOK_EVERY_SECONDS = 0.5
CHECK_EVERY_SECONDS = 0.75
ANSWER_SECONDS = 2.0
SILENT_SECONDS = 3  # then PostgreSQL ends the session; more than the leader needs to notice that it is cut off


class Leadership:
    """The lock `name`, held on a connection of its own for as long as this process leads."""

    def __init__(self, connection: asyncpg.Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._key = _key(name)

    async def acquire(self) -> None:
        """Waits until no other session holds the lock."""
        # A frozen or cut-off leader says nothing: PostgreSQL ends its session, and with it the lock.
        await self._connection.execute(f"SET idle_session_timeout = '{SILENT_SECONDS}s'", timeout=5)
        session = f"{self._name} {instance()}"  # for `instances`, and for people who look at the server's sessions
        await self._connection.execute("SELECT set_config('application_name', $1, false)", session, timeout=5)
        while True:
            if await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key, timeout=5):
                return
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def watch(self) -> None:
        """Runs until cancelled; raises when the session, and with it the lock, is lost."""
        while True:
            await asyncio.sleep(CHECK_EVERY_SECONDS)
            await self._connection.execute("SELECT 1", timeout=ANSWER_SECONDS)


@dataclass(frozen=True, slots=True)
class Instances:
    """Who leads and who would take over, each as `host:pid`."""

    leader: str | None
    standing_by: tuple[str, ...]


async def instances(pool: asyncpg.Pool | asyncpg.Connection, name: str) -> Instances:
    """Returns the instances that hold or wait for the lock `name`, as PostgreSQL sees their sessions."""
    key = _key(name)
    rows = await pool.fetch(
        """SELECT substr(a.application_name, length($1) + 2) AS instance, l.pid IS NOT NULL AS leads
           FROM pg_stat_activity AS a
           LEFT JOIN pg_locks AS l ON l.pid = a.pid AND l.database = a.datid AND l.locktype = 'advisory' AND l.granted
                AND l.objsubid = 1 AND l.classid::bigint = $2 AND l.objid::bigint = $3
           WHERE a.datname = current_database() AND starts_with(a.application_name, $1 || ' ')
           ORDER BY instance""",
        name,
        (key >> 32) & 0xFFFFFFFF,  # PostgreSQL shows the lock's 64 bits in halves, without a sign
        key & 0xFFFFFFFF,
    )
    leader = next((row["instance"] for row in rows if row["leads"]), None)
    return Instances(leader, tuple(row["instance"] for row in rows if not row["leads"]))


def instance() -> str:
    """Returns how this process is called: `host:pid`; short enough for PostgreSQL, which cuts names at 63 bytes."""
    return f"{socket.gethostname()[:24]}:{os.getpid()}"


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"leader {name}".encode()).digest()[:8], "big", signed=True)


@asynccontextmanager
async def leadership(pool: asyncpg.Pool, name: str) -> AsyncIterator[Leadership]:
    """Waits for the lock `name` and holds it inside the block."""
    async with pool.acquire(timeout=10) as connection:
        lock = Leadership(connection, name)
        try:
            await lock.acquire()
            yield lock
        finally:
            # Not given back: that would ask a server that may no longer answer, and keep the next leader waiting.
            with suppress(asyncpg.InterfaceError):  # the pool has given it up already
                connection.terminate()


async def while_leading(lock: Leadership, *work: Coroutine[Any, Any, None]) -> None:
    """Works until the lock is lost or any of `work` ends, which is by an error; it is raised, the rest cancelled."""
    await first_to_end(lock.watch(), *work)


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Runs coroutines until the first one ends, which is by an error; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def alone(connection: asyncpg.Connection, name: str) -> AsyncIterator[None]:
    """Holds the lock `name` inside the block, in the session of `connection`.

    Raises Led when another one has it, and keeps it: PostgreSQL takes a moment to end the session of a leader that has
    just stopped or died.
    """
    key = _key(name)
    looks = round(SILENT_SECONDS / LOOK_EVERY_SECONDS) + 1
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        if not (looks := looks - 1):
            led_by = (await instances(connection, name)).leader or "a process without a name"
            raise Led(f"{name}: expected nobody to lead, found {led_by}: stop the service first")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", key)

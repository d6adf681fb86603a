"""One leader per service: a session advisory lock in the service's database.

The lock only saves two instances from fencing each other in turns; what makes a second leader harmless is Kafka's
transactional id.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

LOOK_EVERY_SECONDS = 1.0
CHECK_EVERY_SECONDS = 1.5
SILENT_SECONDS = 5


class Leadership:
    """The lock `name`, held on a connection of its own for as long as this process leads."""

    def __init__(self, connection: asyncpg.Connection, name: str) -> None:
        self._connection = connection
        self._key = int.from_bytes(hashlib.sha256(f"leader {name}".encode()).digest()[:8], "big", signed=True)

    async def acquire(self) -> None:
        """Waits until no other session holds the lock."""
        # A frozen or cut-off leader says nothing: PostgreSQL ends its session, and with it the lock.
        await self._connection.execute(f"SET idle_session_timeout = '{SILENT_SECONDS}s'", timeout=5)
        while True:
            if await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key, timeout=5):
                return
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def watch(self) -> None:
        """Runs until cancelled; raises when the session, and with it the lock, is lost."""
        while True:
            await asyncio.sleep(CHECK_EVERY_SECONDS)
            await self._connection.execute("SELECT 1", timeout=5)


@asynccontextmanager
async def leadership(pool: asyncpg.Pool, name: str) -> AsyncIterator[Leadership]:
    """Waits for the lock `name` and holds it inside the block."""
    async with pool.acquire(timeout=10) as connection:
        lock = Leadership(connection, name)
        await lock.acquire()
        yield lock  # the pool frees advisory locks and resets settings when it takes a connection back

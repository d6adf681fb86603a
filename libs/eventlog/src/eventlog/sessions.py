"""Connections whose session is changed: by a lock or a setting that stays when a transaction has ended.

By default asyncpg resets every connection that goes back to its pool: four statements and a round trip, after what was
mostly one short query that has left nothing. With `reset_session` as the `reset` of a pool only those are reset that
were taken as a `session`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakSet

import asyncpg

_changed: WeakSet[asyncpg.Connection] = WeakSet()


@asynccontextmanager
async def session(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection of `pool` whose session may be changed in the block."""
    async with pool.acquire() as conn:
        _changed.add(conn._con)  # the connection itself; `conn` is worth nothing after the block
        yield conn


async def reset_session(conn: asyncpg.Connection) -> None:
    """Makes the session of a connection what it was, if it was taken to be changed."""
    if conn in _changed:
        _changed.discard(conn)
        await conn.execute(conn.get_reset_query())

"""Exchanging two generations in one short transaction, under the eyes of readers and of the live runner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import asyncpg

from eventlog import EventLog, session
from projections.batch import NOTHING_HELD, Batch, apply, prepare, unprepared
from projections.columns import quote
from projections.errors import EventFailed, NoGeneration, RebuildRunning, SwapBlocked, blames_event
from projections.feed import read_batch
from projections.generation import Generation

logger = logging.getLogger("projections")

SWAP_EVENTS = 1_000
"""At most so many events are applied inside the swap's transaction; whoever is further behind catches up first."""

# Below deadlock_timeout (1 s by default): in a deadlock with a query that joins the tables in another order, it is
# always the swap that gives way and tries again.
_LOCK_MILLISECONDS = 100
_PATIENCE_MILLISECONDS = 1_500  # above deadlock_timeout, so that autovacuum gives way
_PAUSE_SECONDS = 0.05
_NUDGE_EVERY = 20


class Behind(Exception):
    """The incoming generation has to catch up outside of the swap's transaction first."""


@asynccontextmanager
async def exclusively(pool: asyncpg.Pool, name: str) -> AsyncIterator[asyncpg.Connection]:
    """The connection that alone may work on the generations called `name`. Raises RebuildRunning.

    Work is done on this very connection: if it is lost, so are the lock and the right to write.
    """
    async with session(pool) as conn:
        await _claim(conn, "pg_try_advisory_lock", name)
        await conn.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        yield conn


async def not_while_rebuilding(conn: asyncpg.Connection, name: str) -> None:
    """Keep rebuilds of `name` from starting until the caller's transaction ends. Raises RebuildRunning if one is."""
    await _claim(conn, "pg_try_advisory_xact_lock", name)


async def _claim(conn: asyncpg.Connection, lock: str, name: str) -> None:
    if not await conn.fetchval(f"SELECT {lock}(hashtextextended($1, 0))", f"rebuilding {name}"):
        raise RebuildRunning(f"{name}: another process is at work on it; wait for it or stop it")


async def swap(
    conn: asyncpg.Connection, log: EventLog, live: Generation, incoming: Generation, retired: Generation, seconds: float
) -> int:
    """Make `incoming` the live generation and keep the former one as `retired`; returns the live position.

    Until the commit every query sees the former rows, afterwards the new ones, and no query sees both: the live
    tables are locked for the milliseconds of the exchange. Raises Behind, NoGeneration, or SwapBlocked if queries
    held the tables for `seconds`.
    """
    deadline = monotonic() + seconds
    attempts = 0
    while True:
        try:
            async with conn.transaction(isolation="read_committed"):
                return await _exchange(conn, log, live, incoming, retired)
        except asyncpg.LockNotAvailableError:
            attempts += 1
            if monotonic() >= deadline:
                raise SwapBlocked(f"{live.schema}: queries kept its tables locked for {seconds:g} s") from None
        if attempts % _NUDGE_EVERY == 0:
            await _nudge(conn, live)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _exchange(
    conn: asyncpg.Connection, log: EventLog, live: Generation, incoming: Generation, retired: Generation
) -> int:
    # The runner moves the checkpoint before it writes, so from here on it waits.
    rows = await conn.fetch(
        """SELECT subscription, position, fingerprint FROM checkpoints
           WHERE subscription = ANY ($1) ORDER BY subscription FOR UPDATE""",
        [live.schema, incoming.schema],
    )
    found = {row["subscription"]: row for row in rows}
    for generation in (live, incoming):
        if generation.schema not in found:
            raise NoGeneration(f"{generation.schema} does not exist")
    former, next_ = found[live.schema], found[incoming.schema]
    position = max(former["position"], next_["position"])
    if next_["position"] < position:
        await _catch_up_within(conn, log, incoming, next_["position"], position)
    await _lock_tables(conn, live)
    await _rename(conn, live.schema, incoming.schema, retired.schema)
    await conn.execute(
        "UPDATE checkpoints SET position = $2, fingerprint = $3, updated_at = now() WHERE subscription = $1",
        live.schema,
        position,
        next_["fingerprint"],
    )
    await conn.execute(
        """UPDATE checkpoints SET subscription = $2, position = $3, fingerprint = $4, updated_at = now()
           WHERE subscription = $1""",
        incoming.schema,
        retired.schema,
        former["position"],
        former["fingerprint"],
    )
    return int(position)


async def _catch_up_within(
    conn: asyncpg.Connection, log: EventLog, incoming: Generation, after: int, upto: int
) -> None:
    batch = await read_batch(log, after, upto, SWAP_EVENTS, types=list(incoming.handlers), conn=conn)
    if batch.upto < upto:
        raise Behind
    await apply_within(conn, incoming, batch)


async def apply_within(conn: asyncpg.Connection, incoming: Generation, batch: Batch) -> None:
    """Apply a batch in the caller's transaction. Raises Behind if an event fails: it has to be parked outside."""
    prepared = unprepared(incoming, batch) if incoming.fetches else await prepare(incoming, batch, NOTHING_HELD)
    try:
        await apply(conn, incoming, prepared)
    except EventFailed as failure:
        raise Behind from failure
    except Exception as error:
        if blames_event(error):
            raise Behind from error
        raise


async def _lock_tables(conn: asyncpg.Connection, live: Generation) -> None:
    """Without this lock, a query being parsed during the exchange could take one table from each generation."""
    await conn.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
    tables = await _tables(conn, live)
    if tables:
        await conn.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")


async def _tables(conn: asyncpg.Connection, generation: Generation) -> list[str]:
    """The tables that the schema really has: those of an earlier release may be others than are declared now."""
    rows = await conn.fetch(
        """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1""",
        generation.schema,
    )
    return [f"{quote(generation.schema)}.{quote(row['relname'])}" for row in rows]


async def _rename(conn: asyncpg.Connection, live: str, incoming: str, retired: str) -> None:
    between = f"{live}_swap"
    for old, new in ((live, between), (incoming, live), (between, retired)):
        await conn.execute(f"ALTER SCHEMA {quote(old)} RENAME TO {quote(new)}")
        await conn.execute("UPDATE dead_letters SET subscription = $2 WHERE subscription = $1", old, new)


async def _nudge(conn: asyncpg.Connection, live: Generation) -> None:
    """Make autovacuum let go of the tables: one by one, and holding nothing else, so that no deadlock can arise."""
    for table in await _tables(conn, live):
        try:
            async with conn.transaction():
                await conn.execute(f"SET LOCAL lock_timeout = {_PATIENCE_MILLISECONDS}")
                await conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        except asyncpg.LockNotAvailableError:
            logger.warning("%s: a query has been holding %s for long; the swap waits", live.schema, table)

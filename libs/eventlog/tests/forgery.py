"""A sealed log, and a superuser who changes it behind its back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import asyncpg

from eventlog import EventLog, Watermark
from eventlog.seals import Seal, Sealer, read_seals
from eventlog.testing import credited
from eventlog.verification import Verification, verify

POSITIONS = 16  # of a segment
HOLE = 21  # a position drawn and rolled back
EVENTS = 70


async def fill(log: EventLog) -> None:
    """Appends to five streams, with one hole, and no event has the same content as another."""
    await log.append([credited(f"account/{number % 5}", number) for number in range(HOLE - 1)])
    async with log.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await log.append([credited("rolled-back")], conn=conn)
        await transaction.rollback()
    await log.append([credited(f"account/{number % 5}", number) for number in range(HOLE - 1, EVENTS)])


async def seal_all(pool: asyncpg.Pool) -> list[Seal]:
    """Seals everything there is, the rest of a segment too; returns all seals."""
    sealer = Sealer(pool, Watermark(pool), positions=POSITIONS, seconds=0)
    while await sealer.seal(await Watermark(pool).measure()):
        pass
    return await read_seals(pool)


@contextlib.asynccontextmanager
async def undone(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """What the block forges of rows is put right again, so that one log serves for many forgeries."""
    async with pool.acquire() as conn:
        for table in ("events", "seals"):
            await conn.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
        yield
        for table in ("events", "seals"):
            async with conn.transaction():
                await conn.execute("SET LOCAL session_replication_role = replica")
                await conn.execute(f"DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}")
            await conn.execute(f"DROP TABLE kept_{table}")


async def problems(pool: asyncpg.Pool, published: Sequence[Seal] | None = None) -> list[str]:
    return [problem.sentence for problem in (await verified(pool, published)).problems]


async def verified(pool: asyncpg.Pool, published: Sequence[Seal] | None = None) -> Verification:
    async with pool.acquire() as conn:
        return await verify(conn, published)

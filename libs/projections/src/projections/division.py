"""Dividing a live generation, so that several workers feed it, and uniting it for those who need one position.

Both are one transaction that begins with the lock of the generation's checkpoint, so that whoever is killed leaves the
rows divided or whole, and a runner goes on from either. Only runners divide, and only while nobody holds the advisory
lock "undivided".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from eventlog import EventLog, Share
from projections.batch import NOTHING_HELD, prepare, unprepared
from projections.errors import NoGeneration, SchemaChanged
from projections.follow import deliver
from projections.generation import Generation
from projections.partitions import Partition, divide, shares, unite


@asynccontextmanager
async def undivided(conn: asyncpg.Connection, log: EventLog, live: Generation) -> AsyncIterator[None]:
    """Inside the block the live rows stand at one position, fed by one worker at a time, however many are declared.

    `conn` must not be in a transaction: the lock is its session's. Several may hold it at once.
    """
    await conn.execute("SELECT pg_advisory_lock_shared(hashtextextended($1, 0))", _lock(live))
    try:
        await make_whole(conn, log, live)
        yield
    finally:
        if not conn.is_closed():
            await conn.execute("SELECT pg_advisory_unlock_shared(hashtextextended($1, 0))", _lock(live))


async def make_whole(conn: asyncpg.Connection, log: EventLog, live: Generation) -> None:
    """Unite the partitions, if there are any: those that lag are brought to where the furthest is, while all wait.

    Raises SchemaChanged if only another release knows how to bring them there.
    """
    if await _is_whole(conn, live):
        return
    async with conn.transaction(isolation="read_committed"):
        try:
            checkpoint = await live.lock(conn)
        except SchemaChanged as error:
            raise SchemaChanged(
                f"{live.schema} is divided by a release that declares other tables: run that one with `partitions = 1` "
                "first, or raise the projection's version"
            ) from error
        if checkpoint["position"] is not None:
            return
        divided = await shares(conn, live)
        furthest = max(position for _, position in divided)
        for share, position in divided:
            if position < furthest:
                await _bring(conn, log, Partition(live.projection, log.types, live.suffix, share), position, furthest)
        await unite(conn, live, furthest)


async def _is_whole(conn: asyncpg.Connection, live: Generation) -> bool:
    whole = "SELECT position IS NOT NULL FROM checkpoints WHERE subscription = $1"
    return bool(await conn.fetchval(whole, live.schema))


async def _bring(conn: asyncpg.Connection, log: EventLog, partition: Partition, position: int, upto: int) -> None:
    """Apply what a partition lacks, in the caller's transaction; what fails is parked as always."""
    held = NOTHING_HELD
    while position < upto:
        # Read by this connection: others of the pool may all be waiting for what this transaction has locked.
        batch = await partition.read(log, position, upto, conn=conn)
        prepared = unprepared(partition, batch) if partition.fetches else await prepare(partition, batch, held)
        held = await deliver(conn, partition, prepared)
        position = batch.upto


async def declare(conn: asyncpg.Connection, live: Generation) -> None:
    """Let the runners of all instances divide the live rows as this release says; the one that started last decides."""
    await conn.execute(
        "UPDATE checkpoints SET partitions = $2 WHERE subscription = $1 AND partitions <> $2",
        live.schema,
        live.projection.partitions,
    )


async def declared(conn: asyncpg.Connection, live: Generation) -> int:
    """Into how many partitions the live rows are to be divided. Raises NoGeneration, SchemaChanged."""
    row = await conn.fetchrow("SELECT partitions, fingerprint FROM checkpoints WHERE subscription = $1", live.schema)
    if row is None:
        raise NoGeneration(f"{live.schema} does not exist")
    live.check(row["fingerprint"])
    return int(row["partitions"])


async def arrange(conn: asyncpg.Connection, log: EventLog, live: Generation) -> list[Share]:
    """Divide or unite the live rows as was declared; returns their shares, none if they are whole."""
    count = await declared(conn, live)
    divided = await shares(conn, live)
    if divided and len(divided) != count:  # by an earlier release
        await make_whole(conn, log, live)
        divided = []
    if not divided and count > 1:
        await _divide(conn, live)
        divided = await shares(conn, live)
    return [share for share, _ in divided]


async def _divide(conn: asyncpg.Connection, live: Generation) -> None:
    """Divide the live rows, unless somebody needs them undivided now."""
    async with conn.transaction(isolation="read_committed"):
        if await conn.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", _lock(live)):
            checkpoint = await live.lock(conn)
            if checkpoint["position"] is not None and checkpoint["partitions"] > 1:
                await divide(conn, live, checkpoint["partitions"])


def _lock(live: Generation) -> str:
    return f"undivided {live.schema}"

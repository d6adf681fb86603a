"""Rebuilding a read model of three tables against a bare read of the log, and by two workers against one; sealing."""

from __future__ import annotations

from books import TYPES, Books
from harness import Goal, Path, Run, per_second
from servers import Servers, fill

import projections
from eventlog import EventLog, Sealer, Watermark
from projections import Runner

READ = 5_000
SEALED = 50_000
_PAGE = "SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2"


def rebuild(workers: int) -> Run:
    async def run(servers: Servers) -> float:
        log = await served_log(servers)
        rebuilt = await projections.rebuild(log.pool, log, Watermark(log.pool), Books(), workers=workers)
        return rebuilt.events / rebuilt.seconds

    return run


async def served_log(servers: Servers) -> EventLog:
    """The log with live rows that have caught up, as where a rebuild is asked for."""
    log = await servers.filled_log(servers.events)
    if await log.pool.fetchval("SELECT to_regclass('bench_books_v1.payments')") is None:
        await Runner(log.pool, log, Watermark(log.pool), [Books()]).create_missing()
        await projections.rebuild(log.pool, log, Watermark(log.pool), Books())
    return log


async def read_and_decode(servers: Servers) -> float:
    """All rows of the log by asyncpg in the same pages, and the event of each; nothing else."""
    log = await served_log(servers)

    async def work() -> None:
        position = 0
        async with log.pool.acquire() as conn:
            while page := await conn.fetch(
                "SELECT * FROM events WHERE position > $1 ORDER BY 1 LIMIT $2", position, READ
            ):
                for row in page:
                    TYPES.decode(row["type"], row["type_version"], row["data"])
                position = page[-1]["position"]

    return await per_second(servers.events, work)


async def seal(servers: Servers) -> float:
    async with servers.empty_log() as log:
        await fill(log, SEALED)
        watermark = Watermark(log.pool)
        sealer, horizon = Sealer(log.pool, watermark, seconds=0), await watermark.measure()

        async def work() -> None:
            while await sealer.seal(horizon):
                pass

        return await per_second(SEALED, work)


PATHS = (
    Path("rebuild", "events/s", rebuild(workers=1), read_and_decode, Goal(ratio=0.5, ours=25_000)),
    Path("rebuild_two_workers", "events/s", rebuild(workers=2), rebuild(workers=1), Goal(ratio=1.6)),
    Path("seal", "events/s", seal, read_and_decode),
)

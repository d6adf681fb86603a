"""A process that tests kill: a live runner of the bank, one rebuild by so many workers, or one of a single key.

It tells of its progress, and stands still in the phase that it is given. `unite` is a rebuild of divided rows that
stands still after a statement.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import asyncpg
from bank_sample import TYPES, Balances, Highest, Parted, PartedByCurrency, Statements

from eventlog import EventLog, Watermark
from projections import Progress, Runner, crew, job, rebuild, rebuild_keys

RUN = {"run": [Balances(), Highest()], "crew": [Parted(), PartedByCurrency()]}


def stand_still() -> None:
    print("standing", flush=True)
    time.sleep(60)


def standing(step: str) -> type[asyncpg.Connection]:
    """Connections that stand still after the first statement with `step` in it, once the rows must not be divided."""
    undivided = False

    def after(method: str) -> Any:
        async def call(self: asyncpg.Connection, query: str, *args: Any, **options: Any) -> Any:
            nonlocal undivided
            result = await getattr(asyncpg.Connection, method)(self, query, *args, **options)
            undivided = undivided or "pg_advisory_lock_shared" in query
            if undivided and step in query:
                stand_still()
            return result

        return call

    return type("Standing", (asyncpg.Connection,), {name: after(name) for name in ("execute", "fetch", "fetchrow")})


async def main(dsn: str, what: str, workers: str = "1", stand: str = "", pace: str = "20000") -> None:
    def say(progress: Progress) -> None:
        print(progress.phase, progress.position, flush=True)
        if progress.phase == stand:
            time.sleep(60)

    connection = standing(stand) if what == "unite" else asyncpg.Connection
    async with asyncpg.create_pool(dsn, min_size=2, max_size=12, connection_class=connection) as pool:
        log, watermark = EventLog(pool, TYPES), Watermark(pool)
        if what in RUN:
            crew.LOOK_SECONDS = 0.1
            runner = Runner(pool, log, watermark, RUN[what], batch_events=50)
            print("started", flush=True)
            await asyncio.gather(watermark.run(), runner.run())
        elif what == "keys":
            await rebuild_keys(pool, log, watermark, Statements(), ["s1"], on_progress=say)
        elif what == "unite":
            await rebuild(pool, log, watermark, Parted())
        else:
            job._PARALLEL_FROM = 1_000
            paced = {"events_per_second": int(pace), "workers": int(workers)}
            await rebuild(pool, log, watermark, Balances(), on_progress=say, compare=stand == "compare", **paced)


asyncio.run(main(*sys.argv[1:]))

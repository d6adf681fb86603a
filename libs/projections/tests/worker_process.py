"""A process that tests kill: it runs the live runner, or one rebuild, of the bank's projections."""

from __future__ import annotations

import asyncio
import sys

import asyncpg
from bank_sample import TYPES, Balances, Highest

from eventlog import EventLog, Watermark
from projections import Progress, Runner, rebuild


async def main(dsn: str, what: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=2, max_size=8) as pool:
        log, watermark = EventLog(pool, TYPES), Watermark(pool)
        if what == "run":
            runner = Runner(pool, log, watermark, [Balances(), Highest()], batch_events=50)
            print("started", flush=True)
            await asyncio.gather(watermark.run(), runner.run())
        await rebuild(pool, log, watermark, Balances(), on_progress=_say, events_per_second=20_000)


def _say(progress: Progress) -> None:
    print(progress.phase, progress.position, flush=True)


asyncio.run(main(*sys.argv[1:]))

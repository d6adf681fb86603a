"""A process that tests kill: the live runner, or one rebuild by so many workers, of the projections of the bank."""

from __future__ import annotations

import asyncio
import sys

import asyncpg
from bank_sample import TYPES, Balances, Highest

from eventlog import EventLog, Watermark
from projections import Progress, Runner, job, rebuild


async def main(dsn: str, what: str, workers: str = "1") -> None:
    async with asyncpg.create_pool(dsn, min_size=2, max_size=8) as pool:
        log, watermark = EventLog(pool, TYPES), Watermark(pool)
        if what == "run":
            runner = Runner(pool, log, watermark, [Balances(), Highest()], batch_events=50)
            print("started", flush=True)
            await asyncio.gather(watermark.run(), runner.run())
        job._PARALLEL_FROM = 1_000
        paced = {"events_per_second": 20_000, "workers": int(workers)}
        await rebuild(pool, log, watermark, Balances(), on_progress=_say, **paced)


def _say(progress: Progress) -> None:
    print(progress.phase, progress.position, flush=True)


asyncio.run(main(*sys.argv[1:]))

"""A process that tests kill: the live runner of the bank, one rebuild by so many workers, or one of a single key.

It tells of its progress, and stands still in the phase that it is given.
"""

from __future__ import annotations

import asyncio
import sys
import time

import asyncpg
from bank_sample import TYPES, Balances, Highest, Statements

from eventlog import EventLog, Watermark
from projections import Progress, Runner, job, rebuild, rebuild_keys


async def main(dsn: str, what: str, workers: str = "1", stand: str = "") -> None:
    def say(progress: Progress) -> None:
        print(progress.phase, progress.position, flush=True)
        if progress.phase == stand:
            time.sleep(60)

    async with asyncpg.create_pool(dsn, min_size=2, max_size=8) as pool:
        log, watermark = EventLog(pool, TYPES), Watermark(pool)
        if what == "run":
            runner = Runner(pool, log, watermark, [Balances(), Highest()], batch_events=50)
            print("started", flush=True)
            await asyncio.gather(watermark.run(), runner.run())
        elif what == "keys":
            await rebuild_keys(pool, log, watermark, Statements(), ["s1"], on_progress=say)
        else:
            job._PARALLEL_FROM = 1_000
            paced = {"events_per_second": 20_000, "workers": int(workers)}
            await rebuild(pool, log, watermark, Balances(), on_progress=say, compare=stand == "compare", **paced)


asyncio.run(main(*sys.argv[1:]))

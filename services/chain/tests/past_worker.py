"""Ingester, backfill and redecoder as a process that kills itself.

`past_worker.py <dsn> <node> <before|after> <number>`: before or after the commit of so many appends of the past.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import asyncpg

from chain.domain import EVENTS, BlocksBackfilled, LogsReviewed
from chain.fetch import Fetcher
from chain.ingest import Ingester
from chain.past.backfill import Backfill
from chain.past.redecode import Redecoder
from eventlog import EventLog, EventTypes, Watermark
from messaging.testing import run_on
from tron.providers import Nodes, Provider


class Mortal(EventLog):
    """A log in whose hands the process dies."""

    moment, left = "before", 1

    async def append(self, events: Any, expected: Any = None, conn: Any = None) -> Any:
        self.left -= isinstance(events[-1].event, BlocksBackfilled | LogsReviewed)
        if self.left == 0 and self.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        appended = await super().append(events, expected, conn)
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return appended


async def main(dsn: str, url: str, moment: str, number: str) -> None:
    async with (
        asyncpg.create_pool(dsn, min_size=1, max_size=8) as pool,
        Nodes([Provider("node", url)]) as nodes,
    ):
        watermark = Watermark(pool)
        log = Mortal(pool, EventTypes(EVENTS), watermark)
        log.moment, log.left = moment, int(number)
        await run_on(
            watermark,
            Ingester(log, Fetcher(nodes), {}, transactions="logged", poll_seconds=0.05),
            Backfill(log, watermark, Fetcher(nodes, past=True), batch_events=1, poll_seconds=0.05),
            Redecoder(log, watermark, poll_seconds=0.05, raw_at_once=3),
        )


asyncio.run(main(*sys.argv[1:]))

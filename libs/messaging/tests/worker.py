"""A relay or a consumer as a process of its own, for tests that kill it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence

import asyncpg

from eventlog import EventLog, Sealer, Watermark
from messaging import Consumer, Received, Relay
from messaging.handling import Handle
from messaging.testing import TYPES, note, publish_to, run_on


def noting(seconds: float) -> Handle:
    async def slowly(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        await note(batch, connection)
        await asyncio.sleep(seconds)  # most kills shall find a transaction open

    return slowly


async def main(what: str, dsn: str, kafka: str, name: str, topic: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=5) as pool:
        if what in ("relay", "sealing relay"):
            watermark = Watermark(pool)
            sealing = [Sealer(pool, watermark, positions=16, seconds=0.1)] if what == "sealing relay" else []
            # Small batches: more transactions to be killed in.
            relay = Relay(EventLog(pool, TYPES, watermark), watermark, kafka, name, publish_to(topic), max_events=200)
            await run_on(watermark, *sealing, relay)
        else:
            handle = noting(0.25 if what == "slow consumer" else 0.05)
            await run_on(Consumer(pool, kafka, name, [topic], handle, max_records=200))


logging.basicConfig(level=logging.WARNING)
asyncio.run(main(*sys.argv[1:]))

"""The workers that follow what is added to a running service, at work on the town, and how far they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chain.fetch import Fetcher, Index
from chain.ingest import Ingester
from chain.past.adding import status
from chain.past.backfill import Backfill
from chain.past.redecode import Redecoder
from eventlog import EventLog, Watermark
from messaging.testing import eventually, running
from tron.client import NodeClient
from tron.providers import Nodes, Provider


async def solid(town: Any) -> int:
    async with NodeClient(town.url) as client:
        return (await client.solid_head()).number


@asynccontextmanager
async def serving(log: EventLog, town: Any, index: Index = "never", **backfill: Any) -> AsyncIterator[Ingester]:
    """The workers at work."""
    watermark = Watermark(log.pool)
    async with Nodes([Provider("node", town.url)]) as nodes:
        ingester = Ingester(log, Fetcher(nodes, index), {}, transactions="logged", poll_seconds=0.05)
        past = Backfill(log, watermark, Fetcher(nodes, index, past=True), poll_seconds=0.05, **backfill)
        redecoder = Redecoder(log, watermark, poll_seconds=0.05, raw_at_once=3)
        async with running(watermark, ingester, past, redecoder):
            yield ingester


async def caught_up(log: EventLog, town: Any) -> None:
    """Waits until everything that is solidified now, and all that was asked for, is in the log."""
    last = await solid(town)

    async def there() -> bool:
        reached = await log.pool.fetchval(
            "SELECT (data->>'last')::bigint FROM events WHERE stream = 'cursor' ORDER BY version DESC LIMIT 1"
        )
        contracts = await status(log)
        return (
            (reached or -1) >= last
            and not any(one.waits for one in contracts)
            and all(one.backfill is None or one.backfill.done for one in contracts)
            and not any(one.logs_to_decode for one in contracts)
        )

    await eventually(there)


async def noted(log: EventLog, town: Any) -> None:
    """Makes blocks until what was asked for is in force: it is noted with the first block that it holds for."""

    async def there() -> bool:
        town.mine(1)
        return not any(one.waits for one in await status(log))

    await eventually(there)


async def begun(log: EventLog, town: Any) -> None:
    async with serving(log, town):
        await caught_up(log, town)

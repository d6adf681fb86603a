"""The worker that reads the past of contracts: several beside each other, and none when there is nothing to do."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from echo import FIRST_ABI  # conftest.py has put this folder on the path
from past_stage import begun, caught_up, noted

from chain.domain import ContractsWatched
from chain.domain.watch import Watch
from chain.fetch import Fetcher
from chain.ingest import Ingester
from chain.past.adding import add, status
from chain.past.backfill import Backfill
from chain.past.progress import Watching
from chain.settings import ChainSettings
from eventlog import EventLog, NewEvent, Watermark
from messaging.testing import eventually, running
from tron.providers import Nodes, Provider


async def test_a_past_that_takes_long_keeps_no_other_waiting(town: Any, log: EventLog) -> None:
    go_on = asyncio.Event()
    long, short = town.contracts["dcmx-token"], town.contracts["music-nft"]

    class Held(Fetcher):
        async def blocks(self, first: int, last: int, logged: Any = None, **after: Any) -> Any:
            if long in logged:
                await go_on.wait()
            async with aclosing(super().blocks(first, last, logged, **after)) as blocks:
                async for read in blocks:
                    yield read

    async def only_the_short_one_is_read() -> bool:
        done = {one.address: one.backfill.done for one in await status(log) if one.backfill}
        return done == {long: False, short: True}

    watermark, settings, abi = Watermark(log.pool), ChainSettings(node_url=town.url), json.dumps(FIRST_ABI)
    await begun(log, town)
    for address in (long, short):
        await add(log, settings, address, abi, past_from=0)
    async with Nodes([Provider("node", town.url)]) as nodes:
        ingester = Ingester(log, Fetcher(nodes), {}, transactions="logged", poll_seconds=0.05)
        async with running(watermark, ingester, Backfill(log, watermark, Held(nodes, past=True), poll_seconds=0.05)):
            await noted(log, town)
            await eventually(only_the_short_one_is_read)
            go_on.set()
            await caught_up(log, town)


async def test_where_there_is_no_past_to_read_the_log_is_looked_at_only_when_it_has_grown(
    town: Any, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def looked() -> bool:
        return looks > 0

    async def counted(self: Watching) -> Watch:
        nonlocal looks
        looks += 1
        return Watch()

    monkeypatch.setattr(Watching, "now", counted)
    watermark = Watermark(log.pool)
    async with (
        Nodes([Provider("node", town.url)]) as nodes,
        running(watermark, Backfill(log, watermark, Fetcher(nodes, past=True), poll_seconds=0)),
    ):
        await eventually(looked)
        await asyncio.sleep(0.3)
        assert looks == 1
        looks = 0
        await log.append([NewEvent("watch", ContractsWatched({}, "all", 0), datetime.now(UTC))])
        await eventually(looked)

"""An ingester as a process of its own, to be killed: `worker.py <dsn> <node> <contract>=<address>...`."""

from __future__ import annotations

import asyncio
import sys

import asyncpg

from chain.domain import EVENTS
from chain.fetch import Fetcher
from chain.ingest import Ingester
from eventlog import EventLog, EventTypes
from messaging.testing import run_on
from tron.providers import Nodes, Provider


async def main(dsn: str, url: str, *contracts: str) -> None:
    watched = dict(contract.split("=") for contract in contracts)
    nodes = Nodes([Provider("node", url, most_requests=4)])
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool, nodes:
        await run_on(Ingester(EventLog(pool, EventTypes(EVENTS)), Fetcher(nodes), watched, batch_events=1))


asyncio.run(main(*sys.argv[1:]))

"""Processes that tell the head, to be killed: `head_worker.py <dsn> <kafka> <node> <name>=<address>...`.

For each line on its input this process forks one; it prints its id, and how it ended.
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg

from chain.domain import EVENTS
from chain.head import HeadFollower, HeadLog
from chain.publish import HEAD, publish_head
from eventlog import EventLog, EventTypes
from messaging import Relay
from messaging.testing import running
from tron.providers import Nodes, Provider


async def main(dsn: str, kafka: str, url: str, *contracts: str) -> None:
    watched = dict(contract.split("=") for contract in contracts)
    nodes = Nodes([Provider("node", url)])
    async with asyncpg.create_pool(dsn, min_size=1, max_size=6) as pool, nodes:
        log = EventLog(pool, EventTypes(EVENTS))
        head = HeadLog(log)
        relay = Relay(head, head, kafka, HEAD.name, publish_head, publishes=[HEAD], copy=False, seals=False)
        async with running(HeadFollower(head, log, nodes, kafka, watched, 0.05), relay):
            await asyncio.Event().wait()


for _ in sys.stdin:
    if child := os.fork():
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what it logs
        asyncio.run(main(*sys.argv[1:]))

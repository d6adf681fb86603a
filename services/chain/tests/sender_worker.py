"""Senders, each with its ingester, as processes of their own that kill themselves at a step.

For each line of JSON on its input this process forks one; it prints its id, and how it ended. `kill` names the step:
"before TransactionSigned" and "after TransactionSigned" are the moments around that event's append, "before broadcast"
and "after broadcast" those around handing a transaction in. It dies at the `number`-th time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from chain.domain import EVENTS
from chain.fetch import Fetcher
from chain.ingest import Ingester
from chain.payloads import Payloads
from chain.sender import OperationSender
from chain.signing import Limits
from eventlog import EventLog, EventTypes, Executor, Watermark
from messaging.testing import run_on
from tron.client import NodeClient
from tron.keys import Key
from tron.providers import Nodes, Provider
from tron.signers import LocalSigner

T = TypeVar("T")


class Doom:
    """Ends this process as a power cut would."""

    def __init__(self, step: str, number: int) -> None:
        self._step, self._left = step, number

    async def around(self, steps: set[str], do: Callable[[], Awaitable[T]]) -> T:
        self._at(f"before {step}" for step in steps)
        done = await do()
        self._at(f"after {step}" for step in steps)
        return done

    def _at(self, steps: Any) -> None:
        if self._step in steps:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DoomedLog(EventLog):
    doom: Doom

    async def append(self, events: Any, *args: Any, **kwargs: Any) -> Any:
        steps = {type(event.event).__name__ for event in events}
        return await self.doom.around(steps, lambda: EventLog.append(self, events, *args, **kwargs))


class DoomedNode(NodeClient):
    doom: Doom

    async def request(self, path: str, body: Any) -> Any:
        steps = {"broadcast"} if path == "wallet/broadcasthex" else set()
        return await self.doom.around(steps, lambda: NodeClient.request(self, path, body))


async def main(plan: dict[str, Any]) -> None:
    doom = Doom(plan["kill"], plan["number"])
    async with (
        asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool,
        DoomedNode(plan["node"], prove=True, timeout=plan["timeout"]) as node,
        Nodes([Provider("node", plan["node"], timeout=plan["timeout"], most_requests=4)]) as nodes,
    ):
        node.doom = doom
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(EVENTS), watermark)
        log.doom = doom
        keys = {name: Key.from_hex(secret) for name, secret in plan["keys"].items()}
        sender = OperationSender(
            log,
            Executor(log),
            watermark,
            node,
            Payloads(plan["contracts"]),
            {name: LocalSigner(key) for name, key in keys.items()},
            Limits(**plan["limits"]),
            poll_seconds=0.1,
        )
        accounts = [key.address for key in keys.values()]
        ingester = Ingester(log, Fetcher(nodes), plan["contracts"], accounts=accounts, poll_seconds=0.1)
        await run_on(watermark, ingester, sender)


for line in sys.stdin:
    if child := os.fork():
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what it logs
        asyncio.run(main(json.loads(line)))
        os._exit(0)

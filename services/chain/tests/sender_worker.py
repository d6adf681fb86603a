"""Senders, each with its ingester, as processes of their own that kill themselves at a step.

"before broadcast" and "after broadcast" are the steps around handing a transaction in.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from chain.domain import EVENTS
from chain.fetch import Fetcher
from chain.ingest import Ingester
from chain.payloads import Payloads
from chain.sender import OperationSender
from chain.signing import Limits
from eventlog import EventTypes, Executor, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging.testing import run_on
from tron.client import NodeClient
from tron.keys import Key
from tron.providers import Nodes, Provider
from tron.signers import LocalSigner


class DoomedNode(NodeClient):
    doom: Doom

    async def request(self, path: str, body: Any, **options: Any) -> Any:
        step = "broadcast" if path == "wallet/broadcasthex" else "another request"
        self.doom.at(f"before {step}")
        answer = await super().request(path, body, **options)
        self.doom.at(f"after {step}")
        return answer


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


fork_for_each_plan(main)

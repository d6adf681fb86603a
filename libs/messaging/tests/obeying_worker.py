"""The part of a service that erases and exports, as processes that kill themselves at a step of log or key store."""

from __future__ import annotations

from typing import Any

import asyncpg

from eventlog import EventTypes, Executor, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging import Consumer, Relay, inbox, orders
from messaging.testing import run_on
from privacy import DEVELOPMENT, EVENTS, Copies, Erasures, Exports, Keks, KeyStore, Vault


async def main(plan: dict[str, Any]) -> None:
    async with asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(EVENTS), watermark)
        log.doom = Doom(plan["kill"], plan["number"])
        keys = KeyStore(pool, Keks.parse(DEVELOPMENT))
        copies, vault = Copies(pool), Vault(keys, seconds=0.05, locked=True)
        log.doom.around(keys, "erase", "advance")
        log.doom.around(copies, "keep")
        erasures = Erasures(log, watermark, keys, vault)
        exports = Exports("obeying", log, watermark, keys, vault, copies)
        kafka = plan["kafka"]
        consumer = Consumer(pool, kafka, "obeying", [orders.ORDERS.name], inbox(orders.ordered, Executor(log)))
        relay = Relay(
            log,
            watermark,
            kafka,
            "obeying",
            lambda recorded: orders.answered(recorded, "obeying", {"blocks": "public-chain"}),
            publishes=orders.TOPICS,
            copy=False,
            seals=False,
        )
        await run_on(watermark, consumer, relay, erasures, exports)


if __name__ == "__main__":
    fork_for_each_plan(main)

"""The part of a service that erases, as processes that kill themselves at a step of the log or of the key store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from eventlog import EventTypes, Executor, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging import Consumer, Relay, erasure, inbox
from messaging.testing import run_on
from privacy import DEVELOPMENT, EVENTS, Erasures, Keks, KeyStore, Vault


def doomed(step: Callable[..., Awaitable[Any]], doom: Doom) -> Callable[..., Awaitable[Any]]:
    """Comes to "before erase" and "after erase" around each call of `erase` that has something to erase."""

    async def call(*args: Any) -> Any:
        given = [list(arg) if hasattr(arg, "__next__") else arg for arg in args]
        if given == [[]]:
            return await step(*given)
        doom.at(f"before {step.__name__}")
        done = await step(*given)
        doom.at(f"after {step.__name__}")
        return done

    return call


async def main(plan: dict[str, Any]) -> None:
    async with asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(EVENTS), watermark)
        log.doom = Doom(plan["kill"], plan["number"])
        keys = KeyStore(pool, Keks.parse(DEVELOPMENT))
        for name in ("erase", "advance"):
            setattr(keys, name, doomed(getattr(keys, name), log.doom))
        erasures = Erasures(log, watermark, keys, Vault(keys, seconds=0.05, locked=True))
        kafka = plan["kafka"]
        consumer = Consumer(pool, kafka, "erasing", [erasure.ORDERS.name], inbox(erasure.ordered, Executor(log)))
        relay = Relay(
            log,
            watermark,
            kafka,
            "erasing",
            lambda recorded: erasure.answered(recorded, "erasing", {"blocks": "public-chain"}),
            publishes=erasure.TOPICS,
            copy=False,
            seals=False,
        )
        await run_on(watermark, consumer, relay, erasures)


if __name__ == "__main__":
    fork_for_each_plan(main)

"""The part of a service that erases and exports, as processes that kill themselves at a step of log or key store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from eventlog import EventTypes, Executor, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging import Consumer, Relay, inbox, orders
from messaging.testing import run_on
from privacy import DEVELOPMENT, EVENTS, Copies, Erasures, Exports, Keks, KeyStore, Vault


def doomed(step: Callable[..., Awaitable[Any]], doom: Doom) -> Callable[..., Awaitable[Any]]:
    """Comes to "before erase" and "after erase" around each call of `erase` that has something to erase.

    Of `advance`, which several tasks call, to "before advance exports".
    """

    async def call(*args: Any) -> Any:
        given = [list(arg) if hasattr(arg, "__next__") else arg for arg in args]
        if given == [[]]:
            return await step(*given)
        name = " ".join([step.__name__, *(arg for arg in given[:1] if isinstance(arg, str))])
        doom.at(f"before {name}")
        done = await step(*given)
        doom.at(f"after {name}")
        return done

    return call


async def main(plan: dict[str, Any]) -> None:
    async with asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(EVENTS), watermark)
        log.doom = Doom(plan["kill"], plan["number"])
        keys = KeyStore(pool, Keks.parse(DEVELOPMENT))
        copies, vault = Copies(pool), Vault(keys, seconds=0.05, locked=True)
        for of, name in ((keys, "erase"), (keys, "advance"), (copies, "keep")):
            setattr(of, name, doomed(getattr(of, name), log.doom))
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

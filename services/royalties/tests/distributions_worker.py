"""The distributing half of the service as processes of their own that kill themselves at a step.

`leads`: it brings distributions to their end; `hears`: it reads what the chain service says of payments.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from eventlog import EventTypes, Executor, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging import Consumer, Relay, inbox
from messaging.testing import run_on
from royalties import domain, handlers, publish
from royalties.distributing.holders import Holders
from royalties.distributing.process import DistributionProcess


async def main(plan: dict[str, Any]) -> None:
    async with asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(domain.EVENTS), watermark)
        log.doom = Doom(plan["kill"], plan["number"])
        kafka, executor = plan["kafka"], Executor(log)
        process = DistributionProcess(log, executor, watermark, Holders(kafka), look_seconds=0.2, slice_size=4)
        topics = (*publish.TOPICS, publish.COMMANDS)
        relay = Relay(log, watermark, kafka, "royalties", publish.publish, publishes=topics, copy=False, seals=False)
        consumer = Consumer(pool, kafka, "royalties", ["chain.operations"], inbox(handlers.translate, executor))
        leading, hearing = [process] if plan["leads"] else [], [consumer] if plan["hears"] else []
        await run_on(watermark, relay, *leading, *hearing)


fork_for_each_plan(main)

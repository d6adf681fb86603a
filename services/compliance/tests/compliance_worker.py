"""Parts of the service as processes of their own that kill themselves at a step of log, Kafka or key store.

`anchors`: it has logs anchored, and hears of it; else it collects the copies for archives.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from pydantic import SecretStr

from compliance import domain, handlers, publish
from compliance.anchoring import Anchorer
from compliance.collecting import Collector
from compliance.settings import ComplianceSettings
from eventlog import EventTypes, Executor, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging import Consumer, Relay
from messaging.producer import TransactionalProducer
from messaging.testing import run_on
from privacy import DEVELOPMENT, Copies, Keks, KeyStore


async def main(plan: dict[str, Any]) -> None:
    async with asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(domain.EVENTS), watermark)
        log.doom = Doom(plan["kill"])
        kafka = plan["kafka"]
        settings = ComplianceSettings(
            database_url=SecretStr(plan["dsn"]), kafka_bootstrap=kafka, **plan.get("settings", {})
        )
        if plan["anchors"]:
            log.doom.around(TransactionalProducer, "commit")
            executor = Executor(log)
            topics = (*publish.TOPICS, publish.COMMANDS)
            relay = Relay(
                log, watermark, kafka, "compliance", publish.publish, publishes=topics, copy=False, seals=False
            )
            hears = ["chain.compliance-registry"]
            consumer = Consumer(
                pool, kafka, "compliance", hears, handlers.handle_messages(executor, handlers.Facts(log))
            )
            await run_on(watermark, relay, consumer, Anchorer(executor, settings))
        else:
            keys, copies = KeyStore(pool, Keks.parse(DEVELOPMENT)), Copies(pool)
            log.doom.around(keys, "advance")
            log.doom.around(copies, "keep")
            await run_on(watermark, Collector(log, watermark, keys, copies, settings))


fork_for_each_plan(main)

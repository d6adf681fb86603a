"""The claims half of the service as processes of their own that kill themselves at a step.

`ask` lists claims to be asked for, as HTTP would; `hears` says whether it reads what the chain tells, `leads` whether
it brings claims to their end.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from contracts.chain import Pool
from eventlog import EventTypes, Executor, Metadata, Together, Watermark
from eventlog.testing import Doom, DoomedLog, fork_for_each_plan
from messaging import Consumer, Relay, inbox
from messaging.testing import running
from rewards import claiming, domain, handlers, publish
from rewards.chain_time import ChainTime
from rewards.paying import ClaimProcess
from rewards.verifier import Verifier
from tron.signers import LocalSigner

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import SETTINGS, VERIFIER, pool_rule


async def ask(together: Together, claims: list[dict[str, Any]]) -> None:
    async def one(claim: dict[str, Any]) -> None:
        rule = pool_rule(claim_seconds=claim.pop("seconds"))
        terms = {"pool": Pool.LISTENING, "payer": "service", "at": datetime.now(UTC), "rule": rule}
        command = domain.RequestClaim(**claim, **terms)
        await together.execute(claiming.request(command, Metadata()), claiming.budget_stream(Pool.LISTENING))

    await asyncio.gather(*(one(claim) for claim in claims))
    await asyncio.get_running_loop().create_future()


async def main(plan: dict[str, Any]) -> None:
    async with asyncpg.create_pool(plan["dsn"], min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        log = DoomedLog(pool, EventTypes(domain.EVENTS), watermark)
        log.doom = Doom(plan["kill"], plan["number"])
        kafka, executor = plan["kafka"], Executor(log)
        together = Together(executor, most=4)
        verifier = Verifier(LocalSigner(VERIFIER), SETTINGS["vault"], SETTINGS["chain_id"])
        process = ClaimProcess(
            log, executor, together, watermark, verifier, ChainTime(pool, kafka, "rewards"), look_seconds=0.2
        )
        topics = (*publish.TOPICS, publish.COMMANDS)
        relay = Relay(log, watermark, kafka, "rewards", publish.publish, publishes=topics, copy=False, seals=False)
        handle = inbox(handlers.translate, executor)
        heard = ["chain.operations", "chain.reward-vault"]
        consumer = Consumer(pool, kafka, "rewards", heard, handle)
        leading, hearing = [process] if plan["leads"] else [], [consumer] if plan["hears"] else []
        async with running(watermark, relay, *leading, *hearing):
            await ask(together, plan["ask"])


fork_for_each_plan(main)

"""The claims half of the service as processes of their own that kill themselves at a step.

For each line of JSON on its input this process forks one; it prints its id, and how it ended. `kill` names the step:
"before ClaimSettled" and "after ClaimSettled" are the moments around that event's append. It dies at the `number`-th
time. `ask` lists claims to be asked for, as HTTP would; `hears` says whether it reads what the chain tells, `leads`
whether it brings claims to their end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from contracts.chain import Pool
from eventlog import EventLog, EventTypes, Executor, Metadata, Together, Watermark
from messaging import Consumer, Relay
from messaging.testing import running
from rewards import claiming, domain, handlers, publish
from rewards.chain_time import ChainTime
from rewards.paying import ClaimProcess
from rewards.recorder import Recorder
from rewards.verifier import Verifier
from tron.signers import LocalSigner

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import SETTINGS, VERIFIER, pool_rule


class DoomedLog(EventLog):
    """Ends this process as a power cut would."""

    step, left = "", 0

    async def append(self, events: Any, *args: Any, **kwargs: Any) -> Any:
        steps = {type(event.event).__name__ for event in events}
        self._at(f"before {step}" for step in steps)
        done = await EventLog.append(self, events, *args, **kwargs)
        self._at(f"after {step}" for step in steps)
        return done

    def _at(self, steps: Any) -> None:
        if self.step in steps:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


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
        log.step, log.left = plan["kill"], plan["number"]
        kafka, executor = plan["kafka"], Executor(log)
        together = Together(executor, most=4)
        verifier = Verifier(LocalSigner(VERIFIER), SETTINGS["vault"], SETTINGS["chain_id"])
        process = ClaimProcess(
            log, executor, together, watermark, verifier, ChainTime(pool, kafka, "rewards"), look_seconds=0.2
        )
        topics = (*publish.TOPICS, publish.COMMANDS)
        relay = Relay(log, watermark, kafka, "rewards", publish.publish, publishes=topics, copy=False, seals=False)
        handle = handlers.handle_messages(executor, Recorder(log))
        heard = ["chain.operations", "chain.reward-vault"]
        consumer = Consumer(pool, kafka, "rewards", heard, handle)
        leading, hearing = [process] if plan["leads"] else [], [consumer] if plan["hears"] else []
        async with running(watermark, relay, *leading, *hearing):
            await ask(together, plan["ask"])


for line in sys.stdin:
    if child := os.fork():
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what it logs
        asyncio.run(main(json.loads(line)))
        os._exit(0)

"""What tests of claims need: rewards earned in the log, a pool of the vault, and claims over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from contracts import Message, chain
from contracts.chain import BlocksSolidified, Pool
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, NewEvent, uuid7
from messaging.testing import headers, send_raw
from rewards import domain
from rewards.domain.budget import pool_rule as rule_of
from rewards.domain.rules import BUILT_IN
from tron.keys import Key

DCMX = 10**18
VERIFIER = Key(bytes(31) + b"\x07")
SETTINGS: dict[str, Any] = {
    "verifier_key": VERIFIER.secret.hex(),
    "vault": address(100),
    "chain_id": 9,
    "claims_look_seconds": 0.2,
}


def pool_rule(**changed: Any) -> domain.PoolRule:
    """The built-in rule of the listening pool's claims, with some parameters changed."""
    return replace(rule_of(BUILT_IN[Pool.LISTENING]), **changed)


async def earned(pool: asyncpg.Pool, users: Sequence[str], amount: int) -> None:
    """Each of these users can claim so much from the listening pool: for one listen."""
    at = datetime(2026, 5, 1, tzinfo=UTC)
    verdict = domain.Verdict("earned", amount, None, 1, at.date())
    listens = [domain.Listen("before", user, at, domain.Origin(), "t1", 200, 300) for user in users]
    rewards = [domain.ListenRecorded(str(uuid7()), at, verdict, None, listen) for listen in listens]
    events = [NewEvent(f"listening/{one.activity.user}", one, at, UUID(one.reward_id)) for one in rewards]
    await EventLog(pool, EventTypes(domain.EVENTS)).append(events)


async def opened(pool: asyncpg.Pool, funded: int, daily_limit: int = 10**30) -> None:
    """The vault's listening pool pays, and holds so much."""
    facts = [
        domain.PoolConfigured(Pool.LISTENING, daily_limit, True, source(0)),
        domain.PoolFunded(Pool.LISTENING, address(9), funded, source(1)),
    ]
    now = datetime.now(UTC)
    await EventLog(pool, EventTypes(domain.EVENTS)).append([NewEvent("pool/listening", fact, now) for fact in facts])


def wish(user: str, amount: int, to: int = 1, **more: Any) -> dict[str, Any]:
    return {"user": user, "pool": "listening", "claimant": address(to), "amount": str(amount), **more}


async def ask(client: httpx.AsyncClient, body: dict[str, Any], key: str = "c1") -> httpx.Response:
    return await client.post("/claims", json=body, headers={"idempotency-key": key})


def code(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("urn:annals:problem:")


def told_paid(claim_id: str, amount: int, to: int = 1, at: datetime | None = None) -> tuple[str, Message]:
    """What the chain service publishes when the vault has paid."""
    when = at or datetime.now(UTC)
    message = chain.RewardClaimed(
        claim_id=claim_id,
        pool=Pool.LISTENING,
        claimant=address(to),
        amount=amount,
        day=(when - datetime(1970, 1, 1, tzinfo=UTC)).days,
        source=replace(source(500), block_time=when),
    )
    return f"reward-vault/claim/{claim_id}", message


async def tell_time(kafka: str, block: int, ahead: timedelta) -> None:
    """What the chain service publishes of blocks, the last of a time ahead of ours."""
    time = datetime.now(UTC) + ahead
    message = BlocksSolidified(first=block, last=block, last_hash=hash_of(block), last_time=time)
    body = message.model_dump_json().encode()
    await send_raw(kafka, message.topic, b"cursor", body, headers(ce_type=message.type.encode()))

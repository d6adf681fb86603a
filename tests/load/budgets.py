"""Claims that all want the budget of one pool, decided over HTTP, against appending their events undecided."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import httpx
from harness import Goal, Path, per_second
from servers import Servers

from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, NewEvent
from messaging.testing import delete_topics
from rewards import domain
from rewards.app import create
from service.testing import serving
from service.tokens import mint
from tron.keys import Key

CLAIMS = 3_000
CLIENTS = 32
USERS = 500
AMOUNT = 10**16


async def by_http(servers: Servers) -> float:
    """32 clients in a process of their own; the service signs, tells and shows the claims meanwhile."""
    server, kafka = await servers.postgres(), await servers.kafka()
    url = await asyncio.to_thread(server.create_database)
    await delete_topics(kafka, *(f"rewards.{name}" for name in ("relay", "log", "seals", "events")))  # another log's
    verifier = {"verifier_key": Key.random().secret.hex(), "vault": address(100), "chain_id": 9}
    async with serving(create, url, kafka, seal_seconds=600, log_level="warning", **verifier) as service:
        pool = service.pool
        await EventLog(pool, EventTypes(domain.EVENTS)).append(_before())
        token = mint(service.private_key, "bench", ["service"])
        began = time.process_time()
        clients = await asyncio.create_subprocess_exec(
            sys.executable, __file__, service.url, token, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await clients.communicate()
        spent = (time.process_time() - began) / CLAIMS * 1e6
        print(f"by HTTP: {spent:,.0f} µs of CPU in Python a claim in the service, with signing, relay and read models")
        reserved = await pool.fetchval("SELECT count(*) FROM events WHERE type = 'BudgetReserved'")
        assert reserved == CLAIMS, f"expected {CLAIMS} reservations, found {reserved}"
    await asyncio.to_thread(server.drop_database, url)
    return float(told)


async def claims(url: str, token: str) -> float:
    """What the clients' process does; returns claims decided per second."""
    waiting = list(range(CLAIMS))

    async def claim() -> None:
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
            while waiting:
                await _claim(client, waiting.pop())

    async def work() -> None:
        await asyncio.gather(*(claim() for _ in range(CLIENTS)))

    return await per_second(CLAIMS, work)


def _before() -> list[NewEvent]:
    """What the users have earned, and a pool that pays."""
    now = datetime.now(UTC)
    facts: list[tuple[str, Any]] = [
        ("pool/listening", domain.PoolConfigured(Pool.LISTENING, 10**24, True, source(0))),
        ("pool/listening", domain.PoolFunded(Pool.LISTENING, address(9), 10**24, source(1))),
    ]
    verdict = domain.Verdict("earned", 10**18, None, 1, now.date())
    for number in range(USERS):
        listen = domain.Listen("l1", f"user-{number}", now, domain.Origin(), "t1", 200, 300)
        facts.append((listen.stream, domain.ListenRecorded(str(uuid4()), now, verdict, None, listen)))
    return [NewEvent(stream, fact, now) for stream, fact in facts]


async def _claim(client: httpx.AsyncClient, number: int) -> None:
    user = number % USERS
    body = {"user": f"user-{user}", "pool": "listening", "claimant": address(user), "amount": str(AMOUNT)}
    answer = await client.post("/claims", json=body, headers={"idempotency-key": f"claim-{number}"})
    answer.raise_for_status()


async def appended(servers: Servers) -> float:
    """The four events of each claim by 32 writers that expect nothing, and so meet in nothing."""
    async with servers.empty_log(EventTypes(domain.EVENTS)) as log:
        waiting = list(range(CLAIMS))
        today, now, kind = date.today(), datetime.now(UTC), Pool.LISTENING  # noqa: DTZ011 - any day

        async def append() -> None:
            while waiting:
                number = waiting.pop()
                claim, user, to = hash_of("claim", number), f"user-{number % USERS}", address(number % USERS)
                reserved = domain.ClaimReserved(claim, user, kind, to, AMOUNT, "service", 1, 1)
                written = [
                    (f"claim/{claim}", reserved),
                    (f"listening/{user}", domain.RewardsReserved(claim, kind, AMOUNT)),
                    (f"budget/{uuid4()}", domain.BudgetReserved(claim, kind, today, AMOUNT)),
                    (f"wallet/listening/{to}", domain.WalletReserved(claim, kind, to, AMOUNT)),
                ]
                await log.append([NewEvent(stream, event, now) for stream, event in written])

        async def work() -> None:
            await asyncio.gather(*(append() for _ in range(CLIENTS)))

        return await per_second(CLAIMS, work)


PATHS = (Path("rewards_claims", "claims/s", by_http, appended, Goal(ours=300)),)

if __name__ == "__main__":
    print(asyncio.run(claims(*sys.argv[1:])))

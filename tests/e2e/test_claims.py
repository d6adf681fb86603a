"""From a listen to tokens in a wallet: rewards and chain as they run in production, on a chain that reorganises."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

import chain.app
import rewards.app
from chain.decoding import ARTIFACTS
from contracts.chain import Pool
from local_stack.postgres import PostgresServer
from local_stack.testing import Devnet
from messaging.testing import delete_topics, eventually
from rewards.claiming import operation_of
from service.testing import Running, serving
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.deploy import TOKEN, Deployment, Plan, deploy
from tron.deploy import Pool as Funding
from tron.keys import Key
from tron.sender import Sender

pytestmark = [pytest.mark.timeout(240), pytest.mark.devnet("--block-time", "0.1", "--solid-distance", "12")]

EARNED = TOKEN // 100  # by a listen


@dataclass
class Town:
    """Two services on one chain; `wallet` belongs to ada, who acts through `ada`."""

    url: str
    at: Deployment
    chain: Running
    ada: httpx.AsyncClient
    rewards: Running
    wallet: str

    def control(self, action: str, **body: Any) -> None:
        httpx.post(f"{self.url}/devnet/{action}", json=body, timeout=30).raise_for_status()

    async def listens(self, number: int) -> None:
        at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        heard = {"kind": "listen", "user": "ada", "at": at, "listened_seconds": 200, "track_seconds": 300}
        body = [heard | {"activity_id": f"l{n}", "track_id": f"t{n}"} for n in range(number)]
        answer = await self.ada.post("/activities", json={"activities": body}, headers={"idempotency-key": "k"})
        assert [result["outcome"] for result in answer.json()["results"]] == ["earned"] * number

    async def claims(self, name: str) -> str:
        """Claims what one listen has earned; returns the claim's id."""
        body = {"user": "ada", "pool": "listening", "claimant": self.wallet, "amount": str(EARNED)}
        answer = await self.ada.post("/claims", json=body, headers={"idempotency-key": name})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["claim_id"])

    async def holds(self) -> int:
        """What the wallet has on the chain."""
        async with NodeClient(self.url) as node:
            balance: int = await Sender(node).read(DCMXToken(self.at.token).balance_of(self.wallet))
            return balance

    def is_paid(self, claim_id: str) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            answer = await self.ada.get(f"/claims/{claim_id}")
            return answer.status_code == 200 and bool(answer.json()["status"] == "paid")

        return check

    def booked(self, event: str, number: int = 1) -> Callable[[], Awaitable[bool]]:
        """Whether the log of rewards has so many of an event."""

        async def check() -> bool:
            pool = self.rewards.service.pool
            assert pool is not None
            return bool(await pool.fetchval("SELECT count(*) >= $2 FROM events WHERE type = $1", event, number))

        return check

    def sent(self, claim_id: str, event: str) -> Callable[[], Awaitable[bool]]:
        """Whether the operation that pays a claim has come to an event."""

        async def check() -> bool:
            pool, stream = self.chain.service.pool, f"operation/{operation_of(claim_id)}"
            assert pool is not None
            sql = "SELECT EXISTS (SELECT FROM events WHERE stream = $1 AND type = $2)"
            return bool(await pool.fetchval(sql, stream, event))

        return check


@pytest.fixture
async def town(devnet: Devnet, postgres: PostgresServer, database: str, kafka: str) -> AsyncIterator[Town]:
    await delete_topics(kafka)
    accounts = (await _get(f"{devnet.url}/devnet/accounts")).json()
    admin, verifier, payer = (Key.from_hex(account["private_key"]) for account in accounts[:3])
    async with NodeClient(devnet.url) as node:
        plan = Plan(
            artists=[], verifier=verifier.address, pools={int(Pool.LISTENING): Funding(100 * TOKEN, 10 * TOKEN)}
        )
        at = await deploy(node, admin, plan)
    names = {compiled: name for name, compiled in ARTIFACTS.items()}
    sending = {
        "node_url": devnet.url,
        "contracts": json.dumps({names[contract.NAME]: contract.address for contract in at.contracts()}),
        "sending_keys": json.dumps({"rewards": payer.secret.hex()}),
        "poll_seconds": 0.1,
    }
    paying = {"verifier_key": verifier.secret.hex(), "vault": at.vault, "chain_id": at.chain_id}
    other = f"{database}_chain"
    await _execute(postgres, f"CREATE DATABASE {other.rsplit('/', 1)[1]}")
    try:
        async with (
            serving(chain.app.create, other, kafka, **sending) as of_chain,
            serving(rewards.app.create, database, kafka, **paying) as of_rewards,
            of_rewards.client("ada", "user") as ada,
        ):
            yield Town(devnet.url, at, of_chain, ada, of_rewards, Key.random().address)
    finally:
        await _execute(postgres, f"DROP DATABASE {other.rsplit('/', 1)[1]} WITH (FORCE)")


async def test_what_was_heard_is_earned_claimed_paid_by_the_vault_and_shown_also_after_a_reorganisation(
    town: Town,
) -> None:
    await town.listens(2)
    await eventually(town.booked("PoolConfigured"))
    await eventually(town.booked("PoolFunded"))
    first = await town.claims("first")
    await eventually(town.is_paid(first))
    assert await town.holds() == EARNED
    story = (await town.ada.get(f"/claims/{first}")).json()
    assert {"reserved", "authorised", "paid"} <= {step["step"] for step in story["steps"]}

    town.control("block-time", seconds=None)
    second = await town.claims("second")
    await eventually(town.sent(second, "TransactionBroadcast"))
    town.control("mine", blocks=2)
    await eventually(town.sent(second, "TransactionIncluded"))
    assert await town.holds() == 2 * EARNED
    town.control("reorg", depth=3, transactions="drop")
    await eventually(town.sent(second, "TransactionRetracted"))
    assert not await town.is_paid(second)(), "what is not solidified settles nothing"

    async def handed_in_again() -> bool:
        return bool((await _get(f"{town.url}/devnet/status")).json()["pending"])

    await eventually(handed_in_again)
    town.control("block-time", seconds=0.1)
    await eventually(town.is_paid(second))
    assert await town.holds() == 2 * EARNED, "paid once"

    await eventually(town.booked("ClaimSettled", 2))
    await town.rewards.shown()
    (period,) = (await town.ada.get("/pools/listening/budgets")).json()["items"]
    assert (period["paid"], period["reserved"]) == (str(2 * EARNED), "0")
    (pool,) = (await town.ada.get("/pools")).json()
    assert int(pool["balance"]) == 100 * TOKEN - 2 * EARNED


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(url)).raise_for_status()


async def _execute(postgres: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url())
    await connection.execute(statement)
    await connection.close()

"""The chain service on a chain with its contracts, as in production, for tests that follow a payment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

import chain.app
from chain.decoding import ARTIFACTS
from contracts.chain import Pool
from local_stack.postgres import PostgresServer
from local_stack.testing import Devnet
from messaging.testing import delete_topics, eventually
from service.testing import Running, serving
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.deploy import TOKEN, Deployment, Plan, deploy
from tron.deploy import Pool as Funding
from tron.keys import Key
from tron.sender import Sender

EARNED = TOKEN // 100
"""By a listen."""
HEARD = 200
"""Seconds, of a track of 300."""


@dataclass(frozen=True, slots=True)
class Place:
    """A chain with its contracts, the chain service that watches it, and the settings with which rewards has it pay.

    `admin` holds the DCMX that no pool has; royalties pays with its key. `contracts` is the setting of that name.
    """

    url: str
    at: Deployment
    admin: Key
    contracts: str
    chain: Running
    rewards_settings: Mapping[str, Any]

    def control(self, action: str, **body: Any) -> None:
        """Tells the devnet to do something."""
        httpx.post(f"{self.url}/devnet/{action}", json=body, timeout=30).raise_for_status()

    async def holds(self, wallet: str) -> int:
        """What an account has on the chain."""
        async with NodeClient(self.url) as node:
            balance: int = await Sender(node).read(DCMXToken(self.at.token).balance_of(wallet))
            return balance

    def sent(self, operation_id: str, event: str) -> Callable[[], Awaitable[bool]]:
        """Whether an operation has come to an event."""
        return recorded(self.chain.pool, event, stream=f"operation/{operation_id}")

    async def reorganises(self, operation_id: str, paid: Callable[[], Awaitable[bool]]) -> None:
        """Has a payment's transaction included and its block given up; the chain goes on without blocks of its own."""
        await eventually(self.sent(operation_id, "TransactionBroadcast"))
        self.control("mine", blocks=2)
        await eventually(self.sent(operation_id, "TransactionIncluded"))
        assert not await paid(), "what is not solidified settles nothing"
        self.control("reorg", depth=3, transactions="drop")
        await eventually(self.sent(operation_id, "TransactionRetracted"))
        await eventually(self._is_pending)

    async def _is_pending(self) -> bool:
        return bool((await _get(f"{self.url}/devnet/status")).json()["pending"])


@asynccontextmanager
async def place(devnet: Devnet, postgres: PostgresServer, database: str, kafka: str) -> AsyncIterator[Place]:
    """Deploys the contracts, and runs the chain service on a database beside `database`."""
    await delete_topics(kafka)
    accounts = (await _get(f"{devnet.url}/devnet/accounts")).json()
    admin, verifier, payer, anchor = (Key.from_hex(account["private_key"]) for account in accounts[:4])
    pools = {int(Pool.LISTENING): Funding(100 * TOKEN, 10 * TOKEN)}
    plan = Plan(verifier=verifier.address, publishers=[payer.address], anchors=[anchor.address], pools=pools)
    async with NodeClient(devnet.url) as node:
        at = await deploy(node, admin, plan)
    names = {compiled: name for name, compiled in ARTIFACTS.items()}
    keys = {"rewards": payer, "royalties": admin, "compliance": anchor}
    sending = {
        "node_url": devnet.url,
        "contracts": json.dumps({names[contract.NAME]: contract.address for contract in at.contracts()}),
        "sending_keys": json.dumps({name: key.secret.hex() for name, key in keys.items()}),
        "poll_seconds": 0.1,
    }
    paid = {"verifier_key": verifier.secret.hex(), "vault": at.vault, "chain_id": at.chain_id}
    other = f"{database}_chain"
    await _execute(postgres, f"CREATE DATABASE {other.rsplit('/', 1)[1]}")
    try:
        async with serving(chain.app.create, other, kafka, **sending) as running:
            yield Place(devnet.url, at, admin, sending["contracts"], running, paid)
    finally:
        await _execute(postgres, f"DROP DATABASE {other.rsplit('/', 1)[1]} WITH (FORCE)")


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=120) as client:
        return (await client.get(url)).raise_for_status()


async def _execute(postgres: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url())
    await connection.execute(statement)
    await connection.close()


def recorded(pool: asyncpg.Pool, event: str, number: int = 1, stream: str = "%") -> Callable[[], Awaitable[bool]]:
    """Whether the log in a database has so many of an event."""
    sql = "SELECT count(*) >= $3 FROM events WHERE type = $1 AND stream LIKE $2"

    async def check() -> bool:
        return bool(await pool.fetchval(sql, event, stream, number))

    return check


def status(client: httpx.AsyncClient, path: str, expected: str) -> Callable[[], Awaitable[bool]]:
    """Whether what is shown there has a status."""

    async def check() -> bool:
        answer = await client.get(path)
        return answer.status_code == 200 and bool(answer.json()["status"] == expected)

    return check


async def listens(client: httpx.AsyncClient, user: str, number: int, at: datetime | None = None) -> None:
    """A user hears so many tracks, which is rewarded."""
    when = (at or datetime.now(UTC)) - timedelta(minutes=1)
    heard = {"kind": "listen", "user": user, "at": when.isoformat(), "listened_seconds": HEARD, "track_seconds": 300}
    body = [heard | {"activity_id": f"l{n}", "track_id": f"t{n}"} for n in range(number)]
    answer = await client.post("/activities", json={"activities": body}, headers={"idempotency-key": "listens"})
    assert [result["outcome"] for result in answer.json()["results"]] == ["earned"] * number

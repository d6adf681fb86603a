"""A claim through a service that is killed around each step, on a chain that runs: paid once, and every book agrees."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import asyncpg
import httpx
import pytest
from small_town import EARNED, Place, listens, recorded

from eventlog.testing import Nursery, nursery
from local_stack.process import free_port
from messaging.testing import eventually, read_all
from rewards.app import create
from rewards.settings import RewardsSettings
from service.tokens import generate_keys, mint
from tron.keys import Key

pytestmark = [
    pytest.mark.endurance,
    pytest.mark.devnet("--block-time", "0.1", "--solid-distance", "12"),
]

WORKER = Path(__file__).with_name("rewards_worker.py")
STEPS = [
    f"{moment} {step}"
    for step in ("ClaimReserved", "ClaimAuthorised", "ClaimPaid", "ClaimSettled")
    for moment in ("before", "after")
]


class Ada:
    """Asks again until there is an answer, as clients of a service do that is killed now and then."""

    def __init__(self, client: httpx.AsyncClient, wallet: str) -> None:
        self._client = client
        self._wallet = wallet

    async def has_listened(self) -> None:
        async def answered() -> bool:
            try:
                await listens(self._client, "ada", 1)
            except httpx.TransportError:
                return False
            return True

        await eventually(answered)

    async def claims(self) -> str:
        """Claims what a listen has earned; returns the claim's id."""
        body = {"user": "ada", "pool": "listening", "claimant": self._wallet, "amount": str(EARNED)}
        while True:
            try:
                answer = await self._client.post("/claims", json=body, headers={"idempotency-key": "claim-1"})
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                return str(answer.json()["claim_id"])
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)


async def test_a_claim_is_paid_once_by_the_vault_whatever_step_the_service_is_killed_at(
    chain_of_claims: Place, database: str, kafka: str, pool: asyncpg.Pool
) -> None:
    town, port, wallet, (private, public) = chain_of_claims, free_port(), Key.random().address, generate_keys()
    settings = {"database_url": database, "kafka_bootstrap": kafka, "http_port": port, "jwt_public_key": public}
    await create(RewardsSettings(**settings)).migrate()
    headers = {"authorization": f"Bearer {mint(private, 'ada', ['user'])}"}
    async with (
        nursery(WORKER, {"settings": {**settings, **town.rewards_settings, "claims_look_seconds": 0.2}}) as services,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client,
    ):
        ada, first = Ada(client, wallet), await services.start()
        await ada.has_listened()
        await eventually(recorded(pool, "PoolConfigured"))
        await eventually(recorded(pool, "PoolFunded"))
        await services.stop(first)

        await _killed_at_each_step(services, ada)
        await services.start()
        claim_id = await ada.claims()
        await eventually(recorded(pool, "ClaimSettled"))

    counts = Counter(row["type"] for row in await pool.fetch("SELECT type FROM events"))
    for step in ("ClaimReserved", "ClaimAuthorised", "ClaimPaid", "ClaimSettled"):
        assert counts[step] == 1, step
    for book in ("Rewards", "Budget", "Wallet"):
        assert counts[f"{book}Reserved"] == 1, book
    assert counts["RewardsSettled"] == counts["BudgetPaid"] == counts["WalletPaid"] == 1
    assert await town.holds(wallet) == EARNED, f"{claim_id} is paid once"
    assert len(await read_all(kafka, "chain.commands")) == 1, "the chain was asked once"


async def _killed_at_each_step(services: Nursery, ada: Ada) -> None:
    for step in STEPS:
        await services.start(step)
        async with asyncio.TaskGroup() as until_it_dies:
            asking = until_it_dies.create_task(ada.claims())
            await services.dies()
            asking.cancel()

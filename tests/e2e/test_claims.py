"""From a listen to tokens in a wallet, on a chain that reorganises."""

from __future__ import annotations

import httpx
import pytest
from small_town import EARNED, Place, listens, recorded, status

import rewards.app
from messaging.testing import eventually
from rewards.claiming import operation_of
from service.testing import serving
from tron.deploy import TOKEN
from tron.keys import Key

pytestmark = pytest.mark.devnet("--block-time", "0.1", "--solid-distance", "12")


async def claims(client: httpx.AsyncClient, wallet: str, name: str) -> str:
    """Ada claims what one listen has earned; returns the claim's id."""
    body = {"user": "ada", "pool": "listening", "claimant": wallet, "amount": str(EARNED)}
    answer = await client.post("/claims", json=body, headers={"idempotency-key": name})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["claim_id"])


async def test_what_was_heard_is_earned_claimed_paid_by_the_vault_and_shown_also_after_a_reorganisation(
    chain_of_claims: Place, database: str, kafka: str
) -> None:
    town, wallet = chain_of_claims, Key.random().address
    async with (
        serving(rewards.app.create, database, kafka, **town.rewards_settings) as service,
        service.client("ada", "user") as ada,
    ):
        await listens(ada, "ada", 2)
        await eventually(recorded(service.pool, "PoolConfigured"))
        await eventually(recorded(service.pool, "PoolFunded"))
        first = await claims(ada, wallet, "first")
        await eventually(status(ada, f"/claims/{first}", "paid"))
        assert await town.holds(wallet) == EARNED
        story = (await ada.get(f"/claims/{first}")).json()
        assert {"reserved", "authorised", "paid"} <= {step["step"] for step in story["steps"]}

        town.control("block-time", seconds=None)
        second = await claims(ada, wallet, "second")
        is_paid = status(ada, f"/claims/{second}", "paid")
        await town.reorganises(operation_of(second), is_paid)
        town.control("block-time", seconds=0.1)
        await eventually(is_paid)
        assert await town.holds(wallet) == 2 * EARNED, "paid once"

        await eventually(recorded(service.pool, "ClaimSettled", 2))
        await service.shown()
        (period,) = (await ada.get("/pools/listening/budgets")).json()["items"]
        assert (period["paid"], period["reserved"]) == (str(2 * EARNED), "0")
        (pool,) = (await ada.get("/pools")).json()
        assert int(pool["balance"]) == 100 * TOKEN - 2 * EARNED

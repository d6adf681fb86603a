"""What a user is told of their rewards and claims as it happens, and where they go on after a lost connection."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from messaging.testing import send
from rewards import domain
from service.testing import Running, events_of

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import DCMX, ask, earned, opened, pool_rule, tell_time, told_paid, wish

pytestmark = pytest.mark.endurance
ADA = "/users/ada/rewards/stream"
Told = tuple[int, str, dict[str, Any]]


@pytest.fixture
def rewards(paying: Running) -> Running:
    return paying


@pytest.fixture
async def log_pool(rewards: Running) -> asyncpg.Pool:
    await earned(rewards.pool, ["ada", "bob"], 5 * DCMX)
    await opened(rewards.pool, 100 * DCMX)
    return rewards.pool


async def told(rewards: Running, count: int, after: int | None = 0, subject: str = "ada") -> list[Told]:
    """The first events of ada's stream after an id; her client goes away then."""
    roles = ["user"] if subject == "ada" else ["officer"]
    async with rewards.client(subject, *roles) as client, aclosing(events_of(client, ADA, after)) as events:
        return [await anext(events) for _ in range(count)]


def statuses(events: list[Told]) -> list[str]:
    return [data["status"] for _, _, data in events]


async def test_a_user_is_told_of_rewards_and_of_each_step_of_a_claim_and_misses_nothing_in_between(
    rewards: Running, log_pool: asyncpg.Pool, kafka: str
) -> None:
    following = asyncio.create_task(told(rewards, 5))
    async with rewards.client("ada", "user") as ada, rewards.client("bob", "user") as bob:
        claim_id = (await ask(ada, wish("ada", DCMX))).json()["claim_id"]
        assert (await ask(bob, wish("bob", DCMX, to=2), "b1")).status_code == 200
        await send(kafka, told_paid(claim_id, DCMX))
        all_of_it = await following
        assert [(name, data.get("claim_id")) for _, name, data in all_of_it] == [("reward", None)] + 4 * [
            ("claim", claim_id)
        ]
        assert statuses(all_of_it)[:2] == ["earned", "reserved"]
        assert sorted(statuses(all_of_it)) == ["authorised", "earned", "paid", "reserved", "settled"]
        assert {data["amount"] for _, name, data in all_of_it if name == "claim"} == {str(DCMX)}
        ids = [number for number, _, _ in all_of_it]
        assert ids == sorted(set(ids))
        for seen in range(1, 5):
            assert await told(rewards, 5 - seen, ids[seen - 1], "olga") == all_of_it[seen:]
        assert (await bob.get(ADA)).status_code == 403


async def test_a_claim_that_is_given_back_is_told_with_the_reason(
    rewards: Running, log_pool: asyncpg.Pool, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "pool_rule", lambda _: pool_rule(claim_seconds=0))
    async with rewards.client("ada", "user") as ada:
        assert (await ask(ada, wish("ada", DCMX))).status_code == 200
    await tell_time(kafka, 9, timedelta(days=1))
    end = (await told(rewards, 3))[-1][2]
    assert (end["status"], end["reason"], end["tx_id"]) == ("released", "never-authorised", None)


async def test_who_has_seen_nothing_yet_begins_now_with_an_id_and_lists_that_are_as_new(
    rewards: Running, log_pool: asyncpg.Pool
) -> None:
    [(now, name, begun)] = await told(rewards, 1, None)
    assert name == "now"
    async with rewards.client("ada", "user") as ada:
        [total] = (await ada.get("/totals/ada", headers={"annals-after": begun["token"]})).json()
        assert total["earned"] == str(5 * DCMX)
        listen = {"kind": "listen", "activity_id": "l1", "user": "ada", "track_id": "t1"}
        at = datetime.now(UTC).isoformat()
        body = {"activities": [{**listen, "listened_seconds": 5, "track_seconds": 300, "at": at}]}
        made = (await ada.post("/activities", json=body, headers={"idempotency-key": "k"})).json()
    [(_, name, news)] = await told(rewards, 1, now)
    expected = (made["results"][0]["reward_id"], "listening", "refused", "too-short")
    assert (news["reward_id"], news["pool"], news["status"], news["reason"]) == expected

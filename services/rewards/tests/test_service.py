from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from rewards_deeds import one_of_each

from contracts import chain
from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes
from messaging.testing import eventually, headers, read_all, send, send_raw
from projections.testing import rebuilt_alike
from rewards import projections
from rewards.domain import EVENTS
from service.testing import Running

ENDED = datetime.now(UTC) - timedelta(minutes=1)


def claimed(number: int, pool: Pool = Pool.LISTENING, claimant: int = 1) -> tuple[str, chain.RewardClaimed]:
    message = chain.RewardClaimed(
        claim_id=hash_of("claim", number),
        pool=pool,
        claimant=address(claimant),
        amount=10**18 + number,
        day=20_454,
        source=source(100 + number),
    )
    return f"reward-vault/claim/{message.claim_id}", message


def funded(amount: int) -> tuple[str, chain.PoolFunded]:
    return "reward-vault/pool/1", chain.PoolFunded(
        pool=Pool.LISTENING, funder=address(9), amount=amount, source=source(1)
    )


def listens(user: str, *numbers: int, seconds: int = 200) -> dict[str, Any]:
    return {"activities": [listened(user, number, seconds) for number in numbers]}


def listened(user: str, number: int, seconds: int = 200, **more: Any) -> dict[str, Any]:
    return {
        "kind": "listen",
        "activity_id": f"l{number}",
        "user": user,
        "track_id": f"t{number}",
        "listened_seconds": seconds,
        "track_seconds": 300,
        "at": ENDED.isoformat(),
        **more,
    }


def voted(user: str, like: bool) -> dict[str, Any]:
    vote = {"kind": "vote", "activity_id": f"v-{user}-{like}", "user": user, "track_id": "t1", "like": like}
    return {"activities": [vote | {"at": ENDED.isoformat()}]}


async def post(client: httpx.AsyncClient, path: str, body: object, key: str = "k1") -> httpx.Response:
    return await client.post(path, json=body, headers={"idempotency-key": key})


async def test_a_claim_on_the_chain_shows_with_its_transaction_and_is_told_to_others(
    rewards: Running, kafka: str
) -> None:
    await send(kafka, funded(10**20), *(claimed(n) for n in range(30)), claimed(99, claimant=2))
    async with rewards.client("shop", "service") as client:

        async def all_there() -> bool:
            pools = (await client.get("/pools")).json()
            return bool(pools) and pools[0]["claims"] == 31 and pools[0]["funded"] == str(10**20)

        await eventually(all_there)
        await rewards.shown()  # in the other read models, too
        first = (await client.get("/claims", params={"subject": address(1), "limit": 20})).json()
        second = (await client.get("/claims", params={"subject": address(1), "cursor": first["next"]})).json()
        ids = [claim["claim_id"] for claim in first["items"] + second["items"]]
        assert ids == [hash_of("claim", n) for n in reversed(range(30))]
        assert second["next"] is None

        claim = (await client.get(f"/claims/{hash_of('claim', 7)}")).json()
        assert (claim["tx_id"], claim["block_number"], claim["amount"]) == (source(107).tx_id, 107, str(10**18 + 7))

        paid = sum(10**18 + n for n in range(30))
        totals = (await client.get(f"/totals/{address(1)}")).json()
        assert totals == [
            {
                "subject": address(1),
                "pool": "listening",
                "earned": "0",
                "times_earned": 0,
                "held": "0",
                "corrected": "0",
                "times_refused": 0,
                "paid": str(paid),
                "times_paid": 30,
            }
        ]
        everybody = paid + (10**18 + 99)
        (pool,) = (await client.get("/pools")).json()
        assert int(pool["balance"]) == 10**20 - everybody
        [day] = (await client.get("/pools/listening/days")).json()["items"]
        assert (day["paid"], day["times_paid"], day["earned"]) == (str(everybody), 31, "0")

    async def told() -> bool:
        return len(await read_all(kafka, "rewards.events")) >= 31

    await eventually(told)


async def test_listens_earn_once_and_are_visible_right_after_the_post(rewards: Running) -> None:
    async with rewards.client("ada", "user") as client:
        answer = await post(client, "/activities", listens("ada", 1, 2, 3))
        assert [one["outcome"] for one in answer.json()["results"]] == ["earned"] * 3
        again = await post(client, "/activities", listens("ada", 1, 2, 3))
        assert (again.json()["events"], again.json()["token"]) == (0, None)
        assert again.json()["results"] == answer.json()["results"]
        short = await post(client, "/activities", listens("ada", 4, seconds=10))

        after = {"annals-after": short.json()["token"]}
        shown = (await client.get("/users/ada/listening-rewards", headers=after)).json()["items"]
        assert {(item["activity_id"], item["amount"], item["reason"]) for item in shown} == {
            ("l1", str(10**16), None),
            ("l2", str(10**16), None),
            ("l3", str(10**16), None),
            ("l4", "0", "too-short"),
        }
        totals = (await client.get("/totals/ada", headers=after)).json()
        assert (totals[0]["earned"], totals[0]["times_earned"]) == (str(3 * 10**16), 3)


async def test_a_vote_replaces_the_one_before(rewards: Running) -> None:
    async with rewards.client("player", "service") as client:
        for user, like in [("ada", True), ("bob", True), ("ada", False)]:
            answer = await post(client, "/activities", voted(user, like))
        votes = await client.get("/tracks/t1/votes", headers={"annals-after": answer.json()["token"]})
        assert votes.json() == {"track_id": "t1", "likes": 1, "dislikes": 1}


async def test_malformed_messages_are_put_aside_and_the_others_go_on(rewards: Running, kafka: str) -> None:
    await send(kafka, claimed(1))
    await send_raw(
        kafka,
        "chain.reward-vault",
        b"reward-vault/pool/1",
        b"{not json",
        headers(ce_type=chain.PoolFunded.type.encode()),
    )
    await send_raw(
        kafka,
        "chain.reward-vault",
        b"reward-vault/claim/bad",
        b'{"claim_id": "00", "pool": 77, "claimant": "me", "amount": -5, "day": 1.5}',
        headers(ce_type=chain.RewardClaimed.type.encode()),
    )
    await send(kafka, claimed(2))
    pool = rewards.pool

    async def settled() -> bool:
        parked = await pool.fetchval("SELECT count(*) FROM parked")
        return parked == 2 and await pool.fetchval("SELECT count(*) FROM events WHERE type = 'ClaimPaid'") == 2

    await eventually(settled)


BAD_INPUT: list[tuple[object, str]] = [
    ({"activities": []}, "activities"),
    ({"activities": [{"kind": "listen"}]}, "activity_id"),
    ({"activities": [{"kind": "sing"}]}, "activities"),
    (listens("ada", 1, seconds=-1), "listened_seconds"),
    (listens("ada", 1, seconds=1.5), "listened_seconds"),  # type: ignore[arg-type]  # a float, on purpose
    ({"activities": [listened("ada", 1, at=7)]}, "at"),
    ({"activities": [listened("ada", 1, at="7")]}, "at"),
    (listens("x" * 101, 1), "user"),
    ({**listens("ada", 1), "extra": 1}, "extra"),
]
"""What is posted, and the field that the answer names."""


async def test_bad_input_is_a_problem_that_names_the_field(rewards: Running) -> None:
    async with rewards.client("player", "service") as client:
        for body, named in BAD_INPUT:
            answer = await post(client, "/activities", body)
            assert answer.status_code == 422, body
            assert answer.headers["content-type"] == "application/problem+json", body
            assert named in answer.text, body


async def test_nobody_acts_without_a_token_or_for_somebody_else(rewards: Running) -> None:
    async with rewards.nobody() as nobody, rewards.client("bob", "user") as bob:
        assert (await nobody.get("/pools")).status_code == 401
        assert (await nobody.get("/pools", headers={"authorization": "Bearer forged"})).status_code == 401
        refused = await post(bob, "/activities", listens("ada", 1))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:annals:problem:not-yourself")
        assert (await bob.post("/activities", json=listens("bob", 1))).status_code == 400

        assert (await bob.get("/claims/none")).status_code == 404


async def test_the_service_says_what_it_needs_and_that_it_is_ready(rewards: Running, kafka: str) -> None:
    async with rewards.nobody() as client:

        async def missed() -> bool:
            check = (await client.get("/ready")).json()["checks"]["kafka"]
            assert not check["ok"]
            return "chain.reward-vault" in check["detail"]  # a broker that is too slow would be told first

        await eventually(missed)
        await send(kafka, claimed(1))

        async def ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await eventually(ready)
        assert (await client.get("/health")).json()["workers"]["projections"] == "running"
        assert "annals_" in (await client.get("/metrics")).text


async def test_live_rows_equal_rebuilt_rows(rewards: Running, kafka: str) -> None:
    active = chain.PoolConfigured(pool=Pool.LISTENING, daily_limit=10**20, active=True, source=source(2))
    await send(kafka, funded(10**20), ("reward-vault/pool/1", active), *(claimed(n, Pool(n % 5)) for n in range(20)))
    await one_of_each(rewards)
    async with rewards.client("player", "service") as client:

        async def all_there() -> bool:
            return sum(pool["claims"] for pool in (await client.get("/pools")).json()) == 20

        await eventually(all_there)

        async def claims() -> bool:
            body = {"user": "ada", "pool": "listening", "claimant": address(3), "amount": "7"}
            return (await post(client, "/claims", body)).status_code == 200

        await eventually(claims)
    await rewards.shown()
    pool = rewards.pool
    await rebuilt_alike(EventLog(pool, EventTypes(EVENTS)), projections.ALL, may_be_empty=["wallet_owners"])

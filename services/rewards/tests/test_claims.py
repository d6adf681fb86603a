"""Claims over HTTP, told of by a chain that the tests play: who gets what, who doesn't and why."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from contracts import operations
from contracts.chain import BatchOpened, BatchSwept, Pool
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, NewEvent
from messaging.testing import eventually, read_all, send
from rewards import claiming, domain
from rewards.domain.rules import BUILT_IN, rules_stream
from rewards.metrics import measure_pools
from service import Queries
from service.testing import Running
from tron.claims import claim_digest
from tron.keys import signer

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import DCMX, SETTINGS, VERIFIER, ask, code, earned, opened, pool_rule, tell_time, told_paid, wish

pytestmark = pytest.mark.endurance
DAY = timedelta(days=1)
POOL = "annals_rewards_pool_dcmx"


@pytest.fixture
def rewards(paying: Running) -> Running:
    return paying


async def states(rewards: Running) -> Counter[str]:
    await rewards.shown()
    async with rewards.client("player", "service") as client:
        return Counter(claim["status"] for claim in (await client.get("/claims?limit=500")).json()["items"])


async def budget(rewards: Running) -> dict[str, int]:
    """The open period, whose parts add up."""
    await rewards.shown()
    async with rewards.client("ada", "user") as client:
        (period,) = (await client.get("/pools/listening/budgets")).json()["items"]
    parts = {name: int(period[name]) for name in ("paid", "reserved", "free", "lapsed", "handed_on")}
    assert sum(parts.values()) == int(period["budget"])
    return parts


async def test_a_claim_is_reserved_signed_asked_of_the_chain_and_settled_by_the_vault_alone(
    rewards: Running, kafka: str
) -> None:
    pool = rewards.pool
    await earned(pool, ["ada"], 5 * DCMX)
    await opened(pool, 100 * DCMX)
    async with rewards.client("ada", "user") as client:
        made = (await ask(client, wish("ada", 3 * DCMX))).json()
        claim_id = made["claim_id"]
        again = await ask(client, wish("ada", 3 * DCMX))
        assert (again.status_code, again.json()["claim_id"], again.json()["events"]) == (200, claim_id, 0)
        other = await ask(client, wish("ada", 2 * DCMX))
        assert (other.status_code, code(other)) == (409, "claim-conflict")

        async def asked() -> bool:
            return bool(await read_all(kafka, "chain.commands"))

        await eventually(asked)
        (record,) = await read_all(kafka, "chain.commands")
        command = operations.CallContract.model_validate_json(record.value)
        assert (command.operation_id, command.sender) == (str(UUID(claim_id[:32])), "rewards")
        assert (command.contract, command.method) == ("reward-vault", "pay_claim")
        args = dict(command.args)
        signature = bytes.fromhex(args.pop("signature"))
        digest = claim_digest(SETTINGS["vault"], SETTINGS["chain_id"], **{**args, "amount": int(args["amount"])})
        assert signer(digest, signature) == VERIFIER.address

        done = operations.OperationSolidified(
            operation_id=command.operation_id,
            tx_id=hash_of("tx"),
            block_number=7,
            block_hash=hash_of("block"),
            fee_sun=1,
            energy_used=1,
        )
        await send(kafka, (f"operation/{command.operation_id}", done))

        async def sent() -> bool:
            return (await states(rewards))["sent"] == 1

        await eventually(sent)
        assert (await budget(rewards))["reserved"] == 3 * DCMX, "what is said of the transaction settles nothing"
        await send(kafka, told_paid(claim_id, 3 * DCMX))

        async def settled() -> bool:
            return (await budget(rewards))["paid"] == 3 * DCMX

        await eventually(settled)
        story = await client.get(f"/claims/{claim_id}")
        assert [step["step"] for step in story.json()["steps"]] == ["reserved", "authorised", "sent", "paid"]
        same = await client.get(f"/claims/{claim_id}", headers={"if-none-match": story.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert code(await ask(client, wish("ada", 3 * DCMX), "c2")) == "balance-too-small"
    assert rewards.service.queries is not None
    await measure_pools(Queries("rewards", rewards.service.queries, pool))
    parts = {part: REGISTRY.get_sample_value(POOL, {"pool": "listening", "part": part}) for part in ("paid", "balance")}
    assert parts == {"paid": 3, "balance": 97}


async def test_of_32_who_claim_at_once_from_a_nearly_empty_pool_exactly_the_budget_is_paid(
    rewards: Running, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = rewards.service.pool
    assert pool is not None
    users = [f"user-{n}" for n in range(32)]
    await earned(pool, users, 10 * DCMX)
    await opened(pool, 100 * DCMX)
    monkeypatch.setattr(domain, "pool_rule", lambda _: pool_rule(budget=21 * DCMX))
    wishes = [(wish(user, 2 * DCMX, n), f"{user}-{turn}", n) for turn in (1, 2) for n, user in enumerate(users)]
    async with rewards.client("player", "service") as client:
        answers = await asyncio.gather(*(ask(client, body, key) for body, key, _ in wishes))
        assert Counter(answer.status_code for answer in answers) == {200: 10, 409: 54}
        assert {code(answer) for answer in answers if answer.status_code == 409} == {"budget-exhausted"}
        last = await ask(client, wish("user-3", DCMX, 3), "last")
        assert last.status_code == 200
    assert (await budget(rewards))["reserved"] == 21 * DCMX

    made = [(answer, 2 * DCMX, n) for answer, (_, _, n) in zip(answers, wishes, strict=True) if answer.is_success]
    for answer, amount, to in [*made, (last, DCMX, 3)]:
        await send(kafka, told_paid(answer.json()["claim_id"], amount, to))

    async def settled() -> bool:
        return await budget(rewards) == {"paid": 21 * DCMX, "reserved": 0, "free": 0, "lapsed": 0, "handed_on": 0}

    await eventually(settled)


async def test_a_claim_is_refused_with_the_reason(rewards: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = rewards.pool
    await earned(pool, ["ada", "bob"], 60 * DCMX)
    async with rewards.client("player", "service") as client:
        inactive = await ask(client, wish("ada", DCMX))
        assert (inactive.status_code, code(inactive)) == (409, "pool-inactive")
        await opened(pool, 50 * DCMX, daily_limit=8 * DCMX)
        refusals = {
            "balance-too-small": wish("ada", 61 * DCMX),
            "amount-zero": wish("ada", 0),
            "wallet-daily-limit": wish("ada", 9 * DCMX),
        }
        for number, (reason, body) in enumerate(refusals.items()):
            answer = await ask(client, body, f"r{number}")
            assert code(answer) == reason, answer.text
        assert (await ask(client, wish("ada", 5 * DCMX), "a")).status_code == 200
        assert code(await ask(client, wish("bob", 5 * DCMX), "b")) == "wallet-daily-limit", "the address has had enough"
        monkeypatch.setattr(domain, "pool_rule", lambda _: pool_rule(daily_limit=9 * DCMX, budget=6 * DCMX))
        assert code(await ask(client, wish("ada", 5 * DCMX, to=2), "c")) == "user-daily-limit"
        sharing = await ask(client, {**wish("ada", DCMX), "pool": "sharing"}, "d")
        assert (sharing.status_code, code(sharing)) == (409, "pool-inactive")
    async with rewards.client("bob", "user") as bob:
        assert (await ask(bob, wish("ada", DCMX), "e")).status_code == 403


async def test_the_terms_of_a_claim_are_those_of_the_rule_that_is_in_force_when_it_is_made(rewards: Running) -> None:
    pool = rewards.pool
    now, built_in = datetime.now(UTC), BUILT_IN[Pool.LISTENING].rule
    rule = replace(built_in, claim_daily_limit=4 * DCMX, claim_seconds=600, budget=3 * DCMX)
    published = [
        domain.RulesPublished(Pool.LISTENING, version, at, "olga", now - DAY, terms)
        for version, at, terms in ((2, now - DAY / 2, rule), (3, now + DAY, replace(rule, budget=DCMX)))
    ]
    log = EventLog(pool, EventTypes(domain.EVENTS))
    await log.append([NewEvent(rules_stream(Pool.LISTENING), event, now) for event in published])
    await earned(pool, ["ada", "bob"], 60 * DCMX)
    await opened(pool, 50 * DCMX)
    async with rewards.client("player", "service") as client:
        assert code(await ask(client, wish("ada", 5 * DCMX), "a")) == "user-daily-limit"
        assert code(await ask(client, wish("ada", 4 * DCMX), "b")) == "budget-exhausted"
        made = await ask(client, wish("ada", 2 * DCMX), "c")
        after = {"annals-after": made.json()["token"]}
        claim = (await client.get(f"/claims/{made.json()['claim_id']}", headers=after)).json()
        since = datetime.fromisoformat(claim["since"])
        assert (claim["rule_version"], claim["deadline"]) == (2, int(since.timestamp()) + 600)
        [shown] = [one for one in (await client.get("/rules")).json() if one["kind"] == "listening"]
        assert shown["parameters"]["claim_daily_limit"] == str(4 * DCMX)
        assert (shown["author"], shown["parameters"]["claim_seconds"]) == ("olga", 600)


async def test_a_claim_that_nobody_brings_is_released_once_the_chain_is_past_it(rewards: Running, kafka: str) -> None:
    """With a deadline in the past at once, so that only the chain's own time is waited for."""
    pool = rewards.pool
    await earned(pool, ["ada"], 5 * DCMX)
    await opened(pool, 100 * DCMX)
    rule = pool_rule(claim_seconds=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain, "pool_rule", lambda _: rule)
        async with rewards.client("ada", "user") as client:
            ids = [(await ask(client, wish("ada", DCMX), f"c{n}")).json()["claim_id"] for n in range(2)]
            await tell_time(kafka, 8, -DAY)  # the chain is behind
            await send(kafka, told_paid(ids[0], DCMX))
            await tell_time(kafka, 9, DAY)

            async def released() -> bool:
                return await states(rewards) == {"paid": 1, "released": 1}

            await eventually(released)
            story = (await client.get(f"/claims/{ids[1]}")).json()
            assert (story["status"], story["reason"]) == ("released", "never-authorised")
            patch.setattr(domain, "pool_rule", lambda _: pool_rule())
            assert (await ask(client, wish("ada", 4 * DCMX), "again")).status_code == 200, "it can be claimed again"

            async def settled() -> bool:
                parts = await budget(rewards)
                return (parts["paid"], parts["reserved"]) == (DCMX, 4 * DCMX)

            await eventually(settled)


async def test_a_claimant_may_bring_the_claim_with_their_own_wallet(rewards: Running, kafka: str) -> None:
    pool = rewards.pool
    await earned(pool, ["ada"], 5 * DCMX)
    await opened(pool, 100 * DCMX)
    async with rewards.client("ada", "user") as ada, rewards.client("bob", "user") as bob:
        claim_id = (await ask(ada, wish("ada", DCMX, payer="claimant"))).json()["claim_id"]

        async def signed() -> bool:
            return (await ada.get(f"/claims/{claim_id}/authorisation")).status_code == 200

        await eventually(signed)
        given = (await ada.get(f"/claims/{claim_id}/authorisation")).json()
        assert (given["claimant"], given["amount"]) == (address(1), str(DCMX))
        assert (await bob.get(f"/claims/{claim_id}/authorisation")).status_code == 403
        await send(kafka, told_paid(claim_id, DCMX))

        async def settled() -> bool:
            return (await budget(rewards))["paid"] == DCMX

        await eventually(settled)
        assert not await read_all(kafka, "chain.commands")


async def test_what_the_vault_paid_without_us_counts_against_what_it_holds(rewards: Running, kafka: str) -> None:
    pool = rewards.pool
    await earned(pool, ["ada"], 50 * DCMX)
    await opened(pool, 10 * DCMX)
    await send(kafka, told_paid(hash_of("foreign"), 7 * DCMX, to=5))

    async def booked() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM events WHERE type = 'BudgetPaid'"))

    await eventually(booked)
    async with rewards.client("ada", "user") as client:
        assert code(await ask(client, wish("ada", 4 * DCMX), "a")) == "vault-exhausted"
        assert (await ask(client, wish("ada", 3 * DCMX), "b")).status_code == 200
    async with rewards.client("player", "service") as client:
        (foreign,) = (await client.get("/claims", params={"subject": address(5)})).json()["items"]
        assert (foreign["user"], foreign["status"]) == (None, "paid")


async def test_what_a_batch_sets_aside_is_not_promised_to_claims_until_it_comes_back(
    rewards: Running, kafka: str
) -> None:
    pool = rewards.pool
    await earned(pool, ["ada"], 10 * DCMX)
    await opened(pool, 10 * DCMX)
    about: dict[str, Any] = {"pool": Pool.LISTENING, "batch": 7}
    deadline = 2_000_000_000
    batch = BatchOpened(**about, root=hash_of(1), total=6 * DCMX, deadline=deadline, source=source(2))
    await send(kafka, ("reward-vault/batch/7", batch))

    async def shown() -> tuple[int, int]:
        await rewards.shown()
        async with rewards.client("ada", "user") as client:
            (status,) = (await client.get("/pools")).json()
        return int(status["batched"]), int(status["balance"])

    async def set_aside() -> bool:
        return await shown() == (6 * DCMX, 4 * DCMX)

    await eventually(set_aside)
    async with rewards.client("ada", "user") as client:
        assert code(await ask(client, wish("ada", 5 * DCMX), "a")) == "vault-exhausted"
        await send(kafka, ("reward-vault/batch/7", BatchSwept(**about, amount=2 * DCMX, source=source(3))))

        async def returned() -> bool:
            return await shown() == (4 * DCMX, 6 * DCMX)

        await eventually(returned)
        assert (await ask(client, wish("ada", 5 * DCMX), "b")).status_code == 200


async def test_a_payment_of_other_contents_than_signed_is_put_aside_and_releases_nothing(
    rewards: Running, kafka: str
) -> None:
    pool = rewards.pool
    await earned(pool, ["ada"], 5 * DCMX)
    await opened(pool, 100 * DCMX)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain, "pool_rule", lambda _: pool_rule(claim_seconds=0))
        async with rewards.client("ada", "user") as client:
            ids = [(await ask(client, wish("ada", DCMX), f"c{n}")).json()["claim_id"] for n in range(2)]
    await send(kafka, told_paid(ids[0], 2 * DCMX))
    await tell_time(kafka, 9, DAY)

    async def released() -> bool:
        return await states(rewards) == {"reserved": 1, "released": 1}

    await eventually(released)
    assert await pool.fetchval("SELECT count(*) FROM parked") == 1
    assert claiming.claim_of(claiming.operation_of(ids[0], 3)) == (ids[0], 3)

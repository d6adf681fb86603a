"""Periods: what was heard in a week is committed to, opened on the chain, and can be made again from the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from rewards_deeds import NOON, World, listen

from contracts import Message, chain
from contracts.chain import Pool
from contracts.operations import CallContract, OperationExpired
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, Executor, Metadata, Watermark
from messaging import TopicSpec, ensure
from messaging.testing import delete_topics, eventually, read_all, send
from rewards import domain, periods
from rewards.app import create
from rewards.members import register
from rewards.metrics import FAILED_OPENINGS
from rewards.periods import Periods, PeriodsError
from rewards.recorder import Recorder, Reported
from service.testing import Running, serving
from zk import Claim, Commitment, Period, Prover, Secret, Verifier, scope

WEEK = domain.period_of(NOON.date())
VAULT, CHAIN_ID = address(100), 9
DEADLINE = int((datetime.now(UTC) + timedelta(days=30)).timestamp())
TERMS: dict[str, Any] = {"threshold": 300, "amount": "5", "deadline": DEADLINE}
MEMBERS = {"ada": f"{3:064x}", "bob": f"{2:064x}", "eve": f"{1:064x}"}


def member(user: str, since: int = WEEK) -> domain.MemberRegistered:
    return domain.MemberRegistered(user, MEMBERS[user], since)


def heard(*events: Any) -> dict[str, tuple[str, int]]:
    hearing = domain.Hearing(WEEK)
    for event in events:
        hearing.take(event)
    return {user: (found.member, found.seconds) for user, found in hearing.records().items()}


def test_what_was_rewarded_in_the_week_is_added_up_for_each_member() -> None:
    world = World()
    listens = [
        world.report(listen("l1", "ada", "t1", 200)),
        world.report(listen("l2", "ada", "t2", 250, at=NOON + timedelta(hours=1))),
        world.report(listen("l3", "ada", "t3", 250, at=NOON + timedelta(days=7))),
        world.report(listen("l4", "ada", "t4", 5)),  # too short
        world.report(listen("l5", "bob", "t1", 200)),
        world.report(listen("l6", "joe", "t1", 200)),  # no member
    ]
    members = [member("ada"), member("bob"), member("eve")]
    assert heard(*listens, *members) == {"ada": (MEMBERS["ada"], 450), "bob": (MEMBERS["bob"], 200)}
    assert list(heard(*members, *listens)) == ["bob", "ada"]  # in the order of the members
    assert heard(*listens, member("ada", WEEK + 1), member("bob")) == {"bob": (MEMBERS["bob"], 200)}


def test_held_listens_count_once_approved_and_corrected_ones_no_longer() -> None:
    world = World().change(Pool.LISTENING, hold_score=10)
    bad = domain.StandingReported("eve", NOON - timedelta(days=99), -1, 0)
    held = world.happened("standing/eve", bad).report(listen("l1", "eve", "t1", 200))
    assert held.verdict.outcome == "held"
    details = (held.reward_id, Pool.LISTENING, "eve")
    approved = domain.RewardApproved(*details, held.verdict.amount, 1, NOON.date(), "known", "olga")
    less = domain.RewardCorrected(*details, -1, NOON.date(), "a bit", "olga")
    nothing = domain.RewardCorrected(*details, 1 - held.verdict.amount, NOON.date(), "a robot", "olga")
    other = domain.RewardCorrected("another", Pool.SHARING, "eve", 7, date(2026, 5, 1), "not of this", "olga")
    assert heard(member("eve"), held, other) == {}
    assert heard(member("eve"), held, approved, less) == {"eve": (MEMBERS["eve"], 200)}
    assert heard(member("eve"), held, approved, less, nothing) == {}


def test_a_period_is_committed_to_once_after_its_last_activity_and_before_the_deadline() -> None:
    wait, terms = timedelta(days=2), domain.Terms(300, 5, 10**10)
    over = datetime(2026, 5, 6, tzinfo=UTC)  # two days after the last Sunday
    assert domain.check_period(WEEK, terms, domain.Period(), over, wait)
    for at, given, code in [
        (over - timedelta(seconds=1), terms, "period-not-over"),
        (over, domain.Terms(300, 5, int(over.timestamp())), "deadline-past"),
    ]:
        with pytest.raises(domain.PeriodRefused) as refused:
            domain.check_period(WEEK, given, domain.Period(), at, wait)
        assert refused.value.code == code
    made = domain.PeriodCommitted(WEEK, "a" * 64, terms, 1, 7)
    [event] = domain.period.decide(made, domain.Period())
    state = domain.period.evolve(domain.Period(), event)
    assert not domain.check_period(WEEK, terms, state, over, wait)
    late = domain.PeriodCommitted(WEEK, "b" * 64, terms, 2, 9)
    assert domain.period.decide(late, state) == []
    with pytest.raises(domain.PeriodRefused):
        domain.check_period(WEEK, domain.Terms(1, 5, 10**10), state, over, wait)


# ---- by HTTP, Kafka and the prover ----------------------------------------------------------------------------------


@pytest.fixture
async def rewards(database: str, kafka: str, annals_prover: Path) -> AsyncIterator[Running]:
    await delete_topics(kafka)
    topics = [TopicSpec("chain.operations"), TopicSpec("chain.reward-vault"), TopicSpec("chain.blocks", partitions=1)]
    await ensure(kafka, topics)
    async with serving(create, database, kafka, prover=annals_prover, vault=VAULT, chain_id=CHAIN_ID) as running:
        yield running


async def listened(pool: asyncpg.Pool, secrets: dict[str, Secret]) -> EventLog:
    """In the week of NOON, these members have heard 400 seconds each."""
    log = EventLog(pool, EventTypes(domain.EVENTS))
    for user, secret in secrets.items():
        await Executor(log).execute([register(domain.RegisterMember(user, f"{secret.member:064x}", NOON), Metadata())])
    reports = [listen(f"l{track}", user, track) for user in secrets for track in ("t1", "t2")]
    done = await Recorder(log).record([Reported(domain.Report(one, str(uuid4()), NOON)) for one in reports])
    assert {one.verdict.outcome for one in done.recorded} == {"earned"}
    return log


async def commit(client: httpx.AsyncClient, week: int = WEEK, **other: Any) -> httpx.Response:
    headers = {"idempotency-key": "p"}
    return await client.post(f"/periods/{week}/commitment", json=TERMS | other, headers=headers)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("urn:annals:problem:")


async def test_a_listener_proves_with_what_the_api_gives_to_it_alone(rewards: Running, annals_prover: Path) -> None:
    prover, pool = Prover(annals_prover), rewards.pool
    secrets = {user: prover.secret() for user in ("ada", "bob", "eve")}
    await listened(pool, secrets)
    async with rewards.client("olga", "officer") as olga, rewards.client("ada", "user") as ada:
        assert (await commit(olga)).json()["members"] == 3
        shown = (await ada.get(f"/periods/{WEEK}")).json()
        assert (shown["status"], shown["members"], shown["starts"]) == ("committed", 3, "2026-04-27")
        tree = Commitment.from_dict((await ada.get(f"/periods/{WEEK}/tree")).json())
        own = (await ada.get(f"/users/ada/listening-periods/{WEEK}")).json()
        assert own == {"member": f"{secrets['ada'].member:064x}", "seconds": 400}
        assert (await ada.get(f"/users/bob/listening-periods/{WEEK}")).status_code == 403
    async with rewards.client("joe", "user") as joe:
        assert (await joe.get(f"/users/joe/listening-periods/{WEEK}")).status_code == 404
    claim = Claim(secrets["ada"].secret, own["seconds"], shown["threshold"], address(5))
    proof = prover.prove(prover.witness(tree, claim))
    where = Period(scope(VAULT, CHAIN_ID, WEEK), int(shown["commitment"], 16), shown["threshold"])
    Verifier().check(proof, where, address(5), claimed=False)


async def test_a_period_is_committed_to_once_and_the_chain_is_asked_once_to_open_it(
    rewards: Running, kafka: str, annals_prover: Path
) -> None:
    prover, pool = Prover(annals_prover), rewards.pool
    async with rewards.client("olga", "officer") as olga, rewards.client("ada", "user") as ada:
        assert code(await commit(olga)) == "period-empty"
        await listened(pool, {"ada": prover.secret(), "bob": prover.secret()})
        assert (await commit(ada)).status_code == 403
        assert code(await commit(olga, domain.period_of(datetime.now(UTC).date()))) == "period-not-over"
        assert code(await commit(olga, deadline=1)) == "deadline-past"
        for field, wrong in [("threshold", 0), ("amount", "0"), ("amount", str(2**120)), ("deadline", 2**63)]:
            answer = await commit(olga, **{field: wrong})
            assert (answer.status_code, field in answer.text) == (422, True)
        assert (await commit(olga, 202_660)).status_code == 422

        first = (await commit(olga)).json()
        again = (await commit(olga)).json()
        assert (first["events"], again["events"]) == (1, 0)
        assert again["commitment"] == first["commitment"]
        assert code(await commit(olga, threshold=1)) == "period-committed"

        async def asked() -> list[Message]:
            records = await read_all(kafka, "chain.commands")
            return [CallContract.model_validate_json(record.value) for record in records if record.value]

        await eventually(asked)
        [command] = await asked()
        assert isinstance(command, CallContract)
        assert (command.method, command.operation_id) == ("open_period", periods.operation_of(WEEK))
        number = str(int(first["commitment"], 16))
        assert command.args == {"period": WEEK, "commitment": number} | TERMS

        terms = {"threshold": 300, "amount": 5, "deadline": DEADLINE, "verifier": address(7), "source": source(3)}
        await send(kafka, (f"p{WEEK}", chain.PeriodOpened(period=WEEK, commitment=int(number), **terms)))

        async def status(expected: str) -> bool:
            return bool((await ada.get(f"/periods/{WEEK}")).json()["status"] == expected)

        await eventually(lambda: status("opened"))
        await send(kafka, (f"p{WEEK}", chain.PeriodClosed(period=WEEK, source=source(4))))
        await eventually(lambda: status("closed"))


async def test_a_period_that_the_chain_did_not_open_says_why_and_the_same_commitment_asks_it_again(
    rewards: Running, kafka: str, annals_prover: Path
) -> None:
    prover, pool = Prover(annals_prover), rewards.pool
    await listened(pool, {"ada": prover.secret()})
    async with rewards.client("olga", "officer") as olga:
        first = (await commit(olga)).json()

        async def shown(status: str) -> bool:
            return bool((await olga.get(f"/periods/{WEEK}")).json()["status"] == status)

        async def asked(times: int) -> bool:
            return len(await read_all(kafka, "chain.commands")) == times

        operation, failed_before = periods.operation_of(WEEK), FAILED_OPENINGS._value.get()
        lapsed = OperationExpired(operation_id=operation, attempts=3, tx_id=hash_of(1), reason="no block")
        await send(kafka, (f"operation/{operation}", lapsed))
        await eventually(lambda: shown("failed"))
        assert (await olga.get(f"/periods/{WEEK}")).json()["reason"] == "expired: no block"
        assert FAILED_OPENINGS._value.get() == failed_before + 1

        again = (await commit(olga)).json()
        assert (again["commitment"], again["events"]) == (first["commitment"], 1)
        assert (await commit(olga)).json()["events"] == 0, "it is under way"
        await eventually(lambda: asked(2))
        one, two = [
            CallContract.model_validate_json(record.value) for record in await read_all(kafka, "chain.commands")
        ]
        assert (one.args, one.operation_id) == (two.args, operation)
        assert two.operation_id == periods.operation_of(WEEK, 1) != operation
        assert periods.opened_by(two.operation_id) == (WEEK, 1)
        assert await shown("committed")


async def test_every_process_makes_the_same_tree_from_the_log_whatever_was_recorded_since(
    rewards: Running, annals_prover: Path
) -> None:
    prover, pool = Prover(annals_prover), rewards.pool
    log = await listened(pool, {"ada": prover.secret(), "bob": prover.secret()})
    async with rewards.client("olga", "officer") as olga:
        made = (await commit(olga)).json()
    committed = (await Executor(log).state(periods.period_stream(WEEK), domain.period)).committed
    assert committed is not None

    eve = prover.secret()
    late = domain.Report(listen("late", "eve", "t9", at=NOON), str(uuid4()), NOON)
    await Executor(log).execute([register(domain.RegisterMember("eve", f"{eve.member:064x}", NOON), Metadata())])
    await Recorder(log).record([Reported(late)])
    elsewhere = Periods(log, Watermark(pool), rewards.service.settings)  # type: ignore[arg-type]  # RewardsSettings
    tree = await elsewhere.tree(committed)
    assert f"{tree.commitment.commitment:064x}" == made["commitment"]
    assert set(tree.records) == {"ada", "bob"}
    assert (await elsewhere.commit(WEEK, committed.terms)).count == 3  # a new one would have had eve

    moved = domain.PeriodCommitted(WEEK, committed.commitment, committed.terms, 2, 10**9)
    stranger = Periods(log, Watermark(pool), rewards.service.settings)  # type: ignore[arg-type]
    with pytest.raises(PeriodsError, match="expected"):
        await stranger.tree(moved)


async def test_without_a_prover_nothing_is_committed_to(database: str, kafka: str) -> None:
    await delete_topics(kafka)
    await ensure(kafka, [TopicSpec("chain.operations"), TopicSpec("chain.blocks", partitions=1)])
    async with serving(create, database, kafka) as running, running.client("olga", "officer") as olga:
        answer = await commit(olga)
        assert (answer.status_code, code(answer)) == (503, "no-prover")
        assert (await olga.get(f"/periods/{WEEK}")).status_code == 404

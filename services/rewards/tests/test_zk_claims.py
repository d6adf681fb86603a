"""Proven claims over HTTP: paid once to whom the proof names, refused by name when anything is changed."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from contracts.chain import Pool
from contracts.operations import CallContract, OperationFailed
from contracts.testing import address, source
from eventlog import EventLog, EventTypes, NewEvent
from messaging.testing import eventually, read_all, send
from projections.testing import rebuilt_alike
from rewards import claiming, domain, projections
from rewards.api import proofs
from service.testing import Running
from zk import Claim, Proof, Prover, Record, scope
from zk.claims import BASE_FIELD, FIELD

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import DCMX, SETTINGS, code, opened, told_paid

WEEK, THRESHOLD, AMOUNT = 202_618, 300, 5 * DCMX
WHERE = scope(SETTINGS["vault"], SETTINGS["chain_id"], WEEK)
HERE, THERE = address(51), address(52)


@dataclass(frozen=True, slots=True)
class Proven:
    """A period's commitment, and proofs of one listener: for HERE, for THERE, of less than the threshold."""

    commitment: int
    here: Proof
    there: Proof
    less: Proof


@pytest.fixture(scope="module")
def proven(annals_prover: Path) -> Proven:
    prover = Prover(annals_prover)
    listener = prover.secret()
    tree = prover.commit(WHERE, [Record(7, 100), Record(listener.member, 400)])

    def proof(recipient: str, threshold: int) -> Proof:
        return prover.prove(prover.witness(tree, Claim(listener.secret, 400, threshold, recipient)))

    return Proven(tree.commitment, proof(HERE, THRESHOLD), proof(THERE, THRESHOLD), proof(HERE, THRESHOLD - 1))


@pytest.fixture
def rewards(paying: Running) -> Running:
    return paying


async def stage(rewards: Running, commitment: int, funded: int = 100 * DCMX) -> None:
    """The vault holds so much, and pays claims of the week."""
    pool = rewards.pool
    await opened(pool, funded)
    end = int((datetime.now(UTC) + timedelta(days=30)).timestamp())
    fact = domain.PeriodOpened(WEEK, f"{commitment:064x}", domain.Terms(THRESHOLD, AMOUNT, end))
    log = EventLog(pool, EventTypes(domain.EVENTS))
    await log.append([NewEvent(f"period/{WEEK}", fact, datetime.now(UTC))])


async def bring(
    client: httpx.AsyncClient, proof: Proof, to: str = HERE, changed: dict[str, Any] | None = None
) -> httpx.Response:
    body = {"period": WEEK, "recipient": to, "proof": proof.to_dict() | (changed or {})}
    return await client.post("/claims/zk", json=body)


async def books(rewards: Running) -> dict[str, int]:
    """The pool's open period."""
    await rewards.shown()
    async with rewards.client("ada", "user") as client:
        found = (await client.get("/pools/listening/budgets")).json()["items"]
    return {name: int(found[0][name]) for name in ("paid", "reserved")} if found else {}


async def reserved_of(rewards: Running, to: str) -> int:
    pool = rewards.pool
    state = domain.wallet.initial
    log = EventLog(pool, EventTypes(domain.EVENTS))
    for recorded in await log.read_stream(f"wallet/listening/{to}"):
        state = domain.wallet.evolve(state, recorded.event)
    return state.reserved


async def test_a_proof_is_asked_of_the_chain_once_and_settled_by_the_vault_and_names_nobody(
    rewards: Running, kafka: str, proven: Proven
) -> None:
    await stage(rewards, proven.commitment)
    claim_id, pool = proven.here.claim_id, rewards.pool
    async with rewards.client("relay-7", "service") as relay:
        made = await bring(relay, proven.here)
        assert (made.status_code, made.json()["claim_id"]) == (200, claim_id), made.text
        assert (await bring(relay, proven.here)).json()["events"] == 0
        assert await books(rewards) == {"paid": 0, "reserved": AMOUNT}
        for to, proof in [(THERE, proven.there), (HERE, proven.there)]:
            refused = await bring(relay, proof, to)
            assert code(refused) == ("already-claimed" if to == THERE else "wrong-recipient")

        async def asked() -> bool:
            return bool(await read_all(kafka, "chain.commands"))

        await eventually(asked)
        await send(kafka, told_paid(claim_id, AMOUNT, 51))

        async def paid() -> bool:
            return await books(rewards) == {"paid": AMOUNT, "reserved": 0}

        await eventually(paid)
        [record] = await read_all(kafka, "chain.commands")
        command = CallContract.model_validate_json(record.value)
        assert (command.method, command.operation_id) == ("claim_listening", str(UUID(f"{claim_id[:30]}00")))
        points = [str(point) for point in proven.here.points]
        assert command.args == {"period": WEEK, "nullifier": claim_id, "recipient": HERE, "proof": points}
        replayed = await bring(relay, proven.here)
        assert (replayed.status_code, code(replayed)) == (409, "already-claimed")
        story = (await relay.get(f"/claims/{claim_id}")).json()
        assert [step["step"] for step in story["steps"]] == ["reserved", "proven", "paid"]
        assert (story["user"], story["status"]) == (None, "paid")
    whole = await pool.fetch("SELECT stream, data::text || metadata::text AS text FROM events")
    assert not [row["stream"] for row in whole if "relay-7" in row["text"]]
    log = EventLog(pool, EventTypes(domain.EVENTS))
    await rebuilt_alike(log, [projections.RewardClaims(), projections.PoolStatus()])


async def test_a_payment_that_failed_says_why_and_is_tried_again_when_an_officer_says_so(
    paying: Running, kafka: str, proven: Proven
) -> None:
    await stage(paying, proven.commitment)
    claim_id = proven.here.claim_id
    async with paying.client("relay", "user") as relay, paying.client("olga", "officer") as olga:
        assert (await bring(relay, proven.here)).status_code == 200

        async def again(key: str) -> httpx.Response:
            return await olga.post(f"/claims/{claim_id}/payment", headers={"idempotency-key": key})

        async def asked(times: int) -> bool:
            return len(await read_all(kafka, "chain.commands")) == times

        async def shown(status: str) -> bool:
            return bool((await relay.get(f"/claims/{claim_id}")).json()["status"] == status)

        await eventually(lambda: asked(1))
        assert (await again("a")).json()["events"] == 0, "it is under way"
        operation = claiming.operation_of(claim_id)
        failed = OperationFailed(operation_id=operation, kind="energy", reason="OUT_OF_ENERGY", tx_id=None)
        await send(kafka, (f"operation/{operation}", failed))
        await eventually(lambda: shown("failed"))
        assert (await relay.get(f"/claims/{claim_id}")).json()["reason"] == "energy: OUT_OF_ENERGY"
        assert (await relay.post(f"/claims/{claim_id}/payment", headers={"idempotency-key": "b"})).status_code == 403
        assert (await again("c")).json()["events"] == 1
        await eventually(lambda: asked(2))
        first, second = [CallContract.model_validate_json(one.value) for one in await read_all(kafka, "chain.commands")]
        assert (first.args, first.operation_id) == (second.args, operation)
        assert second.operation_id == claiming.operation_of(claim_id, 1) != operation
        await send(kafka, told_paid(claim_id, AMOUNT, 51))
        await eventually(lambda: shown("paid"))
        assert code(await again("d")) == "nothing-to-repeat"


async def test_whatever_is_changed_in_a_proof_is_refused_by_its_name(rewards: Running, proven: Proven) -> None:
    await stage(rewards, proven.commitment)
    here = proven.here.to_dict()
    other = f"0x{proven.here.nullifier ^ 1:064x}"
    points = [f"0x{point:064x}" for point in proven.there.points]
    off = [f"0x{proven.here.points[0] ^ 1:064x}", *here["proof"][1:]]
    beyond = [f"0x{BASE_FIELD:064x}", *here["proof"][1:]]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"recipient": proven.there.to_dict()["recipient"]}, "wrong-recipient"),
        ({"proof": points}, "proof-invalid"),
        ({"nullifier": other}, "proof-invalid"),
        ({"nullifier": f"0x{proven.here.nullifier + FIELD:064x}"}, "not-in-field"),
        ({"commitment": f"0x{proven.commitment ^ 1:064x}"}, "wrong-commitment"),
        ({"scope": f"0x{WHERE + 1:064x}"}, "wrong-period"),
        ({"threshold": THRESHOLD - 1}, "below-threshold"),
        ({"threshold": THRESHOLD + 1}, "wrong-threshold"),
        ({"threshold": 2**32}, "malformed"),
        ({"proof": off}, "malformed-points"),
        ({"proof": beyond}, "malformed-points"),
        ({"proof": "0x00"}, "malformed"),
        ({"nullifier": "0x" + "g" * 64}, "malformed"),
        ({"extra": 1}, "malformed"),
        ({"circuit": "listening-v0"}, "wrong-circuit"),
    ]
    async with rewards.client("relay", "user") as relay:
        for changed, reason in cases:
            answer = await bring(relay, proven.here, changed=changed)
            assert (answer.status_code, code(answer)) == (422, reason), changed
            assert answer.headers["content-type"] == "application/problem+json"
        assert code(await bring(relay, proven.less)) == "below-threshold"
        elsewhere = {"period": 202_617, "recipient": HERE, "proof": here}
        assert code(await relay.post("/claims/zk", json=elsewhere)) == "period-not-open"
    async with rewards.nobody() as nobody:
        assert (await bring(nobody, proven.here)).status_code == 401
    assert await books(rewards) == {}


async def test_nobody_keeps_the_service_busy_with_proofs(
    paying: Running, proven: Proven, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage(paying, proven.commitment)
    monkeypatch.setattr(proofs, "monotonic", lambda: clock)
    clock, false = 1_000.0, {"nullifier": f"0x{proven.here.nullifier ^ 1:064x}"}
    async with paying.client("eve", "user") as eve, paying.client("relay", "user") as relay:
        answers = [await bring(eve, proven.here, changed=false) for _ in range(21)]
        assert [answer.status_code for answer in answers] == [422] * 20 + [429]
        assert (code(answers[-1]), answers[-1].headers["retry-after"]) == ("too-many-proofs", "1")
        assert (await bring(relay, proven.here)).status_code == 200, "others are not kept out"
        clock += 1
        assert code(await bring(eve, proven.here, changed=false)) == "proof-invalid"
    pace = proofs.Pace(rate=32, burst=128)
    assert [pace.wait("all") for _ in range(129)] == [0.0] * 128 + [1 / 32]


async def test_a_proven_claim_keeps_to_what_the_pool_holds_and_to_the_period(rewards: Running, proven: Proven) -> None:
    await stage(rewards, proven.commitment, funded=AMOUNT - 1)
    async with rewards.client("relay", "user") as relay:
        poor = await bring(relay, proven.here)
        assert (poor.status_code, code(poor)) == (409, "vault-exhausted")
        pool = rewards.pool
        more, closed = domain.PoolFunded(Pool.LISTENING, address(9), 1, source(2)), domain.PeriodClosed(WEEK)
        log, now = EventLog(pool, EventTypes(domain.EVENTS)), datetime.now(UTC)
        await log.append([NewEvent("pool/listening", more, now)])
        assert (await bring(relay, proven.here)).status_code == 200
        await log.append([NewEvent(f"period/{WEEK}", closed, now)])
        assert code(await bring(relay, proven.here)) == "period-over"


async def test_a_listener_who_brings_another_proof_to_the_vault_is_paid_there_and_the_books_agree(
    rewards: Running, kafka: str, proven: Proven
) -> None:
    await stage(rewards, proven.commitment)
    async with rewards.client("relay", "user") as relay:
        assert (await bring(relay, proven.here)).status_code == 200
        assert await reserved_of(rewards, HERE) == AMOUNT
        await send(kafka, told_paid(proven.there.claim_id, AMOUNT, 52))

        async def paid() -> bool:
            return await books(rewards) == {"paid": AMOUNT, "reserved": 0}

        await eventually(paid)
        assert [await reserved_of(rewards, to) for to in (HERE, THERE)] == [0, 0]


async def test_of_proofs_for_two_accounts_that_come_at_once_one_is_taken(rewards: Running, proven: Proven) -> None:
    await stage(rewards, proven.commitment)
    async with rewards.client("relay", "user") as relay:
        wishes = [(proven.here, HERE), (proven.there, THERE)] * 4
        answers = await asyncio.gather(*(bring(relay, proof, to) for proof, to in wishes))
    assert Counter(answer.status_code for answer in answers) == {200: 4, 409: 4}
    assert sum(answer.json()["events"] for answer in answers if answer.status_code == 200) > 0
    assert await books(rewards) == {"paid": 0, "reserved": AMOUNT}
    assert sorted([await reserved_of(rewards, to) for to in (HERE, THERE)]) == [0, AMOUNT]


def test_a_proven_claim_that_nobody_brought_in_time_is_given_back() -> None:
    reserved = domain.ClaimReserved("1" * 64, None, Pool.LISTENING, HERE, 5, "service", 1_000, 1)
    claim = domain.Claim(reserved=reserved, proven=domain.ClaimProven("1" * 64, WEEK, HERE, (1,) * 8))
    day = datetime(2026, 5, 1, tzinfo=UTC)
    budget = domain.Budget(day.date(), day.date() + timedelta(days=7), 9, 4, 5)
    entries = domain.release_claim(
        domain.ReleaseClaim(7, day),
        domain.Books(claim, domain.Balance(), budget, domain.Usage(reserved=5), domain.Vault()),
    )
    [released] = entries.claim
    assert isinstance(released, domain.ClaimReleased)
    assert (released.user, released.reason, len(entries.budget)) == (None, "not-brought-in-time", 1)
    assert (entries.balance, [event.address for event in entries.wallet]) == ([], [HERE])
    assert claiming.release(reserved, domain.ReleaseClaim(7, day)).deciders.keys() == {
        f"claim/{'1' * 30}",
        "budget/listening",
        f"wallet/listening/{HERE}",
        "pool/listening",
    }

"""Commit, prove, verify: what holds is accepted, and what does not is refused by its name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tron.address import raw
from zk import Claim, Commitment, Period, Proof, Prover, Reason, Record, Refused, Secret, Verifier, scope
from zk.claims import BASE_FIELD, FIELD
from zk.prover import ProverFailed

VAULT, RECIPIENT, OTHER = (
    "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf",
    "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF",
    "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb",
)
THRESHOLD = 3_600


@dataclass(frozen=True)
class Proven:
    """A period of three listeners, and the claim of the second."""

    listener: Secret
    commitment: Commitment
    proof: Proof

    @property
    def period(self) -> Period:
        return Period(self.commitment.scope, self.commitment.commitment, THRESHOLD)


@pytest.fixture(scope="module")
def proven(prover: Prover) -> Proven:
    listener = prover.secret()
    records = [Record(7, 100), Record(listener.member, 4_000), Record(8, 5_000)]
    commitment = prover.commit(scope(VAULT, 1, 202_645), records)
    witness = prover.witness(commitment, Claim(listener.secret, 4_000, THRESHOLD, RECIPIENT))
    return Proven(listener, commitment, prover.prove(witness))


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier()


def refused(reason: Reason, work: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        work()
    assert caught.value.reason is reason, caught.value
    return caught.value.detail


def test_a_claim_is_proven_and_its_proof_says_nothing_of_who_made_it(proven: Proven, verifier: Verifier) -> None:
    verifier.check(proven.proof, proven.period, RECIPIENT, claimed=False)
    verifier.check(proven.proof, proven.period, "0x" + raw(RECIPIENT).hex(), claimed=False)
    written = json.dumps(proven.proof.to_dict())
    for told in (proven.listener.secret, proven.listener.member, *proven.commitment.leaves):
        assert f"{told:064x}" not in written
    assert Proof.from_dict(json.loads(written)) == proven.proof


def test_the_nullifier_is_the_same_for_all_claims_of_a_period_and_another_one_in_the_next(
    proven: Proven, prover: Prover
) -> None:
    elsewhere = replace(proven.proof, recipient=OTHER)
    assert elsewhere.claim_id == proven.proof.claim_id
    record = [Record(proven.listener.member, 4_000)]
    later = prover.commit(scope(VAULT, 1, 202_646), record)
    witness = prover.witness(later, Claim(proven.listener.secret, 4_000, THRESHOLD, RECIPIENT))
    assert prover.prove(witness).nullifier != proven.proof.nullifier


SHIFTS: list[tuple[Reason, dict[str, Any]]] = [
    (Reason.WRONG_PERIOD, {"scope": scope(VAULT, 1, 202_646)}),
    (Reason.WRONG_PERIOD, {"scope": scope(OTHER, 1, 202_645)}),
    (Reason.WRONG_PERIOD, {"scope": scope(VAULT, 2, 202_645)}),
    (Reason.WRONG_COMMITMENT, {"commitment": 5}),
    (Reason.BELOW_THRESHOLD, {"threshold": THRESHOLD - 1}),
    (Reason.WRONG_THRESHOLD, {"threshold": THRESHOLD + 1}),
    (Reason.WRONG_RECIPIENT, {"recipient": OTHER}),
    (Reason.PROOF_INVALID, {"nullifier": 5}),
]


@pytest.mark.parametrize(("reason", "shifted"), SHIFTS)
def test_a_changed_statement_is_refused(
    reason: Reason, shifted: dict[str, Any], proven: Proven, verifier: Verifier
) -> None:
    changed = replace(proven.proof, **shifted)
    refused(reason, lambda: verifier.check(changed, proven.period, RECIPIENT, claimed=False))


@pytest.mark.parametrize("name", ["scope", "commitment", "threshold"])
def test_a_proof_of_another_period_does_not_hold_for_this_one_either(
    name: str, proven: Proven, verifier: Verifier
) -> None:
    """As the vault does: it takes these values from the period, whatever the proof's file says."""
    changed = replace(proven.proof, **{name: 77})
    period = replace(proven.period, **{name: 77})
    refused(Reason.PROOF_INVALID, lambda: verifier.check(changed, period, RECIPIENT, claimed=False))


def test_somebody_who_sees_a_proof_cannot_turn_it_to_themselves(proven: Proven, verifier: Verifier) -> None:
    stolen = replace(proven.proof, recipient=OTHER)
    refused(Reason.PROOF_INVALID, lambda: verifier.check(stolen, proven.period, OTHER, claimed=False))


def test_a_claim_is_paid_once(proven: Proven, verifier: Verifier) -> None:
    refused(Reason.ALREADY_CLAIMED, lambda: verifier.check(proven.proof, proven.period, RECIPIENT, claimed=True))


def test_a_nullifier_has_one_number(proven: Proven, verifier: Verifier) -> None:
    """Modulo the field the sum is the same, so it would be a second claim of the same listener."""
    again = replace(proven.proof, nullifier=proven.proof.nullifier + FIELD)
    refused(Reason.NOT_IN_FIELD, lambda: verifier.check(again, proven.period, RECIPIENT, claimed=False))


@pytest.mark.parametrize("index", range(8))
def test_points_that_are_none_are_refused(index: int, proven: Proven, verifier: Verifier) -> None:
    points = proven.proof.points
    for value in (points[index] ^ 1, points[index] + BASE_FIELD, 2**256 - 1):
        bent = replace(proven.proof, points=(*points[:index], value % 2**256, *points[index + 1 :]))
        refused(
            Reason.MALFORMED_POINTS, lambda bent=bent: verifier.check(bent, proven.period, RECIPIENT, claimed=False)
        )


def test_a_point_of_the_twist_outside_of_its_group_is_refused(proven: Proven, verifier: Verifier) -> None:
    """It fulfils the equation of the curve, so only the check of the group finds it."""
    outside = twisted_point()
    bent = replace(proven.proof, points=(*proven.proof.points[:2], *outside, *proven.proof.points[6:]))
    refused(Reason.MALFORMED_POINTS, lambda: verifier.check(bent, proven.period, RECIPIENT, claimed=False))


def twisted_point() -> tuple[int, int, int, int]:
    """Return a point of y² = x³ + 3/(9 + i) over Fp[i], as the precompile takes it; few of them are in the group."""
    p = BASE_FIELD

    def times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return (a[0] * b[0] - a[1] * b[1]) % p, (a[0] * b[1] + a[1] * b[0]) % p

    def root(of: int) -> int | None:
        found = pow(of, (p + 1) // 4, p)
        return found if found * found % p == of % p else None

    norm = pow(82, -1, p)
    b = (27 * norm % p, -3 * norm % p)
    for real in range(1, 1_000):
        x = (real, 0)
        cube = times(times(x, x), x)
        y2 = ((cube[0] + b[0]) % p, (cube[1] + b[1]) % p)
        if (length := root(y2[0] ** 2 + y2[1] ** 2)) is None:
            continue
        for sign in (length, -length):
            if (y0 := root((y2[0] + sign) * pow(2, -1, p))) and times(
                y := (y0, y2[1] * pow(2 * y0, -1, p) % p), y
            ) == y2:
                return x[1], x[0], y[1], y[0]
    raise AssertionError("half of all x have a y")


def test_other_points_are_no_proof(proven: Proven, verifier: Verifier) -> None:
    points = proven.proof.points
    infinite, swapped = (0,) * 8, (*points[6:], *points[2:6], *points[:2])
    mirrored = (points[0], BASE_FIELD - points[1], *points[2:])
    for other in (infinite, swapped, mirrored):
        forged = replace(proven.proof, points=other)
        refused(
            Reason.PROOF_INVALID,
            lambda forged=forged: verifier.check(forged, proven.period, RECIPIENT, claimed=False),
        )


FILES: list[tuple[Reason, dict[str, Any]]] = [
    (Reason.WRONG_CIRCUIT, {"circuit": "listening-v2"}),
    (Reason.MALFORMED, {"extra": 1}),
    (Reason.MALFORMED, {"threshold": "3600"}),
    (Reason.MALFORMED, {"threshold": True}),
    (Reason.MALFORMED, {"threshold": -1}),
    (Reason.MALFORMED, {"threshold": 2**32}),
    (Reason.MALFORMED, {"nullifier": 5}),
    (Reason.MALFORMED, {"nullifier": "0x5"}),
    (Reason.MALFORMED, {"nullifier": "0x" + "٥" * 64}),
    (Reason.MALFORMED, {"scope": None}),
    (Reason.MALFORMED, {"recipient": "0x5"}),
    (Reason.MALFORMED, {"recipient": 5}),
    (Reason.MALFORMED, {"proof": []}),
    (Reason.MALFORMED, {"proof": "01234567"}),
    (Reason.MALFORMED, {"proof": [0] * 8}),
]


@pytest.mark.parametrize(("reason", "changed"), FILES)
def test_a_file_that_is_no_proof_is_refused(reason: Reason, changed: dict[str, Any], proven: Proven) -> None:
    refused(reason, lambda: Proof.from_dict({**proven.proof.to_dict(), **changed}))
    for nothing in ({}, None, [], "proof"):
        refused(Reason.MALFORMED, lambda nothing=nothing: Proof.from_dict(nothing))


def test_what_cannot_be_proven_is_refused_by_the_prover(proven: Proven, prover: Prover) -> None:
    mine = Claim(proven.listener.secret, 4_000, THRESHOLD, RECIPIENT)
    wrong: list[tuple[Reason, Claim]] = [
        (Reason.BELOW_THRESHOLD, replace(mine, threshold=4_001)),
        (Reason.NOT_COMMITTED, replace(mine, seconds=4_001)),
        (Reason.NOT_COMMITTED, replace(mine, secret=5)),
        (Reason.NOT_IN_FIELD, replace(mine, secret=FIELD)),
        (Reason.MALFORMED, replace(mine, recipient=OTHER)),  # the zero address
    ]
    for reason, claim in wrong:
        refused(reason, lambda claim=claim: prover.witness(proven.commitment, claim))
    witness = prover.witness(proven.commitment, mine)
    witness["claim"]["seconds"] = 4_001
    refused(Reason.NOT_COMMITTED, lambda: prover.prove(witness))
    twice = [Record(7, 1), Record(7, 2)]
    refused(Reason.DUPLICATE_MEMBER, lambda: prover.commit(proven.commitment.scope, twice))
    refused(Reason.MALFORMED, lambda: prover.commit(proven.commitment.scope, []))


def test_a_prover_that_is_missing_or_no_prover_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProverFailed, match="No such file"):
        Prover(tmp_path / "nothing").secret()
    with pytest.raises(ProverFailed, match="status 1"):
        Prover(Path("/bin/false")).secret()


def test_the_committed_verifier_is_the_one_of_the_committed_key(prover: Prover) -> None:
    source = Path(__file__).parents[3] / "contracts" / "solidity" / "ListeningVerifierV1.sol"
    exported = subprocess.run([prover.path, "export"], capture_output=True, text=True, check=True, timeout=600).stdout
    assert exported == source.read_text()
    assert prover.manifest()["ceremony"].startswith("development")


@pytest.mark.endurance
def test_a_period_of_65536_listeners_is_committed_to(prover: Prover) -> None:
    members = 65_536
    commitment = prover.commit(scope(VAULT, 1, 1), [Record(member, member) for member in range(1, members + 1)])
    assert len(set(commitment.leaves)) == members
    again = prover.commit(scope(VAULT, 1, 2), [Record(member, member) for member in range(1, members + 1)])
    assert again.leaves == commitment.leaves
    assert again.commitment != commitment.commitment  # it is made for a period

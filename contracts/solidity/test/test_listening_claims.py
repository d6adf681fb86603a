"""RewardVault's listening claims, with proofs of the real prover; what a proof is, libs/zk tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from contract_evm import DAY, NOBODY, NOON, TOKEN, Contract, Evm, account, role

from zk import Claim, Commitment, Proof, Prover, Record, Secret

LISTENING, PERIOD, THRESHOLD, AMOUNT = 1, 7, 3_600, 60 * TOKEN
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
DEADLINE, TODAY = NOON + DAY, NOON // DAY
ALICE, BOB, RELAY, PUBLISHER = (account(name) for name in ("alice", "bob", "relay", "publisher"))


@pytest.fixture
def evm() -> Evm:
    """The five contracts and the verifier of listening claims; `PUBLISHER` may open periods."""
    evm = Evm()
    evm.vault.setListeningVerifier(evm.deploy("ListeningVerifierV1").address)
    evm.vault.grantRole(role("PUBLISHER_ROLE"), PUBLISHER)
    return evm


@dataclass(frozen=True)
class Heard:
    """A period of two listeners, who prove that they have listened: the first to Alice, the second to Bob and Alice."""

    commitment: Commitment
    first: Proof
    second: Proof
    second_again: Proof


@pytest.fixture(scope="module")
def heard(annals_prover: Path) -> Heard:
    """For the vault of `Evm`, which is at the same address each time."""
    prover = Prover(annals_prover)
    listeners = [prover.secret(), prover.secret()]
    records = [Record(listener.member, 4_000) for listener in listeners]
    commitment = prover.commit(Evm().vault.periodScope(PERIOD), records)

    def proof(listener: Secret, recipient: str) -> Proof:
        return prover.prove(prover.witness(commitment, Claim(listener.secret, 4_000, THRESHOLD, recipient)))

    first, second = listeners
    return Heard(commitment, proof(first, ALICE), proof(second, BOB), proof(second, ALICE))


@pytest.fixture
def opened(evm: Evm, heard: Heard) -> Evm:
    evm.vault.openPeriod(PERIOD, heard.commitment.commitment, THRESHOLD, AMOUNT, DEADLINE, sender=PUBLISHER)
    return evm


def arguments(proof: Proof, recipient: str) -> tuple[Any, ...]:
    return PERIOD, bytes.fromhex(proof.claim_id), recipient, proof.points


def test_a_proven_claim_is_paid_to_its_recipient_whoever_brings_it(opened: Evm, heard: Heard) -> None:
    receipt = opened.vault.claimListening(*arguments(heard.first, ALICE), sender=RELAY)
    claim_id = bytes.fromhex(heard.first.claim_id)
    assert receipt["RewardClaimed"] == {
        "claimId": claim_id,
        "pool": LISTENING,
        "claimant": ALICE,
        "amount": AMOUNT,
        "day": TODAY,
    }
    assert opened.token.balanceOf(ALICE) == AMOUNT
    assert opened.vault.claimed(claim_id)
    assert opened.vault.pools(LISTENING)[0] == 1_000 * TOKEN - AMOUNT
    assert receipt.gas < 400_000


def test_a_listener_is_paid_once_in_a_period_whatever_the_proof_and_the_recipient(opened: Evm, heard: Heard) -> None:
    opened.vault.claimListening(*arguments(heard.second, BOB), sender=RELAY)
    assert heard.second.claim_id == heard.second_again.claim_id
    for proof, recipient in ((heard.second, BOB), (heard.second_again, ALICE)):
        with opened.reverts("ClaimAlreadyPaid", bytes.fromhex(proof.claim_id)):
            opened.vault.claimListening(*arguments(proof, recipient), sender=RELAY)
    opened.vault.claimListening(*arguments(heard.first, ALICE), sender=RELAY)


def test_a_claim_that_was_authorised_under_the_same_id_is_not_paid_twice(opened: Evm, heard: Heard) -> None:
    claim = arguments(heard.first, ALICE)
    opened.vault.claimListening(*claim, sender=RELAY)
    _, pool, amount, deadline, signature = opened.authorise("c", LISTENING, ALICE, 1)
    with opened.reverts("ClaimAlreadyPaid", claim[1]):
        opened.vault.payClaim(claim[1], pool, ALICE, amount, deadline, signature)


def test_no_argument_of_a_claim_can_be_changed(opened: Evm, heard: Heard) -> None:
    claim = arguments(heard.first, ALICE)
    number = heard.first.nullifier
    bent = (heard.first.points[0] ^ 1, *heard.first.points[1:])
    swapped = heard.second.points
    for changed, error in (
        ((PERIOD, claim[1], BOB, claim[3]), "ProofInvalid"),
        ((PERIOD, (number ^ 1).to_bytes(32, "big"), ALICE, claim[3]), "ProofInvalid"),
        ((PERIOD, (number + FIELD).to_bytes(32, "big"), ALICE, claim[3]), "PublicInputNotInField"),
        ((PERIOD, claim[1], ALICE, bent), "ProofInvalid"),
        ((PERIOD, claim[1], ALICE, swapped), "ProofInvalid"),
        ((PERIOD, claim[1], ALICE, (0,) * 8), "ProofInvalid"),
        ((PERIOD + 1, *claim[1:]), "PeriodNotOpened"),
    ):
        with opened.reverts(error):
            opened.vault.claimListening(*changed, sender=RELAY)
    assert opened.token.balanceOf(ALICE) == 0


@pytest.mark.parametrize(
    ("period", "commitment", "threshold"),
    [(PERIOD, 1, THRESHOLD), (PERIOD + 1, None, THRESHOLD), (PERIOD, None, THRESHOLD + 1), (PERIOD, None, 0)],
)
def test_a_proof_is_good_for_its_period_commitment_and_threshold_only(
    evm: Evm, heard: Heard, period: int, commitment: int | None, threshold: int
) -> None:
    committed = heard.commitment.commitment if commitment is None else commitment
    evm.vault.openPeriod(period, committed, threshold, AMOUNT, DEADLINE, sender=PUBLISHER)
    with evm.reverts("ProofInvalid"):
        evm.vault.claimListening(period, *arguments(heard.first, ALICE)[1:], sender=RELAY)


def test_a_proof_is_good_for_one_vault_only(evm: Evm, heard: Heard) -> None:
    other = evm.deploy("RewardVault", evm.admin, evm.token.address, evm.verifier.address)
    other.setListeningVerifier(evm.vault.listeningVerifier())
    other.grantRole(role("PUBLISHER_ROLE"), PUBLISHER)
    assert other.periodScope(PERIOD) != evm.vault.periodScope(PERIOD)
    other.openPeriod(PERIOD, heard.commitment.commitment, THRESHOLD, AMOUNT, DEADLINE, sender=PUBLISHER)
    with evm.reverts("ProofInvalid"):
        other.claimListening(*arguments(heard.first, ALICE), sender=RELAY)


def test_a_pools_limits_and_budget_hold_for_proven_claims(opened: Evm, heard: Heard) -> None:
    opened.vault.claimListening(*arguments(heard.first, ALICE), sender=RELAY)
    with opened.reverts("DailyLimitExceeded", LISTENING, ALICE, 100 * TOKEN, 2 * AMOUNT):
        opened.vault.claimListening(*arguments(heard.second_again, ALICE), sender=RELAY)
    opened.vault.configurePool(LISTENING, 200 * TOKEN, False)
    with opened.reverts("PoolInactive", LISTENING):
        opened.vault.claimListening(*arguments(heard.second_again, ALICE), sender=RELAY)
    opened.vault.sweepPool(LISTENING, BOB)
    opened.vault.configurePool(LISTENING, 200 * TOKEN, True)
    with opened.reverts("PoolBudgetExceeded", LISTENING, 0, AMOUNT):
        opened.vault.claimListening(*arguments(heard.second_again, ALICE), sender=RELAY)


def test_a_period_ends_after_its_deadline_or_when_it_is_closed(opened: Evm, heard: Heard) -> None:
    claim = arguments(heard.first, ALICE)
    opened.at(DEADLINE + 1)
    with opened.reverts("PeriodExpired", PERIOD, DEADLINE, DEADLINE + 1):
        opened.vault.claimListening(*claim, sender=RELAY)
    opened.at(DEADLINE)
    assert opened.vault.closePeriod(PERIOD)["PeriodClosed"] == {"period": PERIOD}
    with opened.reverts("PeriodExpired", PERIOD, 0, DEADLINE):
        opened.vault.claimListening(*claim, sender=RELAY)
    with opened.reverts("PeriodNotOpened", PERIOD + 1):
        opened.vault.closePeriod(PERIOD + 1)


def test_a_period_is_opened_once_and_sensibly(evm: Evm) -> None:
    told = evm.vault.openPeriod(PERIOD, 5, THRESHOLD, AMOUNT, NOON, sender=PUBLISHER)["PeriodOpened"]
    verifier = evm.vault.listeningVerifier()
    assert told == {
        "period": PERIOD,
        "commitment": 5,
        "threshold": THRESHOLD,
        "amount": AMOUNT,
        "deadline": NOON,
        "verifier": verifier,
    }
    assert evm.vault.periods(PERIOD) == (5, verifier, THRESHOLD, NOON, AMOUNT)
    evm.vault.closePeriod(PERIOD)
    for period, commitment, amount, deadline, error in (
        (PERIOD, 6, AMOUNT, DEADLINE, "PeriodAlreadyOpened"),
        (8, 0, AMOUNT, DEADLINE, "InvalidCommitment"),
        (8, FIELD, AMOUNT, DEADLINE, "InvalidCommitment"),
        (8, 6, 0, DEADLINE, "ZeroAmount"),
        (8, 6, 2**120, DEADLINE, "AmountTooLarge"),
        (8, 6, AMOUNT, NOON - 1, "DeadlinePassed"),
    ):
        with evm.reverts(error):
            evm.vault.openPeriod(period, commitment, THRESHOLD, amount, deadline, sender=PUBLISHER)


def test_a_period_keeps_the_verifier_that_it_was_opened_with(opened: Evm, heard: Heard) -> None:
    before, later = opened.vault.listeningVerifier(), opened.deploy("ListeningVerifierV1").address
    changed = opened.vault.setListeningVerifier(later)["ListeningVerifierChanged"]
    assert changed == {"oldVerifier": before, "newVerifier": later}
    opened.vault.openPeriod(8, 5, THRESHOLD, AMOUNT, DEADLINE, sender=PUBLISHER)
    assert [opened.vault.periods(period)[1] for period in (PERIOD, 8)] == [before, later]
    opened.vault.claimListening(*arguments(heard.first, ALICE), sender=RELAY)


def test_a_vault_without_a_verifier_opens_no_period(evm: Evm) -> None:
    bare: Contract = evm.deploy("RewardVault", evm.admin, evm.token.address, evm.verifier.address)
    bare.grantRole(role("PUBLISHER_ROLE"), PUBLISHER)
    with evm.reverts("NoListeningVerifier"):
        bare.openPeriod(PERIOD, 5, THRESHOLD, AMOUNT, DEADLINE, sender=PUBLISHER)
    for nobody in (NOBODY, ALICE):
        with evm.reverts("NotAContract"):
            bare.setListeningVerifier(nobody)


def test_pausing_stops_proven_claims(opened: Evm, heard: Heard) -> None:
    opened.vault.pause()
    with opened.reverts("EnforcedPause"):
        opened.vault.claimListening(*arguments(heard.first, ALICE), sender=RELAY)


def test_a_scope_is_of_chain_vault_and_period(evm: Evm) -> None:
    scopes = [evm.vault.periodScope(period) for period in (0, 1, 2**64 - 1)]
    assert [scope % 2**64 for scope in scopes] == [0, 1, 2**64 - 1]
    assert len({scope >> 64 for scope in scopes}) == 1
    assert all(scope < 2**248 < FIELD for scope in scopes)

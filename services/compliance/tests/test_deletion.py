from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.domain import (
    CompleteDeletion,
    Contradiction,
    DeletionCompleted,
    DeletionDenied,
    DeletionJoined,
    DeletionReceived,
    DeletionStarted,
    DenialReason,
    DenyDeletion,
    ErasureAnswered,
    ErasureOrdered,
    ExtendRequest,
    ExtensionReason,
    HoldReason,
    IdentityNotVerified,
    IdentityVerified,
    LegalHoldLifted,
    LegalHoldPlaced,
    Method,
    ReceiveDeletion,
    RecordErasure,
    RejectIdentity,
    RequestExtended,
    StartDeletion,
    State,
    Step,
    TooLate,
    UnverifiedReason,
    VerifyIdentity,
    WrongState,
    certificate,
    certificate_hash,
    deletions,
    legal_hold,
)
from compliance.domain.deletion_events import DeletionEvent
from contracts.chain import Law
from contracts.testing import hash_of, source
from eventlog.testing import given

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DUE = datetime(2026, 2, 28, 12, tzinfo=UTC)
LATER = START + timedelta(days=1)
CERTIFICATE, OTHER = hash_of("certificate"), hash_of("another certificate")

RECEIVED = DeletionReceived("r1", "ada", Law.GDPR, START, DUE, None)
VERIFIED = IdentityVerified("r1", "ada", Method.SIGNED_IN, None)
SERVICES = ("chain", "rewards")
START_IT = StartDeletion("r1", ("ada", "Twallet"), SERVICES, LATER)
STARTED = DeletionStarted("r1", "ada")
ORDERED = [ErasureOrdered("r1", "ada", erases, SERVICES) for erases in ("ada", "Twallet")]
COMPLETED = DeletionCompleted("r1", "ada", CERTIFICATE, None, None)
NOT_VERIFIED = IdentityNotVerified("r1", "ada", UnverifiedReason.MISMATCH)


def receive(name: str = "r1", law: Law = Law.GDPR, at: datetime = START, block: int | None = None) -> ReceiveDeletion:
    return ReceiveDeletion(name, "ada", law, at, None if block is None else source(block))


def erased(service: str, subject: str) -> RecordErasure:
    return RecordErasure("r1", subject, service, {"contacts": 1}, {"events": "public-chain"}, None, None, LATER)


def test_a_request_goes_from_its_receipt_to_its_completion() -> None:
    given(deletions).when(receive()).then(RECEIVED)
    given(deletions, RECEIVED).when(VerifyIdentity("r1", Method.SIGNED_IN, LATER)).then(VERIFIED)
    given(deletions, RECEIVED, VERIFIED).when(START_IT).then(STARTED, *ORDERED)


def test_the_answer_of_the_last_service_completes_the_request_with_a_certificate_of_all() -> None:
    history: list[DeletionEvent] = [RECEIVED, VERIFIED, STARTED, *ORDERED]
    asked = deletions.fold(history)["r1"].waiting_for
    assert asked == {(service, subject) for service in SERVICES for subject in ("ada", "Twallet")}
    for service, subject in sorted(asked):
        history += deletions.decide(erased(service, subject), deletions.fold(history))
        given(deletions, *history).when(erased(service, subject)).then_nothing()
    *answers, end = history[-5:]
    document = certificate("r1", "ada", [answer for answer in answers if isinstance(answer, ErasureAnswered)])
    assert end == DeletionCompleted("r1", "ada", certificate_hash(document), None, None)
    assert [(part["service"], part["subject"], part["rows"]) for part in document["erased"]] == [
        (service, subject, {"contacts": 1}) for service in SERVICES for subject in ("Twallet", "ada")
    ]
    assert document["gone_from_key_backups_at"] == "2026-03-03T12:00:00+00:00"


def test_what_was_never_ordered_is_no_answer() -> None:
    given(deletions, RECEIVED, VERIFIED, STARTED, *ORDERED).when(erased("royalties", "ada")).then_nothing()
    given(deletions, RECEIVED, VERIFIED).when(erased("chain", "ada")).then_nothing()


def test_answers_that_come_after_the_chain_has_closed_the_request_are_on_record() -> None:
    closed = DeletionCompleted("r1", "ada", CERTIFICATE, None, source(20))
    history = [RECEIVED, VERIFIED, STARTED, ORDERED[0], closed]
    [answer] = deletions.decide(erased("chain", "ada"), deletions.fold(history))
    assert isinstance(answer, ErasureAnswered)
    [last] = deletions.decide(erased("rewards", "ada"), deletions.fold([*history, answer]))
    assert isinstance(last, ErasureAnswered), "and it is not completed twice"


def test_an_erasure_that_was_ordered_cannot_be_denied_by_an_officer() -> None:
    given(deletions, RECEIVED, VERIFIED, STARTED, *ORDERED).when(DenyDeletion("r1", 7, LATER, None)).then_refused(
        WrongState, "found in-progress"
    )


def test_a_legal_hold_is_placed_once_and_lifted_before_another() -> None:
    placed, lifted = LegalHoldPlaced("ada", HoldReason.TAX), LegalHoldLifted("ada")
    given(legal_hold).when(placed).then(placed)
    given(legal_hold, placed).when(placed).then_nothing()
    given(legal_hold, placed).when(LegalHoldPlaced("ada", HoldReason.LITIGATION)).then_refused(WrongState, "tax")
    given(legal_hold, placed).when(lifted).then(lifted)
    given(legal_hold, placed, lifted).when(lifted).then_nothing()


def test_each_case_is_a_hold_of_its_own() -> None:
    plain, case = LegalHoldPlaced("ada", HoldReason.TAX), LegalHoldPlaced("ada", HoldReason.OTHER, "17/26")
    given(legal_hold, plain).when(case).then(case)
    given(legal_hold, case).when(LegalHoldPlaced("ada", HoldReason.TAX, "17/26")).then_refused(WrongState, "for other")
    given(legal_hold, case).when(LegalHoldLifted("ada")).then_refused(WrongState, "other (17/26); name the reference")
    given(legal_hold, plain, case).when(LegalHoldLifted("ada")).then(LegalHoldLifted("ada"))
    given(legal_hold, plain, case).when(LegalHoldLifted("ada", "17/26")).then(LegalHoldLifted("ada", "17/26"))
    given(legal_hold, case).when(LegalHoldLifted("ada", "18/26")).then_nothing()


def test_a_request_on_the_chain_is_signed_and_so_its_identity_is_verified() -> None:
    given(deletions).when(receive(block=9)).then(
        DeletionReceived("r1", "ada", Law.GDPR, START, DUE, source(9)),
        IdentityVerified("r1", "ada", Method.WALLET_SIGNATURE, source(9)),
    )


def test_a_request_made_again_changes_nothing_and_under_another_law_contradicts_itself() -> None:
    given(deletions, RECEIVED).when(receive(at=LATER)).then_nothing()
    given(deletions, RECEIVED).when(receive(law=Law.CCPA)).then_refused(Contradiction, "GDPR")


def test_a_duplicate_is_joined_to_the_open_request_and_the_earlier_deadline_counts() -> None:
    given(deletions, RECEIVED).when(receive("r2", at=LATER)).then(
        DeletionJoined("r2", "ada", Law.GDPR, LATER, DUE, "r1", None)
    )
    slow = DeletionReceived("r1", "ada", Law.CCPA, START, START + timedelta(days=45), None)
    sooner = datetime(2026, 3, 1, 12, tzinfo=UTC)
    joined = DeletionJoined("r2", "ada", Law.GDPR, LATER, sooner, "r1", None)
    given(deletions, slow).when(receive("r2", at=LATER)).then(joined)
    assert deletions.fold([slow, joined])["r1"].due_at == sooner


def test_a_duplicate_that_is_signed_on_the_chain_proves_the_identity_of_the_first() -> None:
    given(deletions, RECEIVED).when(receive("r2", at=LATER, block=9)).then(
        DeletionJoined("r2", "ada", Law.GDPR, LATER, DUE, "r1", source(9)),
        IdentityVerified("r1", "ada", Method.WALLET_SIGNATURE, source(9)),
    )


@pytest.mark.parametrize("closed", [[VERIFIED, COMPLETED], [DeletionDenied("r1", "ada", 7, None, None)]])
def test_a_request_after_a_closed_one_is_a_new_one(closed: list[object]) -> None:
    again = receive("r2", at=LATER)
    given(deletions, RECEIVED, *closed).when(again).then(
        DeletionReceived("r2", "ada", Law.GDPR, LATER, datetime(2026, 3, 1, 12, tzinfo=UTC), None)
    )


def test_a_request_whose_identity_is_not_verified_in_time_expires() -> None:
    after = DUE + timedelta(seconds=1)
    histories: list[list[DeletionEvent]] = [[RECEIVED], [RECEIVED, NOT_VERIFIED]]
    for history in histories:
        request = deletions.fold(history)["r1"]
        assert (request.state_at(DUE) in (State.RECEIVED, State.UNVERIFIED), request.state_at(after)) == (
            True,
            State.EXPIRED,
        )
        given(deletions, *history).when(VerifyIdentity("r1", Method.DOCUMENT, after)).then_refused(
            WrongState, "found expired"
        )
        assert isinstance(deletions.decide(receive("r2", at=after), deletions.fold(history))[0], DeletionReceived)
    assert deletions.fold([RECEIVED, VERIFIED])["r1"].state_at(after) is State.VERIFIED


def test_an_identity_that_was_not_verified_can_still_be() -> None:
    given(deletions, RECEIVED).when(RejectIdentity("r1", UnverifiedReason.MISMATCH, LATER)).then(NOT_VERIFIED)
    given(deletions, RECEIVED, NOT_VERIFIED).when(VerifyIdentity("r1", Method.SIGNED_IN, LATER)).then(VERIFIED)
    given(deletions, RECEIVED, VERIFIED).when(RejectIdentity("r1", UnverifiedReason.MISMATCH, LATER)).then_refused(
        WrongState, "found identity-verified"
    )


def test_nothing_is_erased_before_the_identity_is_verified() -> None:
    given(deletions, RECEIVED).when(START_IT).then_refused(
        WrongState, "expected identity-verified or in-progress, found received"
    )


def test_an_extension_counts_from_the_receipt_and_is_given_once_and_in_time() -> None:
    reason = ExtensionReason.COMPLEXITY
    extended = RequestExtended("r1", "ada", reason, datetime(2026, 4, 30, 12, tzinfo=UTC))
    history = [RECEIVED, VERIFIED]
    given(deletions, *history).when(ExtendRequest("r1", reason, DUE)).then(extended)
    given(deletions, *history, extended).when(ExtendRequest("r1", reason, DUE)).then_nothing()
    given(deletions, *history, extended).when(
        ExtendRequest("r1", ExtensionReason.NUMBER_OF_REQUESTS, DUE)
    ).then_refused(WrongState, "extended before")
    given(deletions, *history).when(ExtendRequest("r1", reason, DUE + timedelta(seconds=1))).then_refused(TooLate)


@pytest.mark.parametrize(
    "step",
    [
        VerifyIdentity("r1", Method.SIGNED_IN, LATER),
        RejectIdentity("r1", UnverifiedReason.NO_ANSWER, LATER),
        START_IT,
        ExtendRequest("r1", ExtensionReason.COMPLEXITY, LATER),
        DenyDeletion("r1", DenialReason.NO_DATA, LATER, None),
    ],
)
def test_a_closed_request_stays_as_it_is(step: Step) -> None:
    given(deletions, RECEIVED, VERIFIED, COMPLETED).when(step).then_refused(WrongState, "found completed")


def test_a_step_taken_again_changes_nothing() -> None:
    verified, started = [RECEIVED, VERIFIED], [RECEIVED, VERIFIED, STARTED]
    given(deletions, *verified).when(VerifyIdentity("r1", Method.SIGNED_IN, LATER)).then_nothing()
    given(deletions, *started).when(START_IT).then_nothing()
    given(deletions, RECEIVED, NOT_VERIFIED).when(RejectIdentity("r1", UnverifiedReason.MISMATCH, LATER)).then_nothing()


def test_what_the_chain_has_closed_is_closed_unless_it_contradicts_us() -> None:
    on_chain = CompleteDeletion("r1", CERTIFICATE, LATER, source(20))
    given(deletions, RECEIVED).when(on_chain).then(DeletionCompleted("r1", "ada", CERTIFICATE, None, source(20)))
    given(deletions, RECEIVED, VERIFIED, COMPLETED).when(on_chain).then_nothing()
    given(deletions, RECEIVED, VERIFIED, COMPLETED).when(CompleteDeletion("r1", OTHER, LATER, source(20))).then_refused(
        Contradiction
    )
    given(deletions, RECEIVED).when(DenyDeletion("r1", 77, LATER, source(20))).then(
        DeletionDenied("r1", "ada", 77, None, source(20))
    )


def test_a_joined_request_is_handled_with_the_one_it_was_joined_to() -> None:
    joined = DeletionJoined("r2", "ada", Law.GDPR, LATER, DUE, "r1", None)
    given(deletions, RECEIVED, joined).when(VerifyIdentity("r2", Method.SIGNED_IN, LATER)).then_refused(
        WrongState, "joined to r1"
    )
    given(deletions, RECEIVED, joined).when(CompleteDeletion("r2", CERTIFICATE, LATER, source(20))).then(
        DeletionCompleted("r2", "ada", CERTIFICATE, "r1", source(20))
    )
    third = deletions.decide(receive("r3", at=LATER), deletions.fold([RECEIVED, joined]))[0]
    assert isinstance(third, DeletionJoined)
    assert third.joined_to == "r1"

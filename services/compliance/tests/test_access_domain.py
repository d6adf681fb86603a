"""Requests for a copy, decided: states, duplicates and their keys, deadlines, answers that come again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from compliance.domain import (
    AccessDenied,
    AccessJoined,
    AccessReceived,
    ArchiveFetched,
    ArchiveReady,
    Contradiction,
    CopyCollected,
    DenialReason,
    DenyAccess,
    ExportAnswered,
    ExportOrdered,
    ExtendRequest,
    ExtensionReason,
    IdentityVerified,
    Method,
    NotOnRecord,
    ReceiveAccess,
    RecordCopy,
    RecordFetch,
    RecordGathering,
    RequestExtended,
    StartAccess,
    VerifyIdentity,
    WrongState,
    accesses,
)
from compliance.domain.access import Accesses
from compliance.domain.deadlines import add_months
from contracts.chain import Law
from contracts.testing import hash_of
from eventlog.testing import given

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DUE = datetime(2026, 2, 28, 12, tzinfo=UTC)
LATER, EXPIRY = START + timedelta(days=1), START + timedelta(days=14)
COPY, ANEW = hash_of("copy"), hash_of("copy made anew")

RECEIVED = AccessReceived("r1", "ada", Law.GDPR, "key", START, DUE)
VERIFIED = IdentityVerified("r1", "ada", Method.SIGNED_IN, None)
START_IT = StartAccess("r1", ("ada", "Twallet"), ("chain",), EXPIRY, LATER)
ORDERED = [ExportOrdered("r1", "ada", copies, ("chain",), "key", EXPIRY) for copies in ("ada", "Twallet")]
STARTED = [RECEIVED, VERIFIED, *ORDERED]


def gathering(copied: str, content_hash: str = COPY) -> RecordGathering:
    return RecordGathering("r1", copied, "chain", content_hash, 100, 3, LATER)


def answered(copied: str, content_hash: str = COPY) -> ExportAnswered:
    return ExportAnswered("r1", "ada", copied, "chain", content_hash, 100, 3)


def copy(copied: str, content_hash: str = COPY) -> RecordCopy:
    return RecordCopy("r1", copied, "chain", content_hash, LATER)


def collected(copied: str) -> CopyCollected:
    return CopyCollected("r1", "ada", copied, "chain", COPY)


READY = [*STARTED, *map(answered, ("ada", "Twallet")), *map(collected, ("ada", "Twallet"))]
READY = [*READY, ArchiveReady("r1", "ada", EXPIRY)]


def test_a_request_is_received_once_and_its_id_means_one_key() -> None:
    ask = ReceiveAccess("r1", "ada", Law.GDPR, "key", START)
    given(accesses).when(ask).then(RECEIVED)
    given(accesses, RECEIVED).when(ask).then_nothing()
    other = ReceiveAccess("r1", "ada", Law.GDPR, "another", START)
    given(accesses, RECEIVED).when(other).then_refused(Contradiction)


def test_a_duplicate_joins_and_its_key_counts_until_the_copies_are_ordered() -> None:
    again = ReceiveAccess("r2", "ada", Law.CCPA, "newer", LATER)
    joined = AccessJoined("r2", "ada", Law.CCPA, "newer", LATER, DUE, "r1")
    given(accesses, RECEIVED).when(again).then(joined)
    given(accesses, RECEIVED, joined).when(again).then_nothing()
    given(accesses, RECEIVED, joined).when(ReceiveAccess("r1", "ada", Law.GDPR, "key", START)).then_nothing()
    newer = [ExportOrdered("r1", "ada", copies, ("chain",), "newer", EXPIRY) for copies in ("ada", "Twallet")]
    given(accesses, RECEIVED, joined, VERIFIED).when(START_IT).then(*newer)
    given(accesses, *STARTED, joined).when(START_IT).then_nothing()
    given(accesses, RECEIVED, joined).when(VerifyIdentity("r2", Method.SIGNED_IN, LATER)).then_refused(WrongState)
    anew = AccessReceived("r2", "ada", Law.CCPA, "newer", LATER, LATER + timedelta(days=45))
    given(accesses, *READY).when(again).then(anew)


def test_copies_are_ordered_of_a_verified_subject_only_and_once() -> None:
    given(accesses, RECEIVED).when(START_IT).then_refused(WrongState)
    given(accesses, RECEIVED, VERIFIED).when(START_IT).then(*ORDERED)
    given(accesses, *STARTED).when(START_IT).then_nothing()
    given(accesses).when(START_IT).then_refused(NotOnRecord)


def test_the_last_copy_makes_the_archive_ready_and_what_comes_again_changes_nothing() -> None:
    given(accesses, *STARTED).when(gathering("ada")).then(answered("ada"))
    given(accesses, *STARTED).when(gathering("eve")).then_nothing()
    given(accesses, *STARTED, answered("ada")).when(gathering("ada")).then_nothing()
    given(accesses, *STARTED, answered("ada")).when(gathering("ada", ANEW)).then(answered("ada", ANEW))
    given(accesses, *STARTED, answered("ada", ANEW)).when(copy("ada")).then_nothing()
    given(accesses, *STARTED, answered("ada")).when(copy("ada")).then(collected("ada"))
    one = [*STARTED, answered("ada"), answered("Twallet"), collected("ada")]
    given(accesses, *one).when(copy("ada")).then_nothing()
    given(accesses, *one).when(copy("Twallet")).then(collected("Twallet"), ArchiveReady("r1", "ada", EXPIRY))
    given(accesses, *READY).when(gathering("ada", ANEW)).then_nothing()


def test_an_archive_is_fetched_when_it_is_ready_and_a_request_denied_until_then() -> None:
    given(accesses, *READY).when(RecordFetch("r1", LATER)).then(ArchiveFetched("r1", "ada"))
    given(accesses, *STARTED).when(RecordFetch("r1", LATER)).then_refused(WrongState)
    deny = DenyAccess("r1", DenialReason.MANIFESTLY_UNFOUNDED, LATER)
    denied = AccessDenied("r1", "ada", DenialReason.MANIFESTLY_UNFOUNDED)
    given(accesses, RECEIVED).when(deny).then(denied)
    given(accesses, RECEIVED, denied).when(deny).then_nothing()
    given(accesses, *STARTED).when(deny).then(denied)  # a service can't answer: the subject asks again
    given(accesses, *READY).when(deny).then_refused(WrongState)


@pytest.mark.parametrize(("now", "is_open"), [(LATER, True), (EXPIRY, False)])
def test_an_archive_is_open_until_it_expires(now: datetime, is_open: bool) -> None:
    state: Accesses = accesses.initial
    for event in READY:
        state = accesses.evolve(state, event)
    assert state["r1"].is_open_to(now) is is_open


@for_all(
    st.timedeltas(timedelta(0), timedelta(days=8_000)).map(lambda later: START + later),
    st.lists(st.tuples(st.sampled_from(Law), st.integers(0, 20)), max_size=4),
    st.booleans(),
)
def test_the_earliest_of_all_joined_deadlines_counts_by_calendar_months(
    start: datetime, duplicates: list[tuple[Law, int]], extended: bool
) -> None:
    """Against a plain model: GDPR a calendar month or three, CCPA 45 days or 90, each from its receipt."""
    state, asked = accesses.initial, [(Law.GDPR, start), *((law, start + timedelta(days=n)) for law, n in duplicates)]
    for number, (law, at) in enumerate(asked):
        for event in accesses.decide(ReceiveAccess(f"r{number}", "ada", law, "key", at), state):
            state = accesses.evolve(state, event)
    if extended:
        extend = ExtendRequest("r0", ExtensionReason.COMPLEXITY, start)
        [event] = accesses.decide(extend, state)
        assert isinstance(event, RequestExtended)
        state = accesses.evolve(state, event)
    months, days = (3, 90) if extended else (1, 45)
    model = [add_months(at, months) if law is Law.GDPR else at + timedelta(days=days) for law, at in asked]
    assert state["r0"].due_at == min(model)
    assert min(model) >= start + timedelta(days=28)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.domain import (
    AnchorAsked,
    AnchorSeal,
    AuditEventLogged,
    CommandRefused,
    ConsentWithdrawn,
    Contradiction,
    DocumentAccepted,
    DocumentPublished,
    DocumentServed,
    How,
    NotOnRecord,
    PublicationConfirmed,
    PublishDocument,
    RecordAcceptance,
    RecordServed,
    RequestIdTaken,
    RootAnchored,
    SunsetDocument,
    SunsetSet,
    TooLate,
    TranslateDocument,
    TranslationPublished,
    WithdrawConsent,
    WrongText,
    acceptance,
    anchors,
    audit_event,
    document,
    refusals,
    request_id,
)
from contracts.chain import DocumentType
from contracts.testing import EPOCH, hash_of, source
from eventlog.testing import given

TERMS = DocumentType.TERMS
NOW, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
ONE, TWO = hash_of("terms", 1), hash_of("terms", 2)


def publish(
    version: int, content: str, block: int | None = None, effective_at: datetime | None = None
) -> PublishDocument:
    place = None if block is None else source(block)
    return PublishDocument(TERMS, version, content, "ipfs://x", effective_at, EPOCH, place)


def published(
    version: int, content: str, block: int | None = None, effective_at: datetime | None = None
) -> DocumentPublished:
    place = None if block is None else source(block)
    return DocumentPublished(TERMS, version, content, "ipfs://x", effective_at, place)


def accept(version: int = 1, content: str = ONE, official: str | None = ONE, how: How = How.API) -> RecordAcceptance:
    texts = None if official is None else frozenset([official])
    return RecordAcceptance("ada", TERMS, version, content, texts, how, source(7) if how is How.CHAIN else None)


def accepted(version: int = 1, content: str = ONE, how: How = How.API) -> DocumentAccepted:
    return DocumentAccepted("ada", TERMS, version, content, how, source(7) if how is How.CHAIN else None)


def test_a_document_gets_one_version_after_the_other() -> None:
    given(document).when(publish(1, ONE)).then(published(1, ONE))
    given(document, published(1, ONE)).when(publish(2, TWO)).then(published(2, TWO))
    given(document, published(1, ONE)).when(publish(3, TWO)).then_refused(Contradiction, "next version, 2")


def test_publishing_again_changes_nothing_but_another_text_is_a_contradiction() -> None:
    given(document, published(1, ONE)).when(publish(1, ONE)).then_nothing()
    given(document, published(1, ONE, 5)).when(publish(1, ONE, 5)).then_nothing()
    given(document, published(1, ONE)).when(publish(1, TWO)).then_refused(Contradiction, f"expected the hash {ONE}")
    given(document, published(1, ONE)).when(publish(1, TWO, 5)).then_refused(Contradiction)


def test_the_chain_confirms_what_an_officer_published() -> None:
    confirmed = PublicationConfirmed(TERMS, 1, ONE, source(5))
    given(document, published(1, ONE)).when(publish(1, ONE, 5)).then(confirmed)
    given(document, published(1, ONE), confirmed).when(publish(1, ONE, 5)).then_nothing()


def test_the_chain_counts_versions_for_itself() -> None:
    given(document).when(publish(4, ONE, 9)).then(published(4, ONE, 9))


def test_served_and_accepted_are_two_facts() -> None:
    serve, served = RecordServed("ada", TERMS, 1, ONE, frozenset([ONE])), DocumentServed("ada", TERMS, 1, ONE)
    given(acceptance).when(serve).then(served)
    given(acceptance, served).when(serve).then_nothing()
    given(acceptance, served).when(accept()).then(accepted())
    given(acceptance, accepted()).when(serve).then(served)
    given(acceptance).when(RecordServed("ada", TERMS, 1, TWO, frozenset([ONE]))).then_refused(WrongText, TWO)


def test_the_same_acceptance_again_is_nothing_and_each_way_is_evidence_of_its_own() -> None:
    given(acceptance, accepted()).when(accept()).then_nothing()
    given(acceptance, accepted()).when(accept(how=How.CHAIN)).then(accepted(how=How.CHAIN))
    given(acceptance, accepted(), accepted(how=How.CHAIN)).when(accept(how=How.CHAIN)).then_nothing()
    given(acceptance, accepted()).when(accept(2, TWO, TWO)).then(accepted(2, TWO))


def test_only_the_exact_text_can_be_accepted() -> None:
    given(acceptance).when(accept(content=TWO)).then_refused(WrongText, f"expected the hash {ONE}, got {TWO}")
    given(acceptance).when(accept(content=TWO, how=How.CHAIN)).then_refused(WrongText)
    given(acceptance, accepted()).when(accept(content=TWO)).then_refused(Contradiction, "before")


def test_an_acceptance_on_the_chain_may_be_ahead_of_its_document() -> None:
    given(acceptance).when(accept(official=None, how=How.CHAIN)).then(accepted(how=How.CHAIN))


def test_every_language_of_a_version_has_its_own_text_that_never_changes() -> None:
    def german(text: str, version: int = 1) -> TranslateDocument:
        return TranslateDocument(TERMS, version, "de", text, "ipfs://de")

    translated = TranslationPublished(TERMS, 1, "de", TWO, "ipfs://de")
    given(document, published(1, ONE)).when(german(TWO)).then(translated)
    given(document, published(1, ONE), translated).when(german(TWO)).then_nothing()
    given(document, published(1, ONE), translated).when(german(ONE)).then_refused(Contradiction, "in de")
    given(document, published(1, ONE)).when(german(TWO, version=2)).then_refused(NotOnRecord)
    assert document.fold([published(1, ONE), translated])[1].hashes == {ONE, TWO}


def test_who_accepted_one_language_has_accepted_the_version() -> None:
    texts = frozenset([ONE, TWO])
    other = RecordAcceptance("ada", TERMS, 1, TWO, texts, How.API, None)
    given(acceptance, accepted()).when(other).then_nothing()
    given(acceptance).when(other).then(accepted(content=TWO))


def test_a_version_takes_effect_when_it_says_but_never_in_the_past() -> None:
    later, earlier = EPOCH + timedelta(days=30), EPOCH - timedelta(days=1)
    given(document).when(publish(1, ONE, effective_at=later)).then(published(1, ONE, effective_at=later))
    given(document).when(publish(1, ONE, effective_at=earlier)).then_refused(TooLate, "from now on")
    scheduled = published(1, ONE, effective_at=later)
    given(document, scheduled).when(publish(1, ONE, effective_at=later)).then_nothing()
    given(document, scheduled).when(publish(1, ONE)).then_refused(Contradiction, "to take effect")
    given(document, scheduled).when(publish(1, ONE, 5)).then(PublicationConfirmed(TERMS, 1, ONE, source(5)))


def test_a_sunset_can_be_moved_until_it_has_come() -> None:
    def sunset(day: int, now: int = 0) -> SunsetDocument:
        return SunsetDocument(TERMS, 1, EPOCH + timedelta(days=day), EPOCH + timedelta(days=now))

    ends = SunsetSet(TERMS, 1, EPOCH + timedelta(days=9))
    given(document, published(1, ONE)).when(sunset(9)).then(ends)
    given(document, published(1, ONE), ends).when(sunset(9, now=20)).then_nothing()
    given(document, published(1, ONE), ends).when(sunset(5, now=2)).then(SunsetSet(TERMS, 1, EPOCH + timedelta(days=5)))
    given(document, published(1, ONE), ends).when(sunset(20, now=9)).then_refused(TooLate, "ended at")
    given(document, published(1, ONE)).when(sunset(1, now=2)).then_refused(TooLate, "expected an end from")
    starts = published(1, ONE, effective_at=EPOCH + timedelta(days=7))
    given(document, starts).when(sunset(6)).then_refused(TooLate, "expected an end from")
    given(document).when(sunset(9)).then_refused(NotOnRecord)


def test_consent_is_withdrawn_once_and_can_be_given_again() -> None:
    withdraw, withdrawn = WithdrawConsent("ada", TERMS, "w1", EPOCH), ConsentWithdrawn("ada", TERMS, "w1", EPOCH)
    given(acceptance).when(withdraw).then(withdrawn)
    given(acceptance, accepted(), withdrawn).when(withdraw).then_nothing()
    given(acceptance, accepted(), withdrawn).when(accept()).then(accepted())
    given(acceptance, accepted(), withdrawn, accepted()).when(withdraw).then_nothing()
    given(acceptance, accepted(), withdrawn, accepted()).when(accept()).then_nothing()


def test_what_the_chain_or_the_system_before_has_said_is_said_once_whatever_was_withdrawn() -> None:
    withdrawn = ConsentWithdrawn("ada", TERMS, "w1", EPOCH)
    for how in (How.CHAIN, How.IMPORT):
        said = DocumentAccepted("ada", TERMS, 1, ONE, how, source(7) if how is How.CHAIN else None)
        given(acceptance, said, withdrawn).when(accept(how=how)).then_nothing()


def test_a_request_id_belongs_to_one_subject() -> None:
    mine = RequestIdTaken("r1", "ada")
    given(request_id).when(mine).then(mine)
    given(request_id, mine).when(mine).then_nothing()
    given(request_id, mine).when(RequestIdTaken("r1", "bob")).then_refused(Contradiction, "somebody else")


def test_an_audit_event_is_logged_once_under_its_key() -> None:
    one = AuditEventLogged("admin.role-granted", "ada", {"role": "officer"})
    given(audit_event).when(one).then(one)
    given(audit_event, one).when(one).then_nothing()
    given(audit_event, one).when(AuditEventLogged("admin.role-granted", "bob", {})).then_refused(Contradiction)


def test_a_refusal_is_recorded_once_until_it_changes() -> None:
    first, other = CommandRefused("publish-document", None, "conflict"), CommandRefused("verify", None, "not-found")
    given(refusals).when(first).then(first)
    given(refusals, first).when(first).then_nothing()
    given(refusals, first).when(other).then(other)


def test_an_anchored_root_never_changes() -> None:
    def root(text: str, block: int = 1) -> RootAnchored:
        return RootAnchored(hash_of("log"), 3, hash_of(text), source(block))

    given(anchors).when(root("a")).then(root("a"))
    given(anchors, root("a")).when(root("a", block=2)).then_nothing()
    given(anchors, root("a")).when(root("b")).then_refused(Contradiction, hash_of("a"))


def test_a_seal_is_asked_for_once_a_pause_and_never_once_it_is_anchored() -> None:
    def wish(number: int, hours: int, text: str = "") -> AnchorSeal:
        return AnchorSeal(hash_of("log"), number, hash_of(text or number), NOW + hours * HOUR, 24 * HOUR)

    def asked(number: int, hours: int, attempt: int = 1) -> AnchorAsked:
        return AnchorAsked(hash_of("log"), number, hash_of(number), attempt, NOW + hours * HOUR)

    done = RootAnchored(hash_of("log"), 7, hash_of(7), source(1))
    given(anchors).when(wish(7, 0)).then(asked(7, 0))
    given(anchors, asked(7, 0)).when(wish(9, 23)).then_nothing()
    given(anchors, asked(7, 0)).when(wish(9, 24)).then(asked(9, 24))
    given(anchors, asked(7, 0)).when(wish(7, 24)).then(asked(7, 24, attempt=2))
    given(anchors, asked(7, 0), done).when(wish(7, 24)).then_nothing()
    given(anchors, asked(7, 0), done).when(wish(9, 24)).then(asked(9, 24))
    given(anchors, done).when(wish(7, 24, "resealed")).then_refused(Contradiction, hash_of(7))
    given(anchors, done).when(wish(6, 24)).then_refused(Contradiction, "expected seal 7")


def test_states_are_values() -> None:
    before = document.fold([published(1, ONE)])
    document.evolve(before, published(2, TWO))
    assert list(before) == [1]
    with pytest.raises(TypeError):
        document.initial[1] = None  # type: ignore[index]  # on purpose

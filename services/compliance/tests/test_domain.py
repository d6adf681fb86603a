from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.domain import (
    AnchorAsked,
    AnchorSeal,
    AuditEventLogged,
    CommandRefused,
    Contradiction,
    DocumentAccepted,
    DocumentPublished,
    DocumentServed,
    How,
    PublicationConfirmed,
    PublishDocument,
    RecordAcceptance,
    RecordServed,
    RequestIdTaken,
    RootAnchored,
    WrongText,
    acceptance,
    anchors,
    audit_event,
    document,
    refusals,
    request_id,
)
from contracts.chain import DocumentType
from contracts.testing import hash_of, source
from eventlog.testing import given

TERMS = DocumentType.TERMS
NOW, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
ONE, TWO = hash_of("terms", 1), hash_of("terms", 2)


def publish(version: int, content: str, block: int | None = None) -> PublishDocument:
    return PublishDocument(TERMS, version, content, "ipfs://x", None if block is None else source(block))


def published(version: int, content: str, block: int | None = None) -> DocumentPublished:
    return DocumentPublished(TERMS, version, content, "ipfs://x", None if block is None else source(block))


def accept(version: int = 1, content: str = ONE, official: str = ONE, how: How = How.API) -> RecordAcceptance:
    return RecordAcceptance("ada", TERMS, version, content, official, how, source(7) if how is How.CHAIN else None)


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
    serve, served = RecordServed("ada", TERMS, 1, ONE, ONE), DocumentServed("ada", TERMS, 1, ONE)
    given(acceptance).when(serve).then(served)
    given(acceptance, served).when(serve).then_nothing()
    given(acceptance, served).when(accept()).then(accepted())
    given(acceptance, accepted()).when(serve).then(served)
    given(acceptance).when(RecordServed("ada", TERMS, 1, TWO, ONE)).then_refused(WrongText, TWO)


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
    ahead = RecordAcceptance("ada", TERMS, 1, ONE, None, How.CHAIN, source(7))
    given(acceptance).when(ahead).then(accepted(how=How.CHAIN))


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

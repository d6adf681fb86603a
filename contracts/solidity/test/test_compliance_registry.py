"""ComplianceRegistry: documents and acceptances, deletion requests, anchored roots."""

import pytest
from contract_evm import NOON, Attempts, Evm, account, hash_of, role

TERMS, PRIVACY, LICENSE = 0, 1, 4
GDPR, CCPA = 0, 1
ALICE, BOB, OFFICER = account("alice"), account("bob"), account("officer")
V1, V2 = hash_of("terms, first version"), hash_of("terms, second version")
REQUEST, CERTIFICATE = hash_of("request"), hash_of("certificate")


@pytest.fixture(autouse=True)
def _officer(evm: Evm) -> None:
    for name in ("OFFICER_ROLE", "ANCHOR_ROLE"):
        evm.registry.grantRole(role(name), OFFICER)


def publish(evm: Evm, text: bytes, kind: int = TERMS) -> int:
    return int(evm.registry.publishDocument(kind, text, "ipfs://terms", sender=OFFICER).value)


# --- documents --------------------------------------------------------------------------------------------------------


def test_versions_count_up_per_document_type(evm: Evm) -> None:
    receipt = evm.registry.publishDocument(TERMS, V1, "ipfs://terms", sender=OFFICER)
    assert receipt["DocumentPublished"] == {
        "documentType": TERMS,
        "version": 1,
        "contentHash": V1,
        "uri": "ipfs://terms",
    }
    assert (publish(evm, V2), publish(evm, V1, LICENSE)) == (2, 1)
    assert [evm.registry.currentVersion(kind) for kind in (TERMS, PRIVACY, LICENSE)] == [2, 0, 1]
    assert evm.registry.documents(TERMS, 1) == (V1, NOON, "ipfs://terms")


def test_an_acceptance_names_account_version_and_text(evm: Evm) -> None:
    publish(evm, V1)
    assert not evm.registry.hasAccepted(ALICE, TERMS)
    receipt = evm.registry.acceptDocument(TERMS, 1, V1, sender=ALICE)
    accepted = {"account": ALICE, "documentType": TERMS, "version": 1, "contentHash": V1}
    assert receipt["DocumentAccepted"] == accepted
    assert evm.registry.acceptances(ALICE, TERMS, 1) == NOON
    assert evm.registry.hasAccepted(ALICE, TERMS)
    assert not evm.registry.hasAccepted(BOB, TERMS)
    assert not evm.registry.hasAccepted(ALICE, PRIVACY)


def test_a_new_version_must_be_accepted_anew(evm: Evm) -> None:
    publish(evm, V1)
    evm.registry.acceptDocument(TERMS, 1, V1, sender=ALICE)
    publish(evm, V2)
    assert not evm.registry.hasAccepted(ALICE, TERMS)
    assert evm.registry.hasAcceptedVersion(ALICE, TERMS, 1)
    assert not evm.registry.hasAcceptedVersion(ALICE, TERMS, 2)
    evm.registry.acceptDocument(TERMS, 2, V2, sender=ALICE)
    assert evm.registry.hasAccepted(ALICE, TERMS)


def test_accepting_a_superseded_version_is_a_fact_that_does_not_count_as_current(evm: Evm) -> None:
    publish(evm, V1)
    publish(evm, V2)
    evm.registry.acceptDocument(TERMS, 1, V1, sender=ALICE)
    assert evm.registry.hasAcceptedVersion(ALICE, TERMS, 1)
    assert not evm.registry.hasAccepted(ALICE, TERMS)


def test_only_the_exact_text_of_a_published_version_is_accepted_once(evm: Evm) -> None:
    publish(evm, V1)
    with evm.reverts("ContentHashMismatch", V1, V2):
        evm.registry.acceptDocument(TERMS, 1, V2, sender=ALICE)
    for version in (0, 2):
        with evm.reverts("UnknownDocument", TERMS, version):
            evm.registry.acceptDocument(TERMS, version, V1, sender=ALICE)
    with evm.reverts("UnknownDocument", 200, 1):
        evm.registry.acceptDocument(200, 1, bytes(32), sender=ALICE)
    evm.registry.acceptDocument(TERMS, 1, V1, sender=ALICE)
    with evm.reverts("AlreadyAccepted", ALICE, TERMS, 1):
        evm.registry.acceptDocument(TERMS, 1, V1, sender=ALICE)


def test_a_faulty_document_is_refused(evm: Evm) -> None:
    with evm.reverts("InvalidDocumentType", 5):
        publish(evm, V1, 5)
    with evm.reverts("ZeroHash"):
        publish(evm, bytes(32))


# --- deletion requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [GDPR, CCPA])
def test_a_request_is_completed_once_with_its_certificate(evm: Evm, law: int) -> None:
    requested = evm.registry.requestDeletion(REQUEST, law, sender=ALICE)
    assert requested["DeletionRequested"] == {"requestId": REQUEST, "account": ALICE, "law": law}
    assert evm.registry.deletionRequests(REQUEST) == (ALICE, NOON, law, 1)
    completed = evm.registry.completeDeletion(REQUEST, CERTIFICATE, sender=OFFICER)
    assert completed["DeletionCompleted"] == {"requestId": REQUEST, "certificateHash": CERTIFICATE}
    calls: Attempts = (
        lambda: evm.registry.completeDeletion(REQUEST, CERTIFICATE, sender=OFFICER),
        lambda: evm.registry.denyDeletion(REQUEST, 1, sender=OFFICER),
    )
    for call in calls:
        with evm.reverts("RequestNotOpen", REQUEST, 2):
            call()


def test_a_request_is_denied_with_a_reason(evm: Evm) -> None:
    evm.registry.requestDeletion(REQUEST, GDPR, sender=ALICE)
    denied = evm.registry.denyDeletion(REQUEST, 3, sender=OFFICER)
    assert denied["DeletionDenied"] == {"requestId": REQUEST, "reason": 3}
    with evm.reverts("RequestNotOpen", REQUEST, 3):
        evm.registry.completeDeletion(REQUEST, CERTIFICATE, sender=OFFICER)


def test_faulty_requests_and_decisions_are_refused(evm: Evm) -> None:
    with evm.reverts("InvalidLaw", 2):
        evm.registry.requestDeletion(REQUEST, 2, sender=ALICE)
    with evm.reverts("ZeroHash"):
        evm.registry.requestDeletion(bytes(32), GDPR, sender=ALICE)
    with evm.reverts("RequestNotOpen", REQUEST, 0):
        evm.registry.completeDeletion(REQUEST, CERTIFICATE, sender=OFFICER)
    evm.registry.requestDeletion(REQUEST, GDPR, sender=ALICE)
    with evm.reverts("RequestExists", REQUEST):
        evm.registry.requestDeletion(REQUEST, GDPR, sender=BOB)
    with evm.reverts("ZeroHash"):
        evm.registry.completeDeletion(REQUEST, bytes(32), sender=OFFICER)


# --- anchors ----------------------------------------------------------------------------------------------------------


def test_a_root_is_anchored_once_per_segment(evm: Evm) -> None:
    log, root = hash_of("rewards log"), hash_of("root")
    anchored = evm.registry.anchorRoot(log, 7, root, sender=OFFICER)
    assert anchored["RootAnchored"] == {"logId": log, "segment": 7, "root": root}
    assert evm.registry.roots(log, 7) == root
    with evm.reverts("RootExists", log, 7):
        evm.registry.anchorRoot(log, 7, hash_of("another"), sender=OFFICER)
    with evm.reverts("ZeroHash"):
        evm.registry.anchorRoot(log, 8, bytes(32), sender=OFFICER)


def test_pausing_stops_every_entry(evm: Evm) -> None:
    publish(evm, V1)
    evm.registry.requestDeletion(REQUEST, GDPR, sender=ALICE)
    evm.registry.pause()
    calls: Attempts = (
        lambda: publish(evm, V2),
        lambda: evm.registry.acceptDocument(TERMS, 1, V1, sender=ALICE),
        lambda: evm.registry.requestDeletion(hash_of("other"), GDPR, sender=ALICE),
        lambda: evm.registry.completeDeletion(REQUEST, CERTIFICATE, sender=OFFICER),
        lambda: evm.registry.denyDeletion(REQUEST, 1, sender=OFFICER),
        lambda: evm.registry.anchorRoot(V1, 1, V1, sender=OFFICER),
    )
    for call in calls:
        with evm.reverts("EnforcedPause"):
            call()

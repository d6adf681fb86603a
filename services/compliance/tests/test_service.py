"""The service as a whole: the trail, what is wrong, who may do what, rebuilt rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from compliance import projections
from compliance.domain import EVENTS
from contracts import Message, chain
from contracts.chain import DocumentType
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes
from messaging.testing import eventually, headers, send, send_raw
from projections.testing import rebuilt_alike
from service.testing import Running
from tron.keys import Key

sys.path.append(str(Path(__file__).parent))

from said import (
    NOBODYS,
    TOPIC,
    acceptance,
    accepted,
    acted,
    anchored,
    completed,
    get,
    link,
    parked,
    post,
    publication,
    published,
    report,
    requested,
    screening,
    shown,
    text,
)


async def test_malformed_messages_are_put_aside_and_the_others_go_on(compliance: Running, kafka: str) -> None:
    await send(kafka, published(1), accepted(1))
    bad: Sequence[tuple[bytes, type[Message], bytes]] = [
        (b"compliance-registry/document/2", chain.DocumentPublished, b"{not json"),
        (b"compliance-registry/account/x", chain.DocumentAccepted, b'{"account": "me", "document_type": 9}'),
        (b"compliance-registry/request/x", chain.DeletionRequested, b'{"request_id": 1.5, "law": -1}'),
    ]
    for key, cls, value in bad:
        await send_raw(kafka, TOPIC, key, value, headers(ce_type=cls.type.encode()))
    await send_raw(kafka, TOPIC, b"compliance-registry/x", b"{}", headers(ce_type=b"chain.compliance-registry.New.v9"))
    await send(kafka, accepted(2))
    async with compliance.client("shop", "service") as shop:
        await shown(shop, "/acceptances", 2)

    async def settled() -> bool:
        return [reason for reason, _ in await parked(compliance)] == ["malformed"] * 3

    await eventually(settled)


async def test_the_trail_says_who_did_what_and_what_was_refused(compliance: Running, kafka: str) -> None:
    await send(kafka, published(1, DocumentType.PRIVACY), accepted(4, document_type=DocumentType.PRIVACY))
    async with compliance.client("olga", "officer") as officer, compliance.client("shop", "service") as shop:
        await shown(shop, "/acceptances", 1)
        await shown(shop, "/documents/privacy", 1)  # of another key, so perhaps later
        await post(officer, "/documents", publication(1), "k-doc")
        await post(shop, "/acceptances", acceptance("ada"), "k-acc")
        await post(shop, "/acceptances", acceptance("ada", content=text(9)), "k-bad")
        event = {"kind": "admin.role-granted", "subject": "bob", "detail": {"role": "officer", "times": 2, "mfa": True}}
        await post(officer, "/audit-events", event, "k-role")
        again = await post(officer, "/audit-events", event, "k-role")
        assert again.json()["events"] == 0
        assert (await post(officer, "/audit-events", {**event, "subject": "eve"}, "k-role")).status_code == 409
        done = await post(shop, "/audit-events", {"kind": "login.failed", "subject": "ada"})

        trail = await get(officer, "/audit-events", done, limit=200)
        seen = [(e["actor"], e["action"], e["subject"], e["causation"]) for e in reversed(trail["items"])]
        assert ("olga", "DocumentPublished", None, "olga/k-doc") in seen
        assert ("shop", "DocumentAccepted", "ada", "shop/k-acc") in seen
        assert ("shop", "CommandRefused", "ada", "shop/k-bad") in seen
        assert ("olga", "admin.role-granted", "bob", "olga/k-role") in seen
        on_chain = next(e for e in trail["items"] if e["subject"] == address(4))
        assert (on_chain["actor"], on_chain["tx_id"]) == (address(4), source(1004, 4).tx_id)
        (logged,) = [e for e in trail["items"] if e["action"] == "admin.role-granted"]
        assert logged["detail"] == {"role": "officer", "times": 2, "mfa": True}
        refused = await get(officer, "/audit-events", done, action="CommandRefused", actor="shop")
        assert [e["detail"] for e in refused["items"]] == [{"command": "record-acceptance", "code": "conflict"}]
        first = await get(officer, "/audit-events", done, limit=2)
        second = await get(officer, "/audit-events", done, limit=2, cursor=first["next"])
        positions = [e["position"] for e in first["items"] + second["items"]]
        assert positions == sorted(positions, reverse=True)
        assert len(set(positions)) == 4
        none = await get(officer, "/audit-events", done, until="2020-01-01T00:00:00Z")
        assert none["items"] == []

        actions = await get(officer, "/admin-actions", done)
        assert {(e["actor"], e["action"]) for e in actions["items"]} == {
            (None, "DocumentPublished"),
            ("olga", "DocumentPublished"),
            ("olga", "admin.role-granted"),
        }


BAD_INPUT: list[tuple[str, object, str]] = [
    ("/acceptances", {}, "content_hash"),
    ("/acceptances", {**acceptance(), "document_type": "magna-carta"}, "document_type"),
    ("/acceptances", {**acceptance(), "document_type": 0}, "document_type"),
    ("/acceptances", {**acceptance(), "version": 1.5}, "version"),
    ("/acceptances", {**acceptance(), "version": 0}, "version"),
    ("/acceptances", {**acceptance(), "content_hash": "0x12"}, "content_hash"),
    ("/acceptances", acceptance("ada@example.org"), "subject"),
    ("/acceptances", acceptance("Ada Lovelace"), "subject"),
    ("/acceptances", {**acceptance(), "extra": 1}, "extra"),
    ("/documents", {**publication(), "uri": "somewhere"}, "uri"),
    ("/documents", {**publication(), "version": 2**32}, "version"),
    ("/documents", {**publication(), "effective_at": "soon"}, "effective_at"),
    ("/documents/terms/translations", {**publication(), "language": "deutsch, bitte"}, "language"),
    ("/documents/terms/sunset", {"version": 1, "sunset_at": "2100-01-01T00:00:00"}, "sunset_at"),
    ("/withdrawals", {"withdrawal_id": "1", "subject": "ada", "document_type": "terms"}, "withdrawal_id"),
    ("/accepted", {"subjects": [], "document_type": "terms"}, "subjects"),
    ("/accepted", {"subjects": ["ada"] * 1001, "document_type": "terms"}, "subjects"),
    ("/accepted", {"subjects": ["Ada Lovelace"], "document_type": "terms"}, "subjects"),
    ("/wallets/challenges", {"subject": "ada", "address": "T123"}, "address"),
    ("/wallets", {"subject": "ada", "address": address(1), "nonce": "0" * 32, "signature": "me"}, "signature"),
    ("/kyc", {"subject": "ada", "level": 4}, "level"),
    ("/kyc/ada/reject", {"reason": "we would rather not"}, "reason"),
    ("/deletion-requests", {"request_id": "1", "subject": "ada", "law": "gdpr"}, "request_id"),
    ("/deletion-requests", {"request_id": NOBODYS, "subject": "ada", "law": "hammurabi"}, "law"),
    (f"/deletion-requests/{NOBODYS}/deny", {"reason": "we would rather not"}, "reason"),
    (f"/deletion-requests/{NOBODYS}/verify", {"verified": True, "method": "looks honest"}, "method"),
    (f"/deletion-requests/{NOBODYS}/verify", {"verified": "maybe"}, "verified"),
    ("/deletion-requests/x/start", None, "request_id"),
    ("/audit-events", {"kind": "Free text"}, "kind"),
    ("/audit-events", {"kind": "x", "detail": {"note": "called ada@example.org"}}, "detail"),
    ("/audit-events", {"kind": "x", "detail": {"amount": 1.5}}, "detail"),
    ("/audit-events", {"kind": "x", "detail": {f"k{n}": n for n in range(21)}}, "detail"),
]
"""Where something is posted, what, and the field that the answer names."""


async def test_bad_input_is_a_problem_that_names_the_field(compliance: Running) -> None:
    async with compliance.client("root", "admin", "service") as client:
        for path, body, named in BAD_INPUT:
            answer = await post(client, path, body)
            assert answer.status_code == 422, (path, body, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", (path, body)
            assert named in answer.text, (path, body)
            assert "example.org" not in answer.text, (path, body)
    pool = compliance.pool
    assert await pool.fetchval("SELECT count(*) FROM events") == 0


async def test_nobody_acts_without_a_token_or_for_somebody_else_or_beyond_its_role(compliance: Running) -> None:
    verify = f"/deletion-requests/{uuid4()}/verify"
    reads = ["/documents", "/documents/terms", "/acceptances", "/deletion-requests", "/audit-events", "/admin-actions"]
    async with compliance.nobody() as nobody:
        assert (await nobody.get("/documents/no-such-type")).status_code == 401
        for path in reads:
            assert (await nobody.get(path)).status_code == 401
            assert (await nobody.get(path, headers={"authorization": "Bearer forged"})).status_code == 401
        assert (await post(nobody, "/acceptances", acceptance())).status_code == 401
    async with compliance.client("bob", "user") as bob:
        refused = await post(bob, "/acceptances", acceptance("ada"))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:annals:problem:not-yourself")
        request = {"request_id": str(uuid4()), "subject": "ada", "law": "gdpr"}
        assert (await post(bob, "/deletion-requests", request)).status_code == 403
        assert (await bob.get("/subjects/ada/accepted/terms")).status_code == 403
        assert (await bob.get("/acceptances")).status_code == 403
        assert (await bob.get("/deletion-requests", params={"subject": "ada"})).status_code == 403
        assert (await bob.get("/audit-events")).status_code == 403
        assert (await post(bob, "/documents", publication())).status_code == 403
        assert (await post(bob, verify, {"verified": True, "method": "document"})).status_code == 403
        assert (await post(bob, "/audit-events", {"kind": "x"})).status_code == 403
        assert (await bob.post("/acceptances", json=acceptance("bob"))).status_code == 400
    async with compliance.client("shop", "service") as shop, compliance.client("aud", "auditor") as auditor:
        assert (await post(shop, "/documents", publication())).status_code == 403
        assert (await shop.get("/admin-actions")).status_code == 403
        assert (await post(auditor, "/acceptances", acceptance("aud"))).status_code == 403
        assert (await auditor.get("/acceptances", params={"subject": "ada"})).status_code == 200

        async def told() -> bool:
            reads = {"subject": "ada", "action": "PersonalDataRead"}
            items = (await auditor.get("/audit-events", params=reads)).json()["items"]
            on_record = [(entry["actor"], entry["detail"]) for entry in items]
            return ("aud", {"route": "GET /acceptances", "purpose": "review"}) in on_record

        await eventually(told)


async def test_the_service_says_what_it_needs_and_that_it_is_ready(compliance: Running, kafka: str) -> None:
    async with compliance.nobody() as client:

        async def missed() -> bool:
            check = (await client.get("/ready")).json()["checks"]["kafka"]
            assert not check["ok"]
            return TOPIC in check["detail"]  # a broker that is too slow would be told first

        await eventually(missed)
        await send(kafka, published(1))

        async def ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await eventually(ready)
        assert (await client.get("/health")).json()["workers"]["projections"] == "running"


async def test_live_rows_equal_rebuilt_rows(compliance: Running, kafka: str) -> None:
    await send(
        kafka,
        *(published(version, kind) for kind in DocumentType for version in (1, 2)),
        *(accepted(who, version) for who in range(10) for version in (2, 1)),
        *(requested(number, number % 4) for number in range(6)),
        completed(0),
        anchored(),
        acted(1),
        acted(2, "root", "admin"),
    )
    async with compliance.client("olga", "admin") as client:
        await shown(client, "/acceptances", 20)
        await shown(client, "/deletion-requests", 6)
        await shown(client, "/documents/terms", 2)  # or what follows is refused
        await post(client, "/acceptances", acceptance("ada"))
        await post(client, "/documents/terms/served", {"subject": "bo", "version": 1, "content_hash": text(1)})
        await post(client, "/documents", publication(3))
        contact = {"name": "Ada", "email": "ada@lovelace.example", "country": "GB"}
        await client.put("/subjects/ada/contact", json=contact, headers={"idempotency-key": "k-contact"})
        name = str(uuid4())
        correction = {"request_id": name, "subject": "ada", "law": "gdpr", "corrections": {"name": "Augusta Ada"}}
        await post(client, "/rectification-requests", correction)
        await post(client, f"/rectification-requests/{name}/verify", {"verified": True, "method": "document"})
        await post(client, f"/rectification-requests/{name}/complete")
        name = str(uuid4())
        await post(client, "/deletion-requests", {"request_id": name, "subject": "ada", "law": "ccpa"})
        await post(client, f"/deletion-requests/{name}/verify", {"verified": True, "method": "document"})
        await post(client, f"/deletion-requests/{name}/extend", {"reason": "complexity"})
        await post(client, f"/deletion-requests/{name}/deny", {"reason": "legal-claims"})
        await post(client, f"/deletion-requests/{hash_of('request', 2)}/start")
        for subject in ("bo", "cy"):
            await post(client, "/legal-holds", {"subject": subject, "reason": "tax"})
        await post(client, "/legal-holds/cy/lift")
        await post(client, "/retention-policies", {"action": "DocumentServed", "days": 90})
        await post(client, "/audit-events", {"kind": "admin.x", "detail": {"a": 1}})
        german = {"version": 3, "language": "de", "content_hash": text(9), "uri": "https://x.example/de"}
        await post(client, "/documents/terms/translations", german)
        await post(client, "/documents/terms/sunset", {"version": 3, "sunset_at": "2100-01-01T00:00:00Z"})
        withdrawal = {"withdrawal_id": str(uuid4()), "subject": "ada", "document_type": "terms"}
        await post(client, "/withdrawals", withdrawal)
        await post(client, "/kyc", {"subject": "ada", "level": 2})
        await report(compliance, screening("ada"))
        await link(client, Key(b"\x01" * 32), "ada")
    await compliance.shown()
    pool = compliance.pool
    # Requests for copies need peers that answer: see test_access.
    await rebuilt_alike(EventLog(pool, EventTypes(EVENTS)), projections.ALL, may_be_empty={"access_requests"})

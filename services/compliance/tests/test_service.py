from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from compliance import handlers, projections
from compliance.domain import EVENTS, ReceiveDeletion
from contracts import Message, chain
from contracts.chain import DocumentType, Law
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, Executor, Metadata, Watermark
from messaging.testing import eventually, headers, read_all, send, send_raw
from projections import rebuild
from service.testing import Running

pytestmark = pytest.mark.timeout(120)

TERMS = DocumentType.TERMS
TOPIC = "chain.compliance-registry"
Keyed = tuple[str, Message]

NOBODYS = "11111111-2222-4333-8444-555555555555"
"""A request that nobody made."""


def text(version: int, document_type: DocumentType = TERMS) -> str:
    return hash_of(document_type.name, version)


def published(version: int, document_type: DocumentType = TERMS, content: str | None = None) -> Keyed:
    message = chain.DocumentPublished(
        document_type=document_type,
        version=version,
        content_hash=content or text(version, document_type),
        uri=f"ipfs://{version}",
        source=source(version),
    )
    return f"compliance-registry/document/{int(document_type)}", message


def accepted(who: int, version: int = 1, document_type: DocumentType = TERMS, content: str | None = None) -> Keyed:
    message = chain.DocumentAccepted(
        account=address(who),
        document_type=document_type,
        version=version,
        content_hash=content or text(version, document_type),
        source=source(1000 * version + who, who),
    )
    return f"compliance-registry/account/{address(who)}", message


def requested(number: int, who: int, at: datetime | None = None, law: Law = Law.GDPR) -> Keyed:
    place = source(5000 + number)
    if at is not None:
        place = place.model_copy(update={"block_time": at})
    name = hash_of("request", number)
    message = chain.DeletionRequested(request_id=name, account=address(who), law=law, source=place)
    return f"compliance-registry/request/{name}", message


def completed(number: int) -> Keyed:
    name = hash_of("request", number)
    message = chain.DeletionCompleted(request_id=name, certificate_hash=hash_of("c", number), source=source(6000, 3))
    return f"compliance-registry/request/{name}", message


def denied(number: int, reason: int) -> Keyed:
    name = hash_of("request", number)
    message = chain.DeletionDenied(request_id=name, reason=reason, source=source(6001, 4))
    return f"compliance-registry/request/{name}", message


def anchored() -> Keyed:
    message = chain.RootAnchored(log_id=hash_of("log"), segment=1, root=hash_of("root"), source=source(6002))
    return f"compliance-registry/anchor/{message.log_id}", message


async def post(client: httpx.AsyncClient, path: str, body: object = None, key: str | None = None) -> httpx.Response:
    return await client.post(path, json=body, headers={"idempotency-key": key or str(uuid4())})


async def get(client: httpx.AsyncClient, path: str, after: httpx.Response, **query: Any) -> Any:
    """What a GET shows once the effect of a command is there."""
    answer = await client.get(path, params=query, headers={"annals-after": after.json()["token"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def publication(version: int = 1, document_type: str = "terms", content: str | None = None) -> dict[str, Any]:
    hashed = content or text(version)
    return {"document_type": document_type, "version": version, "content_hash": hashed, "uri": "https://x.example/t"}


def acceptance(subject: str = "ada", version: int = 1, content: str | None = None) -> dict[str, Any]:
    hashed = content or text(version)
    return {"subject": subject, "document_type": "terms", "version": version, "content_hash": hashed}


async def shown(client: httpx.AsyncClient, path: str, number: int, **query: str) -> list[dict[str, Any]]:
    """The items of a list as soon as it has so many."""
    items: list[dict[str, Any]] = []

    async def enough() -> bool:
        nonlocal items
        items = (await client.get(path, params=query)).json()["items"]
        return len(items) >= number

    await eventually(enough)
    return items


async def parked(running: Running) -> list[tuple[str, str]]:
    pool = running.service.pool
    assert pool is not None
    return [(row["reason"], row["error"]) for row in await pool.fetch("SELECT reason, error FROM parked ORDER BY id")]


async def test_what_the_chain_says_is_answered_with_block_transaction_and_log_index(
    compliance: Running, kafka: str
) -> None:
    await send(kafka, published(1), *(accepted(n) for n in range(30)), requested(1, 2), anchored())
    async with compliance.client("olga", "officer") as client:
        first = await shown(client, "/acceptances", 20, limit="20", document_type="terms")
        await shown(client, "/acceptances", 30)
        (record,) = await shown(client, "/acceptances", 1, subject=address(7))
        assert len(first) == 20
        assert (record["how"], record["version"], record["content_hash"]) == ("chain", 1, text(1))
        place = source(1007, 7)
        assert (record["block_number"], record["tx_id"], record["log_index"]) == (1007, place.tx_id, 7)
        assert datetime.fromisoformat(record["accepted_at"]) == place.block_time

        (version,) = await shown(client, "/documents/terms", 1)
        assert (version["tx_id"], version["accepted_on_chain"]) == (source(1).tx_id, 30)
        answer = (await client.get(f"/subjects/{address(7)}/accepted/terms")).json()
        assert (answer["accepted"], answer["version"], answer["current_version"]) == (True, 1, 1)
        (request,) = await shown(client, "/deletion-requests", 1)
        assert (request["subject"], request["block_number"], request["identity"]) == (
            address(2), 5001, "wallet-signature",
        )  # fmt: skip

    async def told() -> bool:
        types = [dict(record.headers)["ce_type"] for record in await read_all(kafka, "compliance.events")]
        return sorted(types) == sorted(
            [b"compliance.events.DocumentVersionPublished.v1", b"compliance.events.DeletionOpened.v1"]
            + [b"compliance.events.AcceptanceRecorded.v1"] * 30
        )

    await eventually(told)


async def test_a_new_version_takes_effect_until_it_is_accepted_too(compliance: Running) -> None:
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        path = "/subjects/ada/accepted/terms"
        assert (await ada.get(path)).status_code == 404
        first = await post(officer, "/documents", publication(1))
        assert not (await get(ada, path, first))["accepted"]
        agreed = await post(ada, "/acceptances", acceptance())
        assert (await get(ada, path, agreed))["accepted"]
        second = await post(officer, "/documents", publication(2))
        answer = await get(ada, path, second)
        assert (answer["accepted"], answer["version"], answer["latest_accepted_version"]) == (False, 2, 1)
        assert (await get(ada, path, second, version=1))["accepted"]
        agreed = await post(ada, "/acceptances", acceptance(version=2))
        answer = await get(ada, path, agreed)
        assert (answer["accepted"], answer["latest_accepted_version"]) == (True, 2)

        records = await get(ada, "/acceptances", agreed, subject="ada")
        assert [(r["version"], r["how"], r["recorded_by"], r["tx_id"]) for r in records["items"]] == [
            (2, "api", "ada", None),
            (1, "api", "ada", None),
        ]
        (current,) = await get(officer, "/documents", second)
        assert (current["version"], current["published_by"]) == (2, "olga")


async def test_unknown_documents_and_versions_are_not_found(compliance: Running) -> None:
    async with compliance.client("olga", "officer") as officer, compliance.client("shop", "service") as shop:
        answer = await shop.get("/subjects/ada/accepted/magna-carta")
        assert answer.status_code == 404
        assert "artist-agreement" in answer.json()["detail"]
        done = await post(officer, "/documents", publication(1))
        await get(shop, "/subjects/ada/accepted/terms", done)
        missing = await shop.get("/subjects/ada/accepted/terms", params={"version": 2})
        assert (missing.status_code, "terms version 2" in missing.text) == (404, True)
        assert (await post(shop, "/acceptances", acceptance(version=2))).status_code == 404
        assert (await shop.get("/documents/magna-carta")).status_code == 404


async def test_served_is_a_fact_of_its_own(compliance: Running) -> None:
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        await post(officer, "/documents", publication(1))
        body = {"subject": "ada", "version": 1, "content_hash": text(1)}
        done = await post(ada, "/documents/terms/served", body)
        answer = await get(ada, "/subjects/ada/accepted/terms", done)
        assert (answer["accepted"], answer["latest_served_version"]) == (False, 1)
        assert (await post(ada, "/documents/terms/served", body)).json()["events"] == 0


async def test_the_same_again_is_nothing_and_other_contents_are_a_conflict(compliance: Running) -> None:
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        assert (await post(officer, "/documents", publication(1))).json()["events"] == 1
        assert (await post(officer, "/documents", publication(1))).json() == {"events": 0, "token": None}
        assert (await post(officer, "/documents", publication(1, content=text(9)))).status_code == 409
        assert (await post(officer, "/documents", publication(3))).status_code == 409

        wrong = await post(ada, "/acceptances", acceptance(content=text(9)))
        assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:annals:problem:wrong-text")
        together = await asyncio.gather(*(post(ada, "/acceptances", acceptance()) for _ in range(5)))
        assert sorted(answer.json()["events"] for answer in together) == [0, 0, 0, 0, 1]
        conflict = await post(ada, "/acceptances", acceptance(content=text(9)))
        assert (conflict.status_code, conflict.json()["type"]) == (409, "urn:annals:problem:conflict")
        assert text(1) in conflict.json()["detail"]


async def test_an_acceptance_by_api_and_one_on_the_chain_are_both_on_record(compliance: Running, kafka: str) -> None:
    who = address(3)
    await send(kafka, published(1))
    async with compliance.client("shop", "service") as shop:
        await shown(shop, "/documents/terms", 1)
        await post(shop, "/acceptances", acceptance(who))
        await send(kafka, accepted(3), accepted(3))
        records = await shown(shop, "/acceptances", 2, subject=who)
        assert [(r["how"], r["recorded_by"]) for r in records] == [("chain", who), ("api", "shop")]


async def test_an_acceptance_ahead_of_its_document_counts_once_that_is_there(compliance: Running, kafka: str) -> None:
    await send(kafka, accepted(1), accepted(2, content=text(9)))
    async with compliance.client("shop", "service") as shop:
        await shown(shop, "/acceptances", 2)
        assert (await shop.get(f"/subjects/{address(1)}/accepted/terms")).status_code == 404
        await send(kafka, published(1))
        await shown(shop, "/documents/terms", 1)
        assert (await shop.get(f"/subjects/{address(1)}/accepted/terms")).json()["accepted"]
        other_text = (await shop.get(f"/subjects/{address(2)}/accepted/terms")).json()
        assert not other_text["accepted"]
    assert await parked(compliance) == []


async def test_a_wrong_text_on_the_chain_is_put_aside_and_the_others_go_on(compliance: Running, kafka: str) -> None:
    await send(kafka, published(1))
    async with compliance.client("shop", "service") as shop:
        await shown(shop, "/documents/terms", 1)
        await send(kafka, accepted(1, content=text(9)), published(1, content=text(9)), accepted(2))
        (record,) = await shown(shop, "/acceptances", 1)
        assert record["subject"] == address(2)

    async def settled() -> bool:
        return len(await parked(compliance)) == 2

    await eventually(settled)
    reasons = await parked(compliance)
    assert {reason for reason, _ in reasons} == {"failed"}
    assert any("WrongText" in error and text(1) in error for _, error in reasons), reasons
    assert any("Contradiction" in error for _, error in reasons), reasons


async def test_the_end_of_a_request_waits_for_its_receipt(compliance: Running, kafka: str) -> None:
    name = hash_of("request", 1)
    await send(kafka, ("compliance-registry/elsewhere", completed(1)[1]))

    async def waiting() -> bool:
        return [reason for reason, _ in await parked(compliance)] == ["waiting"]

    await eventually(waiting)
    await send(kafka, requested(1, 2, datetime.now(UTC)))
    async with compliance.client("olga", "officer") as client:

        async def closed() -> bool:
            found = await client.get(f"/deletion-requests/{name}")
            return found.status_code == 200 and found.json()["state"] == "completed"

        await eventually(closed)
    assert await parked(compliance) == []


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


async def test_a_request_goes_through_the_hands_of_an_officer(compliance: Running) -> None:
    name = str(uuid4())
    path = f"/deletion-requests/{name}"
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        body = {"request_id": name, "subject": "ada", "law": "gdpr"}
        asked = await post(ada, "/deletion-requests", body)
        request = await get(ada, path, asked)
        assert (request["state"], request["law"], request["tx_id"]) == ("received", "gdpr", None)
        received, due = (datetime.fromisoformat(request[at]) for at in ("received_at", "due_at"))
        assert timedelta(days=28) <= due - received <= timedelta(days=31)
        assert (await post(ada, "/deletion-requests", body)).json()["events"] == 0

        early = await post(officer, f"{path}/complete", {"certificate_hash": hash_of("c")})
        assert (early.status_code, early.json()["type"]) == (409, "urn:annals:problem:wrong-state")
        unclear = await post(officer, f"{path}/verify", {"verified": False, "reason": "insufficient-evidence"})
        assert (await get(ada, path, unclear))["state"] == "identity-unverified"
        await post(officer, f"{path}/verify", {"verified": True, "method": "document"})
        longer = await post(officer, f"{path}/extend", {"reason": "complexity"})
        request = await get(ada, path, longer)
        assert (request["state"], request["identity"], request["extension"]) == (
            "identity-verified", "document", "complexity",
        )  # fmt: skip
        assert datetime.fromisoformat(request["due_at"]) - received >= timedelta(days=89)
        await post(officer, f"{path}/start")
        done = await post(officer, f"{path}/complete", {"certificate_hash": hash_of("c")})
        request = await get(ada, path, done)
        assert (request["state"], request["certificate_hash"], request["overdue"]) == ("completed", hash_of("c"), False)
        late = await post(officer, f"{path}/deny", {"reason": "no-data"})
        assert late.status_code == 409
        assert (await post(officer, f"/deletion-requests/{uuid4()}/start")).status_code == 404


async def test_duplicates_are_joined_even_when_they_come_at_once(compliance: Running) -> None:
    async with compliance.client("ada", "user") as ada:
        names = [str(uuid4()) for _ in range(6)]
        bodies = [{"request_id": name, "subject": "ada", "law": "gdpr"} for name in names]
        answers = await asyncio.gather(*(post(ada, "/deletion-requests", body) for body in bodies))
        assert [answer.status_code for answer in answers] == [200] * 6
        requests = await shown(ada, "/deletion-requests", 6, subject="ada")
        (first,) = [request for request in requests if request["state"] == "received"]
        assert {r["joined_to"] for r in requests if r["state"] == "joined"} == {first["request_id"]}
        taken = {"request_id": names[0], "subject": "bob", "law": "gdpr"}
        async with compliance.client("bob", "user") as bob:
            assert (await post(bob, "/deletion-requests", taken)).status_code == 409
            assert (await bob.get(f"/deletion-requests/{names[0]}")).status_code == 404


async def test_the_chain_opens_joins_and_closes_requests(compliance: Running, kafka: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    async with compliance.client("olga", "officer") as client:

        async def status(number: int, state: str) -> dict[str, Any]:
            async def reached() -> bool:
                return (await client.get(path)).json().get("state") == state  # type: ignore[no-any-return]  # JSON

            path = f"/deletion-requests/{hash_of('request', number)}"
            await eventually(reached)
            found: dict[str, Any] = (await client.get(path)).json()
            return found

        await send(kafka, requested(1, 1, now))
        await status(1, "identity-verified")
        await send(kafka, requested(2, 1, now), requested(3, 3, now), denied(3, 77))
        assert (await status(2, "joined"))["joined_to"] == hash_of("request", 1)
        refused = await status(3, "denied")
        assert (refused["denial_reason"], refused["closed_block_number"]) == ("code-77", 6001)
        await send(kafka, completed(1))
        done = await status(1, "completed")
        assert (done["closed_tx_id"], done["closed_log_index"]) == (source(6000, 3).tx_id, 3)
        assert done["certificate_hash"] == hash_of("c", 1)

    async def told() -> bool:
        records = await read_all(kafka, "compliance.events")
        closed = [record for record in records if b"DeletionClosed" in (dict(record.headers)["ce_type"] or b"")]
        return len(records) == 4 and len(closed) == 2  # nothing of the duplicate

    await eventually(told)


async def test_requests_are_listed_due_soonest_first_with_what_the_clock_says(compliance: Running, kafka: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    await send(
        kafka,
        requested(1, 1, now - timedelta(days=50)),
        requested(2, 2, now - timedelta(days=10)),
        requested(3, 3, now - timedelta(days=40), Law.CCPA),
    )
    pool = compliance.service.pool
    assert pool is not None
    executor = Executor(EventLog(pool, EventTypes(EVENTS)))
    old = ReceiveDeletion(str(uuid4()), "ada", Law.GDPR, now - timedelta(days=60), None)
    await executor.execute(handlers.receive_deletion(old, Metadata()))
    async with compliance.client("aud", "auditor") as client:
        items = await shown(client, "/deletion-requests", 4)
        assert [(item["subject"], item["state"], item["overdue"]) for item in items] == [
            ("ada", "expired", False),
            (address(1), "identity-verified", True),
            (address(3), "identity-verified", False),
            (address(2), "identity-verified", False),
        ]

        async def subjects(**query: Any) -> list[str]:
            found = (await client.get("/deletion-requests", params=query)).json()["items"]
            return [item["subject"] for item in found]

        assert await subjects(overdue=True) == [address(1)]
        assert await subjects(state="expired") == ["ada"]
        assert await subjects(open=False) == ["ada"]
        assert await subjects(law="ccpa") == [address(3)]
        page = (await client.get("/deletion-requests", params={"limit": 3})).json()
        rest = (await client.get("/deletion-requests", params={"cursor": page["next"]})).json()
        assert [item["subject"] for item in rest["items"]] == [address(2)]
        assert rest["next"] is None


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


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
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
    ],
)
async def test_bad_input_is_a_problem_that_names_the_field(
    compliance: Running, path: str, body: object, named: str
) -> None:
    async with compliance.client("root", "admin") as client:
        answer = await post(client, path, body)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert named in answer.text
        assert "example.org" not in answer.text
    pool = compliance.service.pool
    assert pool is not None
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
        assert (await auditor.get("/acceptances")).status_code == 200


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
    )
    async with compliance.client("olga", "admin") as client:
        await shown(client, "/acceptances", 20)
        await shown(client, "/deletion-requests", 6)
        await shown(client, "/documents/terms", 2)  # or what follows is refused
        await post(client, "/acceptances", acceptance("ada"))
        await post(client, "/documents/terms/served", {"subject": "bo", "version": 1, "content_hash": text(1)})
        await post(client, "/documents", publication(3))
        name = str(uuid4())
        await post(client, "/deletion-requests", {"request_id": name, "subject": "ada", "law": "ccpa"})
        await post(client, f"/deletion-requests/{name}/verify", {"verified": True, "method": "document"})
        await post(client, f"/deletion-requests/{name}/extend", {"reason": "complexity"})
        await post(client, f"/deletion-requests/{name}/deny", {"reason": "legal-claims"})
        await post(client, "/audit-events", {"kind": "admin.x", "detail": {"a": 1}})
    await compliance.shown()
    pool = compliance.service.pool
    assert pool is not None
    log = EventLog(pool, EventTypes(EVENTS))
    for projection in projections.ALL:
        rebuilt = await rebuild(pool, log, Watermark(pool), projection, compare=True)
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.equal, rebuilt.comparison
        assert all(table.first_rows > 0 for table in rebuilt.comparison.tables), rebuilt.comparison

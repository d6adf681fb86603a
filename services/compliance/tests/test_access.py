"""A copy of one's data, from the request to the archive, in the running service, which is one of those that make it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from compliance import projections
from compliance.app import create
from compliance.domain import EVENTS
from contracts import compliance as messages
from eventlog import EventLog, EventTypes
from messaging import TopicSpec, ensure
from messaging.testing import delete_topics, eventually, read_all, send
from privacy import seal_for
from projections.testing import rebuilt_alike
from service.testing import Running, serving

sys.path.append(str(Path(__file__).parent))

from peer import ANOTHER, KEY, Peer, listening, private, public, text
from said import TOPIC, get, post

ADA = {"name": "Augusta Ada Byron-Lovelace", "email": "ada@analytical.example", "country": "GB"}
BOB = {"name": "Robert Zimmermann", "email": "bob@hibbing.example", "country": "US"}


def opening(key: X25519PrivateKey = KEY) -> dict[str, str]:
    return {"private_key": private(key)}


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with listening() as found:
        yield found


@asynccontextmanager
async def running(database: str, kafka: str, **settings: Any) -> AsyncIterator[Running]:
    await delete_topics(kafka)
    await ensure(kafka, [TopicSpec(TOPIC)])
    async with serving(create, database, kafka, **settings) as found:
        await found.shown()
        yield found


async def asked(client: httpx.AsyncClient, subject: str, key: X25519PrivateKey = KEY) -> str:
    """The path of a new request."""
    body = {"request_id": str(uuid4()), "subject": subject, "law": "gdpr", "public_key": public(key)}
    answer = await post(client, "/access-requests", body)
    assert answer.status_code == 200, answer.text
    await get(client, f"/access-requests/{body['request_id']}", answer)
    return f"/access-requests/{body['request_id']}"


async def started(officer: httpx.AsyncClient, path: str) -> None:
    for step, body in (("verify", {"verified": True, "method": "signed-in"}), ("start", None)):
        answer = await post(officer, f"{path}/{step}", body)
        assert answer.status_code == 200, answer.text


async def ready(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async def completed() -> bool:
        return bool((await client.get(path)).json()["state"] == "completed")

    await eventually(completed)
    status: dict[str, Any] = (await client.get(path)).json()
    return status


async def fetched(client: httpx.AsyncClient, path: str) -> ZipFile:
    answer = await post(client, f"{path}/archive", opening())
    assert answer.status_code == 200, answer.text
    return ZipFile(io.BytesIO(answer.content))


async def contact(client: httpx.AsyncClient, subject: str, given: dict[str, str]) -> None:
    answer = await client.put(f"/subjects/{subject}/contact", json=given, headers={"idempotency-key": str(uuid4())})
    assert answer.status_code == 200


async def test_a_subject_gets_all_that_is_held_of_it_by_every_service_and_nothing_of_others(
    database: str, kafka: str, peer: Peer
) -> None:
    peers = {"erasing_services": "compliance,test", "peers": f"test={peer.url}", "peers_token": "token"}
    async with (
        running(database, kafka, **peers) as compliance,
        compliance.client("olga", "officer") as officer,
        compliance.client("ada", "user") as ada,
        compliance.client("bob", "user") as bob,
    ):
        await contact(ada, "ada", ADA)
        await contact(bob, "bob", BOB)
        path = await asked(ada, "ada")
        await started(officer, path)

        async def only_the_test_is_missing() -> bool:
            return bool((await ada.get(path)).json()["waiting_for"] == ["test"])

        await eventually(only_the_test_is_missing)
        assert (await post(ada, f"{path}/archive", opening())).status_code == 404
        name = path.rpartition("/")[2]
        told = {"service": "test", "subject": "ada", "log": "x", "upto": 1, "events": []}
        box = seal_for(public(), name, "ada", json.dumps(told).encode())
        answer = messages.ExportGathered(
            request_id=name, subject="ada", service="test", content_hash=sha256(box).hexdigest(), size=len(box),
            events=0, gathered_at=datetime.now(UTC),
        )  # fmt: skip
        await send(kafka, (f"export/{name}/ada", answer), (f"export/{name}/ada", answer))
        recorded = "SELECT EXISTS (SELECT FROM events WHERE type = 'ExportAnswered' AND data::text LIKE '%test%')"
        await eventually(lambda: compliance.pool.fetchval(recorded))
        peer.box = box  # until now it handed out something else

        status = await ready(ada, path)
        assert status["fetched_at"] is None
        archive = await fetched(ada, path)
        index = json.loads(archive.read("index.json"))
        assert set(index["files"]) == {"compliance/ada.json", "test/ada.json", "index.html"}
        assert all(sha256(archive.read(file)).hexdigest() == known for file, known in index["files"].items())
        contents = b"".join(archive.read(file) for file in archive.namelist()).decode()
        assert all(value in contents for value in ADA.values())
        assert not any(value in contents for value in (BOB["name"], BOB["email"]))
        assert contents.count(ADA["email"]) == 2, "in JSON, and to read"

        assert (await post(bob, f"{path}/archive", opening())).status_code == 403
        wrong = await post(ada, f"{path}/archive", opening(ANOTHER))
        assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:annals:problem:wrong-key")
        counts = "SELECT type, count(*) FROM events WHERE stream = 'access/ada' GROUP BY type"
        assert dict(await compliance.pool.fetch(counts)) == {
            "AccessReceived": 1, "IdentityVerified": 1, "ExportOrdered": 1, "ExportAnswered": 2, "CopyCollected": 2,
            "ArchiveReady": 1, "ArchiveFetched": 1,
        }  # fmt: skip
        on_topics = [record.value for topic in ("compliance.orders", "compliance.answers", "compliance.events")
                     for record in await read_all(kafka, topic)]  # fmt: skip
        assert not any(ADA["email"].encode() in value or text(box).encode() in value for value in on_topics)
        await compliance.shown()
        log = EventLog(compliance.pool, EventTypes(EVENTS))
        await rebuilt_alike(log, [projections.AccessRequests()])


async def test_an_archive_ends_when_it_expires_or_its_subject_is_erased(database: str, kafka: str) -> None:
    async with (
        running(database, kafka, erasing_services="compliance") as compliance,
        compliance.client("olga", "officer") as officer,
    ):
        for subject, given in (("ada", ADA), ("bob", BOB)):
            await contact(officer, subject, given)
        paths = {subject: await asked(officer, subject) for subject in ("ada", "bob")}
        for path in paths.values():
            await started(officer, path)
            await ready(officer, path)
            await fetched(officer, path)
        boxes = b"".join(row["box"] for row in await compliance.pool.fetch("SELECT box FROM copies"))
        assert not any(value.encode() in boxes for value in (*ADA.values(), *BOB.values()) if len(value) > 2)

        past = datetime.now(UTC) - timedelta(seconds=1)
        await compliance.pool.execute("UPDATE copies SET expires_at = $1 WHERE subject = 'ada'", past)
        assert (await post(officer, f"{paths['ada']}/archive", opening())).status_code == 404
        left = "SELECT count(*) FROM copies WHERE subject = $1"
        await eventually(lambda: _is(compliance.pool.fetchval(left, "ada"), 0))

        body = {"request_id": str(uuid4()), "subject": "bob", "law": "gdpr"}
        await post(officer, "/deletion-requests", body)
        deletion = f"/deletion-requests/{body['request_id']}"
        await started(officer, deletion)
        await eventually(lambda: _is(compliance.pool.fetchval(left, "bob"), 0))
        assert (await post(officer, f"{paths['bob']}/archive", opening())).status_code == 404


async def _is(found: Any, expected: object) -> bool:
    return bool(await found == expected)


async def test_the_officer_sees_what_is_due_next_of_all_kinds(database: str, kafka: str) -> None:
    async with (
        running(database, kafka, erasing_services="compliance,test") as compliance,
        compliance.client("olga", "officer") as officer,
        compliance.client("ada", "user") as ada,
    ):
        first = await asked(ada, "ada")
        second = await asked(ada, "ada", ANOTHER)
        assert (await ada.get(second)).json()["joined_to"] == first.rpartition("/")[2]
        body = {"request_id": str(uuid4()), "subject": "ada", "law": "ccpa"}
        received = await post(ada, "/deletion-requests", body)
        await get(ada, "/deletion-requests", received, subject="ada")
        page = (await officer.get("/requests/queue", params={"limit": 1})).json()
        assert [(one["kind"], one["state"]) for one in page["items"]] == [("access", "received")]
        rest = (await officer.get("/requests/queue", params={"limit": 1, "cursor": page["next"]})).json()
        assert [(one["kind"], one["request_id"]) for one in rest["items"]] == [("deletion", body["request_id"])]
        assert (await ada.get("/requests/queue")).status_code == 403

        later = await post(officer, f"{first}/extend", {"reason": "complexity"})
        assert (await get(officer, first, later))["extension"] == "complexity"
        await post(officer, f"{first}/verify", {"verified": True, "method": "document"})
        missing = await post(officer, f"{first}/start")
        assert (missing.status_code, missing.json()["type"]) == (503, "urn:annals:problem:peers-unknown")
        denied = await post(officer, f"{first}/deny", {"reason": "manifestly-unfounded"})
        status = await get(officer, first, denied)
        assert (status["state"], status["denial_reason"]) == ("denied", "manifestly-unfounded")
        queue = (await officer.get("/requests/queue")).json()["items"]
        assert [one["kind"] for one in queue] == ["deletion"]
        actions = (await officer.get("/audit-events", params={"subject": "ada"})).json()["items"]
        assert {"AccessReceived", "AccessJoined", "RequestExtended", "AccessDenied"} <= {
            entry["action"] for entry in actions
        }

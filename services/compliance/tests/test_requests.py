"""Requests of data subjects: through an officer's hands, joined, on the chain and by API."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from compliance import handlers
from compliance.domain import EVENTS, ReceiveDeletion
from compliance.overdue import Overdue
from contracts.chain import Law
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, Executor, Metadata
from messaging.testing import eventually, read_all, send
from service import Queries
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from said import completed, denied, get, parked, post, requested, shown


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

        early = await post(officer, f"{path}/start")
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
        refused = await post(officer, f"{path}/deny", {"reason": "no-data"})
        request = await get(ada, path, refused)
        assert (request["state"], request["denial_reason"], request["overdue"]) == ("denied", "no-data", False)
        assert (await post(officer, f"{path}/start")).status_code == 409
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
    pool = compliance.pool
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

    assert compliance.service.queries is not None
    watch = Overdue(Queries("compliance", compliance.service.queries, pool), ["rewards"], silent_seconds=60)
    await watch.look(now)
    with pytest.raises(RuntimeError, match="1 overdue, the first since"):
        await watch.check().probe()
    assert REGISTRY.get_sample_value("annals_deletion_requests_overdue") == 1
    async with compliance.nobody() as operator:
        ready = await operator.get("/ready")
    assert ready.status_code == 200, "nothing gets better if compliance goes away"

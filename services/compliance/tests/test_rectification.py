"""A correction, from the request to the contact that everybody sees: decided by an officer, sealed all the way."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from compliance import projections
from compliance.domain import (
    EVENTS,
    CompleteRectification,
    Contradiction,
    DenialReason,
    DenyRectification,
    IdentityVerified,
    Method,
    ReceiveRectification,
    RectificationCompleted,
    RectificationDenied,
    RectificationReceived,
    VerifyIdentity,
    WrongState,
    rectifications,
)
from contracts.chain import Law
from eventlog import EventLog, EventTypes
from eventlog.testing import given
from privacy import Sealed
from projections.testing import rebuilt_alike
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from said import NOBODYS, get, post

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DUE, LATER = datetime(2026, 2, 28, 12, tzinfo=UTC), START + timedelta(days=1)
BOX, OTHER = Sealed("ada", "corrections", "a box"), Sealed("ada", "corrections", "another")
RECEIVED = RectificationReceived("r1", "ada", Law.GDPR, BOX, START, DUE, None)
VERIFIED = IdentityVerified("r1", "ada", Method.SIGNED_IN, None)
COMPLETED = RectificationCompleted("r1", "ada")

ADA = {"name": "Augusta Ada King", "email": "ada@lovelace.example", "country": "GB"}
MARRIED = "Augusta Ada King-Noel"


def receive(request_id: str, box: Sealed = BOX, law: Law = Law.GDPR, at: datetime = START) -> ReceiveRectification:
    return ReceiveRectification(request_id, "ada", law, box, at)


def test_a_request_is_received_once_and_under_one_law() -> None:
    given(rectifications).when(receive("r1")).then(RECEIVED)
    given(rectifications, RECEIVED).when(receive("r1", OTHER)).then_nothing()
    given(rectifications, RECEIVED).when(receive("r1", law=Law.CCPA)).then_refused(Contradiction)


def test_a_duplicate_brings_its_corrections_and_its_deadline_to_the_open_request() -> None:
    joined = RectificationReceived("r2", "ada", Law.CCPA, OTHER, LATER, DUE, "r1")
    given(rectifications, RECEIVED).when(receive("r2", OTHER, Law.CCPA, LATER)).then(joined)
    joint = rectifications.evolve(rectifications.evolve(rectifications.initial, RECEIVED), joined)
    assert joint["r1"].corrections == (BOX, OTHER)
    given(rectifications, RECEIVED, joined).when(VerifyIdentity("r2", Method.DOCUMENT, LATER)).then_refused(WrongState)


def test_only_a_verified_request_is_completed_and_only_an_open_one_denied() -> None:
    complete, deny = (
        CompleteRectification("r1", LATER),
        DenyRectification("r1", DenialReason.MANIFESTLY_UNFOUNDED, LATER),
    )
    denied = RectificationDenied("r1", "ada", DenialReason.MANIFESTLY_UNFOUNDED)
    given(rectifications, RECEIVED).when(complete).then_refused(WrongState)
    given(rectifications, RECEIVED, VERIFIED).when(complete).then(COMPLETED)
    given(rectifications, RECEIVED, VERIFIED, COMPLETED).when(complete).then_nothing()
    given(rectifications, RECEIVED, VERIFIED, COMPLETED).when(deny).then_refused(WrongState)
    given(rectifications, RECEIVED).when(deny).then(denied)
    given(rectifications, RECEIVED, denied).when(deny).then_nothing()


async def asked(client: httpx.AsyncClient, **corrections: str) -> tuple[str, httpx.Response]:
    """The path of a new request, and what was answered."""
    name = str(uuid4())
    body = {"request_id": name, "subject": "ada", "law": "gdpr", "corrections": corrections}
    return f"/rectification-requests/{name}", await post(client, "/rectification-requests", body)


async def contact(client: httpx.AsyncClient, after: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = await get(client, "/subjects/ada/contact", after)
    return {name: found[name] for name in ADA}


async def test_an_officer_decides_a_correction_and_everybody_sees_the_corrected_contact(compliance: Running) -> None:
    async with compliance.client("ada", "user") as ada, compliance.client("olga", "officer") as olga:
        first, answer = await asked(ada, name="Ada King")
        await post(olga, f"{first}/verify", {"verified": True, "method": "document"})
        early = await post(olga, f"{first}/complete")
        assert (early.status_code, early.json()["type"]) == (404, "urn:annals:problem:not-found"), "no contact yet"
        key = {"idempotency-key": str(uuid4())}
        before = await ada.put("/subjects/ada/contact", json=ADA | {"name": "Ada Byron"}, headers=key)
        assert (await contact(ada, before))["name"] == "Ada Byron"

        second, answer = await asked(ada, name=MARRIED)
        assert (await get(ada, second, answer))["joined_to"] == first.rpartition("/")[2]
        [queued] = (await olga.get("/requests/queue", params={"kind": "rectification"})).json()["items"]
        assert (queued["state"], queued["waiting_for"]) == ("identity-verified", [])
        wanted = await olga.get(f"{first}/corrections")
        assert wanted.json() == {"name": MARRIED, "email": None, "country": None}
        assert wanted.headers["cache-control"] == "no-store"

        done = await post(olga, f"{first}/complete")
        assert done.json()["events"] == 2, "the request and the contact, together"
        assert (await post(olga, f"{first}/complete")).json()["events"] == 0
        assert await contact(olga, done) == ADA | {"name": MARRIED}
        assert (await get(ada, first, done))["state"] == "completed"
        acts = (await olga.get("/admin-actions", params={"subject": "ada"})).json()["items"]
        assert {act["action"] for act in acts} >= {"IdentityVerified", "RectificationCompleted"}
        read = "SELECT count(*) FROM events WHERE type = 'PersonalDataRead' AND data::text LIKE '%/corrections%'"
        assert await compliance.pool.fetchval(read) == 1, "who has seen it is on record"
    stored = await compliance.pool.fetchval("SELECT string_agg(e::text, '') FROM events AS e")
    assert not any(value in stored for value in (MARRIED, ADA["email"]))
    await compliance.shown()
    await rebuilt_alike(EventLog(compliance.pool, EventTypes(EVENTS)), [projections.RectificationRequests()])


async def test_a_correction_is_denied_with_a_ground_and_seen_by_nobody_else(compliance: Running) -> None:
    async with (
        compliance.client("ada", "user") as ada,
        compliance.client("olga", "officer") as olga,
        compliance.client("eve", "user") as eve,
    ):
        for wrong in ({}, {"email": "nowhere"}, {"phone": "1"}):
            assert (await asked(ada, **wrong))[1].status_code == 422
        assert (await asked(eve, name="Eve"))[1].status_code == 403
        path, answer = await asked(ada, email="ada@byron.example")
        assert (await get(ada, path, answer))["state"] == "received"
        for hidden in (path, f"{path}/corrections"):
            assert (await eve.get(hidden)).status_code == 404
        assert (await eve.get(f"/rectification-requests/{NOBODYS}/corrections")).status_code == 404
        denied = await post(olga, f"{path}/deny", {"reason": "manifestly-unfounded"})
        status = await get(ada, path, denied)
        assert (status["state"], status["denial_reason"]) == ("denied", "manifestly-unfounded")
        assert (await post(olga, f"{path}/complete")).status_code in (404, 409)
        assert (await ada.get("/subjects/ada/contact")).status_code == 404, "nothing was corrected"

"""An erasure from the order to the certificate, in the running service, which is one of those that erase."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from compliance.app import create
from compliance.overdue import Overdue
from contracts import compliance as messages
from messaging import TopicSpec, ensure
from messaging.testing import delete_topics, eventually, read_all, send
from privacy import Personal
from service import Queries
from service.testing import Running, serving
from tron.keys import Key

sys.path.append(str(Path(__file__).parent))

from said import TOPIC, get, link, post

WALLET = Key(b"\x01" * 32)


@pytest.fixture
async def compliance(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service with one other that takes part in erasures: the test."""
    await delete_topics(kafka)
    await ensure(kafka, [TopicSpec(TOPIC)])
    async with serving(create, database, kafka, erasing_services="compliance,test") as running:
        await running.shown()
        yield running


async def verified(officer: httpx.AsyncClient, subject: str) -> str:
    """A request of the subject's whose identity is verified; returns its path."""
    body = {"request_id": str(uuid4()), "subject": subject, "law": "gdpr"}
    assert (await post(officer, "/deletion-requests", body)).status_code == 200
    path = f"/deletion-requests/{body['request_id']}"
    assert (await post(officer, f"{path}/verify", {"verified": True, "method": "document"})).status_code == 200
    return path


def answer(path: str, subject: str) -> tuple[str, messages.ErasureCarriedOut]:
    name, now = path.rpartition("/")[2], datetime.now(UTC)
    carried_out = messages.ErasureCarriedOut(
        request_id=name, subject=subject, service="test", rows={"contacts": 2}, kept={}, carried_out_at=now
    )
    return f"erasure/{name}/{subject}", carried_out


async def test_every_service_erases_and_answers_and_the_request_is_certified_once(
    compliance: Running, kafka: str
) -> None:
    personal = compliance.service.personal
    assert personal is not None
    async with compliance.client("olga", "officer") as officer, compliance.client("ada", "user") as ada:
        sealed = await personal.vault.seal([Personal(who, "email", SecretStr(f"{who}@x")) for who in ("ada", "bob")])
        contact = {"name": "Ada", "email": "ada@lovelace.example", "country": "GB"}
        given = await ada.put("/subjects/ada/contact", json=contact, headers={"idempotency-key": "contact"})
        assert given.status_code == 200
        await get(ada, "/subjects/ada/wallets", await link(ada, WALLET, "ada"))
        path = await verified(officer, "ada")
        started = await post(officer, f"{path}/start")
        request = await get(ada, path, started)
        assert (request["state"], set(request["waiting_for"]) | {"compliance"}) == (
            "in-progress", {"compliance", "test"},
        )  # fmt: skip
        assert (await ada.get(f"{path}/certificate")).status_code == 404

        async def only_the_test_is_missing() -> bool:
            return (await ada.get(path)).json()["waiting_for"] == ["test"]  # type: ignore[no-any-return]  # JSON

        await eventually(only_the_test_is_missing)
        assert compliance.service.queries is not None
        watch = Overdue(Queries("compliance", compliance.service.queries, compliance.pool), ["test"], silent_seconds=60)
        await watch.look(datetime.now(UTC) + timedelta(seconds=90))
        assert (REGISTRY.get_sample_value("annals_erasure_unanswered_seconds", {"service": "test"}) or 0) >= 60
        with pytest.raises(RuntimeError, match="test has not answered what was ordered at"):
            await watch.check().probe()
        ada_opened, bob_opened = await personal.vault.open(sealed)
        assert (ada_opened, bob_opened) == (None, SecretStr("bob@x"))
        await send(kafka, answer(path, "ada"), answer(path, "ada"))
        await send(kafka, answer(path, WALLET.address))

        async def completed() -> bool:
            return (await ada.get(path)).json()["state"] == "completed"  # type: ignore[no-any-return]  # JSON

        await eventually(completed)
        request = (await ada.get(path)).json()
        certificate = await ada.get(f"{path}/certificate")
        assert sha256(certificate.content).hexdigest() == request["certificate_hash"]
        ours, theirs = [one for one in certificate.json()["erased"] if one["subject"] == "ada"]
        assert (ours["service"], ours["rows"]) == ("compliance", {"contacts": 1, "kyc_cases": 0})
        assert (theirs["service"], theirs["rows"]) == ("test", {"contacts": 2})
        row = await compliance.pool.fetchrow("SELECT type, stream FROM events WHERE position = $1", ours["position"])
        assert row is not None
        assert tuple(row) == ("ErasureCarriedOut", f"erasure/{request['request_id']}/ada")
        async with compliance.client("bob", "user") as bob:
            assert (await bob.get(f"{path}/certificate")).status_code == 404
        ended = "SELECT count(*) FROM events WHERE type = 'DeletionCompleted'"
        assert await compliance.pool.fetchval(ended) == 1
    orders = [dict(record.headers)["ce_type"] for record in await read_all(kafka, "compliance.orders")]
    assert orders == [b"compliance.orders.ErasureOrdered.v1"] * 2, "of the subject, and of its wallet"


async def test_a_legal_hold_forbids_the_erasure_until_it_is_lifted(compliance: Running) -> None:
    async with compliance.client("olga", "officer") as officer:
        path = await verified(officer, "ada")
        held = await post(officer, "/legal-holds", {"subject": "ada", "reason": "litigation"})
        listed: dict[str, Any] = await get(officer, "/legal-holds", held)
        assert [(hold["subject"], hold["reason"], hold["placed_by"]) for hold in listed["items"]] == [
            ("ada", "litigation", "olga")
        ]
        refused = await post(officer, f"{path}/start")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:annals:problem:legal-hold")
        assert "ada for litigation" in refused.json()["detail"]
        unnamed = await post(officer, "/legal-holds", {"subject": "ada", "reason": "other"})
        assert (unnamed.status_code, "reference of its case" in unnamed.text) == (422, True)
        told = await post(officer, "/legal-holds", {"subject": "ada", "reason": "tax", "reference": "Mr Ada Lovelace"})
        assert told.status_code == 422, "no text that tells of somebody"
        case = {"subject": "ada", "reason": "other", "reference": "17/26"}
        placed = await post(officer, "/legal-holds", case)
        listed = await get(officer, "/legal-holds", placed)
        assert [(hold["reason"], hold["reference"]) for hold in listed["items"]] == [
            ("litigation", None),
            ("other", "17/26"),
        ]
        first = await get(officer, "/legal-holds", placed, limit=1)
        second = await get(officer, "/legal-holds", placed, limit=1, cursor=first["next"])
        assert [*first["items"], *second["items"]] == listed["items"]
        assert (await post(officer, "/legal-holds/ada/lift")).status_code == 200
        refused = await post(officer, f"{path}/start")
        assert (refused.status_code, "ada for other (17/26)" in refused.text) == (409, True), (
            "the other case is not over"
        )
        lifted = await post(officer, "/legal-holds/ada/lift", {"reference": "17/26"})
        assert (await get(officer, "/legal-holds", lifted))["items"] == []
        assert (await post(officer, f"{path}/start")).status_code == 200

"""How people are reached: sealed everywhere, opened for themselves and for officers, gone with the person."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from compliance import projections
from contracts import chain
from messaging import TopicSpec, ensure, retry
from messaging.testing import eventually, headers, send_raw
from projections.testing import rebuilt_alike
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from said import TOPIC, erase, get, log_of

ADA = {"name": "Ada Lovelace", "email": "ada@lovelace.example", "country": "GB"}
BOB = {"name": "Bob Example", "email": "bob@example.org", "country": "DE"}


async def put(client: httpx.AsyncClient, subject: str, body: dict[str, Any]) -> httpx.Response:
    return await client.put(f"/subjects/{subject}/contact", json=body, headers={"idempotency-key": str(uuid4())})


async def test_a_contact_is_given_corrected_and_seen_by_its_subject_and_by_officers(compliance: Running) -> None:
    async with compliance.client("ada", "user") as ada, compliance.client("olga", "officer") as olga:
        assert (await ada.get("/subjects/ada/contact")).status_code == 404
        assert (await put(ada, "ada", BOB)).json()["events"] == 1
        given = await put(ada, "ada", ADA)
        assert given.json()["events"] == 1
        assert (await put(ada, "ada", ADA)).json()["events"] == 0, "nothing new"
        mine = await get(ada, "/subjects/ada/contact", given)
        assert {name: mine[name] for name in ADA} == ADA
        seen = await olga.get("/subjects/ada/contact")
        assert seen.json() == mine
        assert seen.headers["cache-control"] == "no-store"
        read = "SELECT count(*) FROM events WHERE type = 'PersonalDataRead' AND metadata->>'actor' = 'olga'"
        assert await compliance.pool.fetchval(read) == 1, "who has seen it is on record"


async def test_nobody_else_sees_a_contact(compliance: Running) -> None:
    async with compliance.client("ada", "user") as ada, compliance.nobody() as nobody:
        await put(ada, "ada", ADA)
        assert (await nobody.get("/subjects/ada/contact")).status_code == 401
    for role in ("user", "service", "auditor"):
        async with compliance.client("eve", role) as eve:
            assert (await eve.get("/subjects/ada/contact")).status_code == 403
            assert (await put(eve, "ada", BOB)).status_code == (200 if role == "service" else 403)


async def test_what_is_no_contact_is_refused_and_told_to_no_log(
    compliance: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    async with compliance.client("ada", "user") as ada:
        for wrong in ({"email": "ada"}, {"email": "a b@x.org"}, {"name": ""}, {"country": "GBR"}, {"phone": "1"}):
            assert (await put(ada, "ada", {**ADA, **wrong})).status_code == 422
    assert "Lovelace" not in "".join(capfd.readouterr())
    assert await compliance.pool.fetchval("SELECT count(*) FROM events") == 0


async def test_only_boxes_are_stored_and_nothing_opens_them_once_the_subject_is_erased(compliance: Running) -> None:
    async with compliance.client("shop", "service") as shop, compliance.client("olga", "officer") as olga:
        await put(shop, "ada", ADA)
        given = await put(shop, "bob", BOB)
        await get(olga, "/subjects/bob/contact", given)
        stored = await compliance.pool.fetchval(
            "SELECT string_agg(e::text, '') || (SELECT string_agg(c::text, '') FROM contacts_v1.contacts AS c) "
            "FROM events AS e"
        )
        assert not any(value in stored for value in (ADA["name"], ADA["email"], BOB["name"]))

        await erase(compliance, "ada")
        assert (await olga.get("/subjects/ada/contact")).status_code == 404
        refused = await put(shop, "ada", ADA)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:annals:problem:subject-erased")
        assert (await olga.get("/subjects/bob/contact")).json()["email"] == BOB["email"]
        boxes = await compliance.pool.fetch("SELECT subject, box IS NULL AS gone FROM contacts_v1.contacts")
        assert {row["subject"]: row["gone"] for row in boxes} == {"ada": True, "bob": False}
    await rebuilt_alike(log_of(compliance), [projections.Contacts()])


async def test_a_dead_letter_about_a_person_is_sealed_and_gone_with_the_person(compliance: Running, kafka: str) -> None:
    await ensure(kafka, [TopicSpec(TOPIC)])
    letter, named = b'{"document_type": "Ada Lovelace"}', headers(ce_type=chain.DocumentAccepted.type.encode())
    for key in (b"ada", b"nobody's"):
        await send_raw(kafka, TOPIC, key, letter, named)

    async def are_parked(number: int) -> bool:  # beside the answer to an order that nobody gave
        malformed = "SELECT count(*) FROM parked WHERE reason = 'malformed'"
        return await compliance.pool.fetchval(malformed) == number  # type: ignore[no-any-return]  # asyncpg is untyped

    await eventually(lambda: are_parked(2))
    stored = await compliance.pool.fetch("SELECT value, error FROM parked")
    assert not any(b"Lovelace" in row["value"] or "Lovelace" in row["error"] for row in stored)
    await erase(compliance, "ada")
    await retry(compliance.pool)
    await eventually(lambda: are_parked(1))
    await eventually(lambda: compliance.pool.fetchval("SELECT attempts = 2 FROM parked WHERE reason = 'malformed'"))


async def test_an_officer_finds_a_subject_by_its_address_until_it_has_another_or_is_erased(compliance: Running) -> None:
    async with compliance.client("shop", "service") as shop, compliance.client("olga", "officer") as olga:

        async def found(email: str) -> list[str]:
            answer = await olga.get("/subjects", headers={"annals-email": email})
            assert answer.status_code == 200, answer.text
            return list(answer.json())

        await put(shop, "ada", ADA)
        await put(shop, "bob", BOB)
        await eventually(lambda: _is(found(ADA["email"].upper()), ["ada"]))
        await put(shop, "ada", {**ADA, "email": "countess@lovelace.example"})
        await eventually(lambda: _is(found("countess@lovelace.example"), ["ada"]))
        assert await found(ADA["email"]) == []
        read = "SELECT count(*) FROM events WHERE type = 'PersonalDataRead' AND data->>'subject' = 'ada'"
        assert await compliance.pool.fetchval(read) > 0, "who has found whom is on record"
        assert (await shop.get("/subjects", headers={"annals-email": BOB["email"]})).status_code == 403

        await erase(compliance, "ada")
        assert await found("countess@lovelace.example") == []
        assert await found(BOB["email"]) == ["bob"]
        assert [row["subject"] for row in await compliance.pool.fetch("SELECT subject FROM tokens")] == ["bob"]


async def _is(found: Awaitable[list[str]], expected: list[str]) -> bool:
    return await found == expected

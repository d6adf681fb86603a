"""Documents as they are published, served and accepted, on the chain and by API."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from contracts.testing import address, source
from messaging.testing import eventually, read_all, send
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from said import acceptance, accepted, anchored, get, parked, post, publication, published, requested, shown, text


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

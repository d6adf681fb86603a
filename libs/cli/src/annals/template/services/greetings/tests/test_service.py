"""The service as it runs, on a real PostgreSQL and a real Kafka."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx

from contracts.compliance import WalletLinked
from contracts.greetings import Welcomed
from contracts.testing import address
from eventlog import EventLog, EventTypes
from eventlog.testing import eventually
from greetings.domain import EVENTS
from greetings.projections import ALL
from messaging.testing import read_all, send
from projections.testing import rebuilt_alike
from service.testing import Running

LINKED = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def post(client: httpx.AsyncClient, subject: str, key: str = "k1") -> httpx.Response:
    return await client.post(f"/subjects/{subject}/welcome", headers={"idempotency-key": key})


async def test_a_welcome_shows_right_after_the_post_and_takes_effect_once(greetings: Running) -> None:
    async with greetings.client("ada", "user") as ada:
        first = (await post(ada, "ada")).json()
        assert first["events"] == 1
        answer = await ada.get("/subjects/ada/welcome", headers={"annals-after": first["token"]})
        assert answer.json()["subject"] == "ada"
        assert (await post(ada, "ada", key="k2")).json()["events"] == 0


async def test_a_user_acts_and_reads_for_itself_only(greetings: Running) -> None:
    async with greetings.client("eve", "user") as eve:
        assert (await post(eve, "ada")).status_code == 403
        assert (await eve.get("/subjects/ada/welcome")).status_code == 403
        assert (await eve.get("/subjects/eve/welcome")).status_code == 404


async def test_who_proves_a_wallet_is_welcomed_and_the_others_hear_of_it(greetings: Running, kafka: str) -> None:
    linked = WalletLinked(address=address(1), subject="ada", linked_at=LINKED)
    await send(kafka, (f"wallet/{address(1)}", linked))

    async def told() -> list[Welcomed]:
        records = await read_all(kafka, "greetings.events")
        return [Welcomed.model_validate(json.loads(record.value)) for record in records]

    await eventually(told)
    assert await told() == [Welcomed(subject="ada", welcomed_at=LINKED)]
    await greetings.shown()
    await rebuilt_alike(EventLog(greetings.pool, EventTypes(EVENTS)), ALL)

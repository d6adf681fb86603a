"""The trail of all services: acts as their relays tell them, beside those in our own log."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from contracts.testing import hash_of
from messaging.testing import send
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from said import acceptance, acted, get, post, publication, published, shown, text


async def test_acts_in_other_services_are_in_the_trail_once_with_before_and_after(
    compliance: Running, kafka: str
) -> None:
    await send(kafka, published(1), acted(1), acted(2, "root", "admin"), acted(2, "root", "admin"), acted(3))
    async with compliance.client("aud", "auditor") as auditor:
        items = await shown(auditor, "/audit-events", 3, service="rewards")
        assert [(e["actor"], e["version"], e["digest"], e["previous"]) for e in items] == [
            ("bob", 3, hash_of("leaf", 3), hash_of("leaf", 2)),
            ("root", 2, hash_of("leaf", 2), hash_of("leaf", 1)),
            ("bob", 1, hash_of("leaf", 1), None),
        ]
        (item,) = await shown(auditor, "/audit-events", 1, actor="root", subject="ada", action="StandingReported")
        assert (item["stream"], item["causation"]) == ("standing/ada", "root/k-2")
        assert datetime.fromisoformat(item["at"]) == datetime(2026, 3, 2, tzinfo=UTC)
        (office,) = await shown(auditor, "/admin-actions", 1, service="rewards")
        assert office["actor"] == "root", "bob acted in no office"


async def test_what_a_stream_was_before_an_act_of_our_own_is_the_entry_before(compliance: Running) -> None:
    async with compliance.client("olga", "admin") as olga:
        await post(olga, "/documents", publication(1))
        await post(olga, "/documents", publication(2))
        done = await post(olga, "/acceptances", acceptance("ada", 2, text(2)))
        last, second, first = (await get(olga, "/audit-events", done, service="compliance"))["items"]
    assert (first["stream"], first["version"], first["previous"]) == ("document/terms", 1, None)
    assert (second["version"], second["previous"]) == (2, first["digest"])
    assert (last["previous"], last["service"]) == (None, "compliance")


async def test_entries_are_shown_as_long_as_their_action_says_and_those_on_hold_for_longer(
    compliance: Running, kafka: str
) -> None:
    await send(kafka, published(1), acted(1), acted(2, "root", "admin"))  # of March, done to ada
    async with compliance.client("olga", "officer") as olga:
        await shown(olga, "/audit-events", 2, service="rewards")

        async def policy(days: int | None) -> list[str]:
            done = await post(olga, "/retention-policies", {"action": "StandingReported", "days": days})
            (found,) = (await olga.get("/retention-policies", headers={"annals-after": done.json()["token"]})).json()
            assert (found["days"], found["set_by"]) == (days, "olga")
            rest = await get(olga, "/audit-events", done, service="rewards")
            return [entry["actor"] for entry in rest["items"]]

        assert await policy(1) == []
        assert await policy(36_500) == ["root", "bob"]
        assert await policy(1) == []
        await post(olga, "/legal-holds", {"subject": "ada", "reason": "litigation"})
        assert len(await shown(olga, "/audit-events", 2, service="rewards")) == 2
        assert await policy(None) == ["root", "bob"]

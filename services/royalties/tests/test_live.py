"""Who follows the balance of an account is told it at once, and whenever it has changed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from royalties_platform import agreed, post, sale

from service.testing import Running, events_of

EARNINGS = "/balances/earnings:ada/stream"


def amounts(event: tuple[int, str, dict[str, Any]]) -> dict[str, str]:
    position, name, data = event
    assert (position >= 0, name, data["account"]) == (True, "balance", "earnings:ada")
    return {one["asset"]: one["balance"] for one in data["balances"]}


async def test_a_balance_is_told_at_once_and_whenever_it_has_changed(royalties: Running) -> None:
    async with royalties.client("shop", "service") as shop, royalties.client("ada", "artist") as ada:
        async with aclosing(events_of(ada, EARNINGS)) as events:
            first = await anext(events)
            assert amounts(first) == {}, "nothing yet, and no account"
            await agreed(shop, "song", ada=500_000, eve=500_000)
            await post(shop, "/sales", {"sales": [sale("s-1", 100)]})
            second = await anext(events)
            assert amounts(second) == {"USD": "50"}
            assert second[0] > first[0]
            waiting = asyncio.ensure_future(anext(events))
            await agreed(shop, "other", bob=1_000_000)  # moves nothing of Ada's
            await post(shop, "/sales", {"sales": [sale("s-2", 8, agreement="other")]})
            await post(shop, "/sales", {"sales": [sale("s-3", 20)]})
            assert amounts(await waiting) == {"USD": "60"}
        async with aclosing(events_of(ada, EARNINGS, second[0])) as events:
            assert amounts(await anext(events)) == {"USD": "60"}, "who comes back has it at once"


async def test_a_balance_is_followed_by_whoever_may_see_it(royalties: Running) -> None:
    async def status(subject: str, role: str, path: str = EARNINGS, **headers: str) -> int:
        async with royalties.client(subject, role) as client, client.stream("GET", path, headers=headers) as answer:
            return answer.status_code

    assert await status("ada", "artist") == 200
    assert await status("bob", "user") == 403
    assert await status("aud", "auditor") == 200, "for the purpose that this client names"
    reads = "SELECT data->>'subject' FROM events WHERE type = 'PersonalDataRead' AND data->>'route' LIKE '%stream'"
    assert [row[0] for row in await royalties.pool.fetch(reads)] == ["ada"]
    assert await status("bob", "user", "/balances/carry:7/1/stream") == 200, "nobody's"
    assert await status("bob", "user", "/balances/nonsense:7/stream") == 404

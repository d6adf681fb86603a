"""What happens off the chain, for tests: commands by HTTP and by the topic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from contracts.sales import RecordRefund, RecordSale

START = datetime(2026, 1, 1, tzinfo=UTC)
COIN = "coin:ada"


async def post(client: httpx.AsyncClient, path: str, body: Any, status: int = 200, **headers: str) -> Any:
    """The answer; `body` is what is asked, its Idempotency-Key a new one."""
    answer = await client.post(path, json=body, headers={"idempotency-key": str(uuid4()), **headers})
    assert answer.status_code == status, answer.text
    return answer.json()


async def agreed(client: httpx.AsyncClient, agreement: str = "song", **shares: int) -> None:
    """An agreement from 2026 on, between ada and bob in halves unless told otherwise."""
    split = shares or {"ada": 500_000, "bob": 500_000}
    await post(client, "/agreements", {"agreement": agreement, "controller": "ada"})
    await post(client, f"/agreements/{agreement}/versions", version(**split))


def version(start: datetime = START, breakpoints: list[Any] | None = None, **shares: int) -> dict[str, Any]:
    return {
        "by": "ada",
        "effective_from": start.isoformat(),
        "shares": [{"recipient": who, "ppm": ppm} for who, ppm in shares.items()],
        "breakpoints": breakpoints or [],
    }


def sale(sale_id: str, amount: int = 100, **more: Any) -> dict[str, Any]:
    """A purchase in USD on 2 January 2026."""
    facts = {"agreement": "song", "kind": "purchase", "asset": "USD", "source": "stripe"}
    at = (START + timedelta(days=1)).isoformat()
    return {"sale_id": sale_id, "amount": str(amount), "occurred_at": at, **facts, **more}


def refund(refund_id: str, sale_id: str, amount: int = 100) -> dict[str, Any]:
    at = (START + timedelta(days=2)).isoformat()
    return {
        "refund_id": refund_id, "sale_id": sale_id, "amount": str(amount), "reason": "returned", "occurred_at": at
    }  # fmt: skip


def told_sale(sale_id: str, caller: str = "shop", **more: Any) -> tuple[str, RecordSale]:
    """A message of the topic, with its key."""
    message = RecordSale.model_validate({"caller": caller, **sale(sale_id, **more)})
    return message.agreement, message


def told_refund(refund_id: str, sale_id: str, amount: int, caller: str = "shop") -> tuple[str, RecordRefund]:
    return "song", RecordRefund.model_validate({"caller": caller, **refund(refund_id, sale_id, amount)})


async def busy_platform(client: httpx.AsyncClient) -> None:
    """A bit of everything: terms, a coin, two agreements, sales of all kinds, a refund, a correction, a new version."""
    terms = {"effective_from": START.isoformat(), "fees_bps": {"purchase": 1_000, "tip": 0, "secondary": 500}}
    await post(client, "/terms", terms)
    await post(client, "/assets", {"asset": COIN, "scale": 8})
    await agreed(client, "song", ada=333_333, bob=333_333, eve=333_334)
    await agreed(client, "album")
    sales = [sale(f"s-{n}", 100 + n, track_id="7", buyer=f"fan-{n % 3}") for n in range(20)]
    sales += [sale(f"t-{n}", 7, kind="tip", agreement="album", asset=COIN) for n in range(5)]
    sales.append(sale("r-1", 1_000, kind="secondary", seller="fan-1", royalty="100"))
    await post(client, "/sales", {"sales": sales})
    await post(client, "/refunds", {"refunds": [refund("back-1", "s-3", 50), refund("back-2", "s-4", 104)]})
    await post(client, "/reversals", {"reversal_id": "x-1", "of": "t-1", "caller": "tester", "reason": "entered twice"})
    await post(client, "/agreements/song/offers", {"by": "ada", "to": "bob"})

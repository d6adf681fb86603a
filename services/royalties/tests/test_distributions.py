"""Distributions over HTTP, with a chain that the tests play: who approves, who is paid, who waits and why."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

import httpx
import royalties_platform as platform
from distributions_stage import (
    PEOPLE,
    asked,
    done,
    failed,
    funded,
    given,
    minted,
    post,
    refused,
    solidified,
    tell,
    wish,
)
from royalties_chain import Chain

from contracts import operations
from contracts.testing import address, hash_of
from eventlog import EventLog, EventTypes
from messaging.testing import eventually, read_all
from projections.testing import rebuilt_alike
from royalties import domain, projections
from service.testing import Running, events_of

ADA, BOB, CLEO = PEOPLE[:3]


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def has_come_to(client: httpx.AsyncClient, run: str, **wanted: Any) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        answer = await client.get(f"/distributions/{run}")
        return answer.status_code == 200 and wanted.items() <= answer.json().items()

    return check


def was_asked(kafka: str, number: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len(await asked(kafka)) == number

    return check


async def approved(royalties: Running, run: str, *officers: str) -> None:
    for officer in officers:
        async with royalties.client(officer, "officer") as client:
            digest = (await get(client, f"/distributions/{run}"))["digest"]
            await post(client, f"/distributions/{run}/approvals", digest=digest)


async def test_what_holders_at_a_block_get_is_previewed_approved_by_two_paid_and_reconciled(
    royalties: Running, kafka: str
) -> None:
    held = [(1, ADA), (2, ADA), (3, ADA), (4, BOB), (5, CLEO)]
    messages = [message for token, who in held for message in minted(token, who, block=3)]
    await tell(kafka, *messages, given(1, ADA, CLEO, block=11))  # too late for a share
    await solidified(kafka, 9)
    async with royalties.client("olga", "officer", "user") as olga:
        await funded(olga, 1_003)
        await funded(olga, 1_003)  # again: nothing
        await royalties.shown()
        (free,) = (await get(olga, "/pools/platform"))["free"]
        assert (free["free"], free["asset"], free["scale"]) == ("1003", "TRX", 6)
        named = {"reference": "Ada Lovelace", "sha256": hash_of("form")}
        assert await refused(olga, f"/parties/{ADA}/tax-form", **named) == (422, "invalid-request"), "no name"
        await post(olga, f"/parties/{ADA}/tax-form", reference="drawer/3", sha256=hash_of("form"))
        await post(olga, f"/parties/{BOB}/tax-form", reference="drawer/3", sha256=hash_of("form"))
        for told in (
            {"reason": "Bob is on a list"},
            {"reason": "sanctions", "reference": "Bob Ross"},
            {"reason": "other"},
        ):
            assert (await refused(olga, f"/holds/{BOB}", **told))[0] == 422, "a reason of the list, and no name"
        await post(olga, f"/holds/{BOB}", reason="sanctions", reference="list-3/17")
        await royalties.shown()
        assert [(one["party"], one["held_for"]) for one in (await get(olga, "/holds"))["items"]] == [
            (BOB, "sanctions (list-3/17)")
        ]

        opened = await post(olga, "/distributions", **wish(1_003, tax_form_needed=True))
        run = opened["distribution_id"]
        again = await post(olga, "/distributions", **wish(1_003, tax_form_needed=True))
        assert (again["distribution_id"], again["events"]) == (run, 0)
        await royalties.shown()
        assert (await get(olga, f"/distributions/{run}"))["status"] == "opened", "the chain has not come to the block"
        await solidified(kafka, 10)
        await eventually(has_come_to(olga, run, status="previewed", holders=3, shared="1001", dust="2"))
        shares = {one["party"]: one for one in (await get(olga, f"/distributions/{run}/shares"))["items"]}
        assert {party: (share["amount"], share["reason"]) for party, share in shares.items()} == {
            ADA: ("601", None), BOB: ("200", "held"), CLEO: ("200", "tax-form-missing"),
        }  # fmt: skip
        text = (await olga.get(f"/distributions/{run}/shares", headers={"accept": "text/csv"})).text
        assert {row["party"]: row["amount"] for row in csv.DictReader(StringIO(text))} == {
            party: share["amount"] for party, share in shares.items()
        }

        digest = (await get(olga, f"/distributions/{run}"))["digest"]
        approvals = f"/distributions/{run}/approvals"
        assert await refused(olga, approvals, digest=digest) == (409, "own-distribution")
        async with royalties.client("uwe", "user") as user:
            assert await refused(user, approvals, digest=digest) == (403, "forbidden")
        await approved(royalties, run, "piet", "rosa")
        async with royalties.client("sven", "admin") as sven:
            assert await refused(sven, approvals, digest=digest) == (409, "approved-already")
            assert await refused(sven, f"/distributions/{run}/cancel", reason="?") == (409, "approved-already")

        await eventually(was_asked(kafka, 1))
        (payment,) = await asked(kafka)
        assert payment == operations.PayTrx(
            operation_id=payment.operation_id, sender="royalties", to=ADA, amount_sun=601
        )
        await tell(kafka, failed(payment))
        await eventually(has_come_to(olga, run, failed="601"))
        (share,) = (await get(olga, f"/distributions/{run}/shares", status="failed"))["items"]
        assert share["reason"] == "execution: it reverts"
        await royalties.shown()
        (returned,) = await get(olga, f"/balances/returned:{ADA}")
        assert returned["balance"] == "601"
        retry = f"/payments/{share['payment_id']}/retry"
        await post(olga, retry)
        assert await refused(olga, retry, "again") == (409, "payment-under-way")
        await eventually(was_asked(kafka, 2))
        (second,) = [one for one in await asked(kafka) if one.operation_id != payment.operation_id]
        await tell(kafka, done(second), done(second))
        await eventually(has_come_to(olga, run, status="reconciled", paid="601", carried="400", failed="0"))
        await royalties.shown()
        (free,) = (await get(olga, "/pools/platform"))["free"]
        assert free["free"] == "2", "what rounding down has left"
        assert (await get(olga, "/trial-balance"))["balanced"]
        names = [name async for _, name, _ in events_of(olga, f"/distributions/{run}/events")]
        assert names == ["opened", "previewed", "approved", "approved", "paying", "reconciled"]
        (mine,) = (await get(olga, f"/parties/{ADA}/distributions"))["items"]
        assert (mine["status"], mine["attempt"], mine["tx_id"]) == ("paid", 2, hash_of(second.operation_id))

        # The next quarter brings along what had to wait.
        await funded(olga, 500, "fund-2")
        await post(olga, f"/holds/{BOB}/release", "r", reason="mistaken")
        later = await post(olga, "/distributions", "next", **wish(500, period="2026-Q4"))
        await eventually(has_come_to(olga, later["distribution_id"], status="previewed"))
        await royalties.shown()
        found = (await get(olga, f"/distributions/{later['distribution_id']}/shares"))["items"]
        assert {one["party"]: (one["amount"], one["brought"]) for one in found} == {
            ADA: ("300", "0"), BOB: ("100", "200"), CLEO: ("100", "200"),
        }  # fmt: skip
        await approved(royalties, later["distribution_id"], "piet", "rosa")
        await eventually(was_asked(kafka, 5))
        old = {payment.operation_id, second.operation_id}
        await tell(kafka, *(done(one) for one in await asked(kafka) if one.operation_id not in old))
        await eventually(has_come_to(olga, later["distribution_id"], status="reconciled", paid="900", brought="400"))
        await royalties.shown()
        (carried,) = await get(olga, f"/balances/carried:{CLEO}")
        assert carried["balance"] == "0"

        lines = (await get(olga, f"/parties/{ADA}/statement"))["lines"]
        kinds = ["distribution", "payment-failed", "payment-failed", "payment-repeated", "payment-repeated", "payment"]
        assert [line["kind"] for line in lines] == [*kinds, "distribution", "payment"]
        assert lines[-1]["balance"] == "0"

        async def all_told() -> bool:
            told = Counter(dict(one.headers)["ce_type"].decode() for one in await read_all(kafka, "royalties.events"))
            steps = {"Opened": 2, "Paid": 4, "Reconciled": 2}
            return told == {f"royalties.events.Distribution{step}.v1": count for step, count in steps.items()}

        await eventually(all_told)

        # All of it comes from the log alone.
        assert await royalties.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
        log = EventLog(royalties.pool, EventTypes(domain.EVENTS))
        await rebuilt_alike(log, (projections.Distributions(), projections.Payees(), projections.RevenuePools()))


async def test_a_pool_shows_revenue_by_month_and_beside_it_what_does_not_count(
    ledger: Any, olga: dict[str, str]
) -> None:
    chain = Chain()
    track, other = chain.release(ADA, royalty_bps=1_000), chain.release(BOB)
    token = chain.buy_edition(track, CLEO, 1_000)
    chain.resell(token, BOB, 500)
    chain.pay(track, 70)
    chain.buy_edition(other, CLEO, 300)
    await ledger.receive(chain.messages)
    await platform.agreed(ledger.client)
    sales = [platform.sale("s-1", 900, track_id=str(track)), platform.sale("s-2", 80, kind="tip")]
    await platform.post(ledger.client, "/sales", {"sales": sales})
    await platform.post(ledger.client, "/refunds", {"refunds": [platform.refund("r-1", "s-1", 100)]})
    value = {"month": "2026-01", "asset": "USD", "market_cap": "12345"}
    await platform.post(ledger.client, f"/pools/{ADA}/coin-value", value, **olga)
    await ledger.shown()

    async def months(pool: str) -> dict[str, dict[str, Any]]:
        answer = await ledger.client.get(f"/pools/{pool}", headers=olga)
        assert answer.status_code == 200, answer.text
        return {month["asset"]: month for month in answer.json()["months"]}

    mine = await months(ADA)
    trx, usd = mine["TRX"], mine["USD"]
    assert (trx["month"], trx["track_sales"], trx["tips"], trx["revenue"]) == ("2026-01", "1000", "70", "1070")
    assert trx["resale_royalties"] == "50", "shown, and not counted"
    assert (usd["track_sales"], usd["tips"], usd["revenue"], usd["coin_value"]) == ("800", "0", "800", "1234")
    everything = await months("platform")
    assert (everything["TRX"]["revenue"], everything["USD"]["revenue"]) == ("1370", "880")


async def test_what_cannot_be_shared_is_refused_with_the_reason(
    ledger: Any, olga: dict[str, str], user: dict[str, str]
) -> None:

    async def reason(path: str, body: dict[str, Any], status: int, **headers: str) -> str:
        problem = await platform.post(ledger.client, path, body, status, **(headers or olga))
        return str(problem["type"]).removeprefix("urn:annals:problem:")

    coin = address(500)
    revenue = {"asset": "TRX", "amount": "100", "origin": "treasury", "reason": "q3"}
    assert await reason("/pools/platform/revenue", revenue | {"amount": "0"}, 422) == "amount-zero"
    assert await reason("/pools/platform/revenue", revenue | {"asset": coin}, 422) == "asset-unknown"
    assert await reason("/pools/platform/revenue", revenue, 403, **user) == "forbidden"
    assert await reason("/pools/somebody/revenue", revenue, 422) == "invalid-request"
    await platform.post(ledger.client, "/assets", {"asset": coin, "scale": 4})
    for asset in ("TRX", "DCMX", coin):
        await platform.post(ledger.client, "/pools/platform/revenue", revenue | {"asset": asset}, **olga)
    assert await reason("/distributions", wish(101), 409) == "pool-too-small"
    assert await reason("/distributions", wish(10, asset="DCMX"), 409) == "asset-not-payable"
    holding = {"kind": "dcmx-token", "track_id": "1"}
    assert await reason("/distributions", wish(10, holding=holding), 422) == "no-track-of-coins"
    run = (await platform.post(ledger.client, "/distributions", wish(60, asset=coin), **olga))["distribution_id"]
    assert await reason("/distributions", wish(10, asset=coin), 409) == "period-distributed"
    assert await reason(f"/distributions/{run}/approvals", {"digest": hash_of()}, 409) == "not-previewed"
    assert await reason(f"/distributions/{hash_of()[:32]}/cancel", {"reason": "?"}, 404) == "not-found"
    assert await reason(f"/payments/{hash_of()[:30]}/retry", {}, 404) == "not-found"
    await platform.post(ledger.client, f"/distributions/{run}/cancel", {"reason": "wrong block"}, **olga)
    assert (await platform.post(ledger.client, f"/distributions/{run}/cancel", {"reason": "?"}, **olga))["events"] == 0
    await ledger.shown()
    shown = (await ledger.client.get(f"/distributions/{run}", headers=olga)).json()
    assert (shown["status"], shown["reason"], shown["scale"]) == ("cancelled", "wrong block", 4)
    pool = (await ledger.client.get("/pools/platform", headers=olga)).json()
    assert {one["asset"]: one["free"] for one in pool["free"]} == {"TRX": "100", "DCMX": "100", coin: "100"}

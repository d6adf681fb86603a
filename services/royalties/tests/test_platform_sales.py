"""Sales off the chain from the command to the read models, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from royalties_platform import COIN, START, agreed, busy_platform, post, refund, sale, told_refund, told_sale, version

from contracts.values import UINT256_MAX
from royalties import domain


async def get(ledger: Any, path: str, **params: Any) -> Any:
    answer = await ledger.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def balance(ledger: Any, account: str, asset: str = "USD") -> int:
    """Of the account on its normal side; 0 if it has no lines."""
    answer = await ledger.client.get(f"/balances/{account}")
    return sum(int(line["balance"]) for line in answer.json() if line["asset"] == asset) if answer.is_success else 0


async def events(ledger: Any) -> int:
    """What has happened; that something was refused is on record, too."""
    count = await ledger.pool.fetchval("SELECT count(*) FROM events WHERE type <> 'RequestRefused'")
    assert isinstance(count, int)
    return count


async def test_a_sale_is_posted_shown_and_on_the_books(ledger: Any) -> None:
    await post(ledger.client, "/terms", {"effective_from": START.isoformat(), "fees_bps": {"purchase": 1_000}})
    await agreed(ledger.client)
    answer = await post(ledger.client, "/sales", {"sales": [sale("s-1", 101, track_id="7", buyer="fan-1")]})
    assert answer["results"] == [
        {"id": "s-1", "split_version": 1, "fee": "10", "parts": [
            {"recipient": "ada", "amount": "45"}, {"recipient": "bob", "amount": "45"},
        ]}
    ]  # fmt: skip
    await ledger.shown()
    shown = await get(ledger, "/platform-sales/tester/s-1")
    wanted = {"kind": "purchase", "asset": "USD", "scale": 2, "amount": "101", "left": "101", "fee": "10",
              "fee_bps": 1_000, "terms_version": 1, "track_id": "7", "buyer": "fan-1", "changes": []}  # fmt: skip
    assert {name: shown[name] for name in wanted} == wanted
    accounts = ("clearing:stripe", "platform-fee", "earnings:ada", "earnings:bob", "carry:song/1/0")
    assert [await balance(ledger, account) for account in accounts] == [101, 10, 45, 45, 1]
    statement = await get(ledger, "/parties/ada/statement", asset="USD")
    (line,) = statement["lines"]
    assert (line["kind"], line["amount"], line["caller"], line["reference"]) == ("purchase-sale", "45", "tester", "s-1")


async def test_a_sale_told_again_has_the_first_result_and_changes_nothing(ledger: Any) -> None:
    await agreed(ledger.client)
    batch = {"sales": [sale("s-1"), sale("s-2", 33)]}
    first = await post(ledger.client, "/sales", batch)
    before = await events(ledger)
    again = await post(ledger.client, "/sales", batch)
    assert (again["events"], again["token"], again["results"]) == (0, None, first["results"])
    within = await post(ledger.client, "/sales", {"sales": [sale("s-3"), sale("s-3")]})
    assert within["results"][0] == within["results"][1]
    await ledger.receive([told_sale("s-1", caller="tester"), told_sale("s-2", caller="tester", amount=33)])
    assert await events(ledger) == before + 1


async def test_a_reference_with_other_contents_is_a_conflict_and_nothing_of_its_batch_is_posted(ledger: Any) -> None:
    await agreed(ledger.client)
    await agreed(ledger.client, "album")
    await post(ledger.client, "/sales", {"sales": [sale("s-1")]})
    before = await events(ledger)
    others = ({"amount": "101"}, {"kind": "tip"}, {"occurred_at": START.isoformat()}, {"agreement": "album"})
    for other in others:
        problem = await post(ledger.client, "/sales", {"sales": [sale("s-2"), sale("s-1", **other)]}, 409)
        assert problem["type"].endswith("reference-conflict")
        assert "tester/s-1" in problem["detail"]
    assert await events(ledger) == before


async def test_what_the_topic_can_not_follow_is_on_record_and_the_rest_goes_on(ledger: Any) -> None:
    await agreed(ledger.client)
    before = await events(ledger)
    await ledger.receive([
        told_sale("s-1"),
        told_sale("s-1", amount=5),
        told_sale("s-2", agreement="nobody"),
        told_sale("s-3", asset="coin:unknown"),
        told_refund("r-1", "s-1", 40),
        told_refund("r-2", "s-9", 40),
        told_refund("r-3", "s-1", 61),
        told_sale("s-4"),
    ])  # fmt: skip
    told = await ledger.log.read(before, await ledger.pool.fetchval("SELECT max(position) FROM events"))
    refused = [(one.event.reference.id, one.event.code) for one in told if isinstance(one.event, domain.CommandRefused)]
    assert refused == [
        ("s-1", "reference-conflict"), ("s-2", "no-split"), ("s-3", "asset-unknown"), ("r-2", "sale-unknown"),
        ("r-3", "refund-too-large"),
    ]  # fmt: skip
    await ledger.shown()
    assert await balance(ledger, "clearing:stripe") == 100 - 40 + 100


async def test_refunds_and_corrections_are_part_of_a_sales_story(ledger: Any) -> None:
    await agreed(ledger.client)
    await post(ledger.client, "/sales", {"sales": [sale("s-1")]})
    await post(ledger.client, "/refunds", {"refunds": [refund("r-1", "s-1", 60)]})
    mistake = {"reversal_id": "x-1", "of": "r-1", "caller": "tester", "reason": "another customer"}
    await post(ledger.client, "/reversals", mistake)
    await post(ledger.client, "/reversals", mistake)  # a second time it has the first result
    await post(ledger.client, "/reversals", {**mistake, "reversal_id": "x-2"}, 409)
    await post(ledger.client, "/refunds", {"refunds": [refund("r-2", "s-1", 10)]})
    await ledger.shown()
    shown = await get(ledger, "/platform-sales/tester/s-1")
    assert shown["left"] == "90"
    assert [(one["id"], one["left"], one["author"], one["of"]) for one in shown["changes"]] == [
        ("r-1", "40", None, None), ("x-1", "100", "tester", "r-1"), ("r-2", "90", None, None),
    ]  # fmt: skip
    assert [await balance(ledger, account) for account in ("clearing:stripe", "earnings:ada")] == [90, 45]


async def test_many_callers_at_once_post_each_sale_once(ledger: Any) -> None:
    await agreed(ledger.client)
    batches = [{"sales": [sale(f"s-{n}", 1 + n) for n in range(k, k + 5)]} for k in range(0, 20, 2)]
    await asyncio.gather(*(post(ledger.client, "/sales", batch) for batch in batches))
    await ledger.shown()
    assert await balance(ledger, "clearing:stripe") == sum(1 + n for n in range(23))


async def test_one_reference_told_to_two_agreements_at_once_is_posted_once(ledger: Any) -> None:
    await agreed(ledger.client)
    await agreed(ledger.client, "album")
    answers = await asyncio.gather(*(
        ledger.client.post("/sales", json={"sales": [sale("s-1", agreement=one)]}, headers={"idempotency-key": one})
        for one in ("song", "album")
    ))  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_the_lines_of_any_account_are_read_in_pages(ledger: Any) -> None:
    await busy_platform(ledger.client)
    await ledger.shown()
    trial = await get(ledger, "/trial-balance")
    assert trial["balanced"]
    assert {(line["asset"], line["scale"]) for line in trial["lines"]} == {("USD", 2), (COIN, 8)}
    for account in ("clearing:stripe", "platform-fee", "carry:song/1/0", "earnings:ada", "seller:fan-1"):
        lines: list[Any] = []
        cursor: dict[str, str] = {}
        while cursor is not None:
            page = await get(ledger, f"/accounts/{account}/entries", asset="USD", limit=7, **cursor)
            lines += page["items"]
            cursor = {"cursor": page["next"]} if page["next"] else None  # type: ignore[assignment]
        assert sum(int(line["amount"]) for line in lines) == await balance(ledger, account)
        keys = [(line["at"], line["position"], line["posting"]) for line in lines]
        assert keys == sorted(keys)
    assert (await ledger.client.get("/accounts/cash/entries")).status_code == 404


async def test_sales_are_listed_by_agreement_and_kind_newest_first(ledger: Any) -> None:
    await busy_platform(ledger.client)
    await ledger.shown()
    tips = (await get(ledger, "/platform-sales", kind="tip"))["items"]
    assert [(tip["sale_id"], tip["asset"], tip["scale"]) for tip in tips] == [
        (f"t-{n}", COIN, 8) for n in reversed(range(5))
    ]
    first = await get(ledger, "/platform-sales", agreement="song", limit=15)
    second = await get(ledger, "/platform-sales", agreement="song", limit=15, cursor=first["next"])
    assert len(first["items"]) + len(second["items"]) == 21
    assert second["next"] is None


async def test_an_agreement_shows_who_controls_it_and_every_version(ledger: Any) -> None:
    await busy_platform(ledger.client)
    await post(ledger.client, "/agreements/song/acceptances", {"by": "bob"})
    later = datetime.now(UTC) + timedelta(days=1)
    step = {"asset": "USD", "above": "1000", "shares": [{"recipient": "eve", "ppm": 1_000_000}]}
    new = version(later, [step], bob=1_000_000)
    await post(ledger.client, "/agreements/song/versions", new, 409)  # ada controls it no longer
    done = await post(ledger.client, "/agreements/song/versions", {**new, "by": "bob"})
    answer = await ledger.client.get("/agreements/song", headers={"annals-after": done["token"]})
    shown = answer.json()
    assert (shown["controller"], shown["offered_to"]) == ("bob", None)
    assert [one["version"] for one in shown["versions"]] == [1, 2]
    assert shown["versions"][1]["breakpoints"] == [step]
    assert (await get(ledger, "/terms"))[0]["fees_bps"] == {"purchase": 1_000, "tip": 0, "secondary": 500}
    assert {"asset": COIN, "scale": 8} in await get(ledger, "/assets")


WRONG: tuple[tuple[str, Any, int, str], ...] = (
    ("/sales", {"sales": [sale("s-1", agreement="nobody's")]}, 422, "agreement"),
    ("/sales", {"sales": [sale("s-1", agreement="nobody")]}, 422, "no-split"),
    ("/sales", {"sales": [{**sale("s-1"), "amount": 1.5}]}, 422, "amount"),
    ("/sales", {"sales": [sale("s-1", UINT256_MAX + 1)]}, 422, "amount"),
    ("/sales", {"sales": [sale("s-1", tax="1")]}, 422, "tax"),
    ("/sales", {"sales": [sale("s-1", occurred_at="2999-01-01T00:00:00Z")]}, 422, "in-the-future"),
    ("/sales", {"sales": []}, 422, "sales"),
    ("/refunds", {"refunds": [refund("r-1", "s-404")]}, 404, "sale-unknown"),
    ("/agreements/song/versions", version(ada=999_999), 404, "no-agreement"),
    ("/assets", {"asset": "USD", "scale": 3}, 409, "asset-conflict"),
    ("/terms", {"effective_from": "2026-01-01", "fees_bps": {"rent": 1}}, 422, "fees_bps"),
    ("/terms", {"effective_from": "2026-01-01", "fees_bps": {"tip": 10_001}}, 422, "fees_bps"),
)


async def test_a_wrong_command_is_a_problem_that_names_what_is_wrong(ledger: Any) -> None:
    for path, body, status, named in WRONG:
        assert named in str(await post(ledger.client, path, body, status))
    assert await events(ledger) == 0


async def test_users_control_their_own_agreements_and_report_nothing(ledger: Any, user: dict[str, str]) -> None:
    await agreed(ledger.client)
    for path, body in (
        ("/sales", {"sales": [sale("s-1")]}),
        ("/agreements", {"agreement": "x", "controller": "bob"}),
        ("/agreements/song/offers", {"by": "ada", "to": "bob"}),
    ):
        await post(ledger.client, path, body, 403, **user)
    await post(ledger.client, "/agreements/song/offers", {"by": "ada", "to": "bob"})
    await post(ledger.client, "/agreements/song/acceptances", {"by": "bob"}, **user)

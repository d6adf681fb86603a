"""Who earned what, when and from what; what the platform took; what an account held at a time."""

from __future__ import annotations

from typing import Any

from royalties_chain import PEOPLE, busy_chain
from royalties_platform import COIN, busy_platform


async def items(ledger: Any, path: str, **params: Any) -> list[dict[str, Any]]:
    """A list, two lines a page."""
    found: list[dict[str, Any]] = []
    page = await ledger.get(path, **params, limit=2)
    while page["next"] is not None:
        found += page["items"]
        page = await ledger.get(path, **params, limit=2, cursor=page["next"])
    return found + list(page["items"])


async def test_top_earners_of_a_period_are_those_with_the_greatest_sums_of_its_months(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    earned: dict[str, dict[str, int]] = {}
    for person in PEOPLE:
        months = (await ledger.get(f"/artists/{person}/earnings"))["by_month"]
        earned[person] = {line["month"]: int(line["amount"]) for line in months}
    for period, wanted in (("2026-02", ["2026-02"]), ("2026-Q1", ["2026-01", "2026-02", "2026-03"])):
        sums = {who: sum(months.get(month, 0) for month in wanted) for who, months in earned.items()}
        ranked = sorted(((-amount, who) for who, amount in sums.items() if amount))
        top = await items(ledger, "/earnings/top", period=period)
        assert [(-int(one["amount"]), one["recipient"]) for one in top] == ranked
    assert await items(ledger, "/earnings/top", period="2025") == []
    assert (await ledger.client.get("/earnings/top?period=soon")).status_code == 422


async def test_the_platform_s_income_by_month_sums_to_the_fees_of_all_payments(ledger: Any) -> None:
    chain = busy_chain()
    await ledger.receive(chain.messages)
    await ledger.shown()
    income = await items(ledger, "/platform-income")
    assert sum(int(line["amount"]) for line in income) == chain.fees_sun
    assert [line["month"] for line in income] == ["2026-01", "2026-02", "2026-03"]
    assert {(line["asset"], line["scale"], line["kind"]) for line in income} == {("TRX", 6, "payment")}


async def test_earnings_off_the_chain_are_told_by_asset_and_source_less_what_was_taken_back(ledger: Any) -> None:
    await busy_platform(ledger.client)
    await ledger.shown()
    shown = await ledger.get("/artists/ada/earnings")
    totals = {one["asset"]: int(one["owed"]) for one in shown["total"]}
    for respect in ("by_month", "by_track", "by_kind"):
        for asset in totals:
            assert sum(int(one["amount"]) for one in shown[respect] if one["asset"] == asset) == totals[asset]
    assert {(one["asset"], one["scale"], one["kind"]) for one in shown["by_kind"]} >= {
        ("USD", 2, "purchase"),
        ("USD", 2, "secondary"),
        (COIN, 8, "tip"),
    }
    assert {one["track_id"] for one in shown["by_track"]} == {"7", None}


async def test_earnings_are_told_of_an_asset_a_period_a_track_and_a_kind_and_of_all_together(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    rows = [dict(row) for row in await ledger.pool.fetch("SELECT * FROM ledger_v1.artist_earnings")]
    one = max(rows, key=lambda row: row["amount"])
    who, month, track, kind = one["recipient"], f"{one['month']:%Y-%m}", str(one["track_id"]), one["kind"]

    async def told(**wanted: str) -> dict[str, Any]:
        shown: dict[str, Any] = await ledger.get(f"/artists/{who}/earnings", **wanted)
        sums = {sum(int(line["amount"]) for line in shown[by]) for by in ("by_month", "by_track", "by_kind")}
        assert len(sums) == 1, "each way of telling is of the same money"
        return shown | {"sum": sums.pop()}

    def expected(**wanted: object) -> int:
        mine = [row for row in rows if row["recipient"] == who]
        return sum(row["amount"] for row in mine if all(row[name] == value for name, value in wanted.items()))

    assert (await told())["sum"] == expected()
    assert (await told(period=month))["sum"] == expected(month=one["month"])
    assert (await told(period=f"{one['month']:%Y}"))["sum"] == expected()
    assert (await told(track_id=track))["sum"] == expected(track_id=one["track_id"])
    assert (await told(kind=kind))["sum"] == expected(kind=kind)
    cell = await told(asset="TRX", period=month, track_id=track, kind=kind)
    assert cell["sum"] == one["amount"]
    assert [len(cell[by]) for by in ("by_month", "by_track", "by_kind")] == [1, 1, 1]
    assert cell["total"] == (await told())["total"]
    assert (await told(asset="USD"))["by_month"] == []
    for wrong in ("period=soon", "track_id=-1", "kind=%00"):
        assert (await ledger.client.get(f"/artists/{who}/earnings?{wrong}")).status_code == 422


async def test_a_balance_is_told_as_of_a_time_of_the_facts_and_as_of_what_was_known(ledger: Any) -> None:
    messages = sorted(busy_chain().messages, key=lambda keyed: keyed[0], reverse=True)  # payments first
    await ledger.receive(messages[:150])
    await ledger.shown()
    then = (await ledger.pool.fetchval("SELECT clock_timestamp()")).isoformat()
    accounts = ["platform-fee", "custody:royalty-distributor", f"earnings:{PEOPLE[0]}"]
    before = {account: await ledger.get(f"/balances/{account}") for account in accounts}
    await ledger.receive(messages[150:])
    await ledger.shown()
    for account in accounts:
        now = await ledger.get(f"/balances/{account}")
        assert await ledger.get(f"/balances/{account}", known_at=then) == before[account] != now
        assert await ledger.get(f"/balances/{account}", as_of="2027-01-01") == now
        (february,) = await ledger.get(f"/balances/{account}", as_of="2026-02-01")
        entries = await items(ledger, f"/accounts/{account}/entries")
        assert february["balance"] == str(sum(int(one["amount"]) for one in entries if one["at"] < "2026-02-01"))
        assert await ledger.get(f"/balances/{account}", as_of="2025-01-01") == []

"""From messages to answers: the real handler, log, read models and HTTP application on a real PostgreSQL."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from io import StringIO
from typing import Any

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from royalties_chain import MUSIC_NFT, PEOPLE, Chain, Keyed, busy_chain
from royalties_platform import busy_platform

from contracts.testing import address, hash_of
from contracts.values import UINT256_MAX
from projections.testing import rebuilt_alike
from royalties import projections
from royalties.domain.reconciliation import Compared
from royalties.statements import lines as statement_lines
from service.tokens import generate_keys, mint

ELSEWHERE = ("distributions", "payees", "revenue_pools", "moves", "wallet_owners")
"""Read models that have rows, and are rebuilt, in the tests of distributions, of moves and of what is whose."""


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def all_items(client: httpx.AsyncClient, path: str, field: str = "items", **params: Any) -> list[dict[str, Any]]:
    """What a paged list holds, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await get(client, path, **params, **({"cursor": cursor} if cursor else {}))
        items += page[field]
        if (cursor := page["next"]) is None:
            return items


async def contents(pool: asyncpg.Pool) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every read model, sorted, but for their positions in the log."""
    tables = [(p.schema, table) for p in projections.ALL for table in (*p.tables, *p.totals)]
    return {table.name: sorted(await _rows(pool, schema, table), key=repr) for schema, table in tables}


async def _rows(pool: asyncpg.Pool, schema: str, table: sa.Table) -> list[tuple[Any, ...]]:
    columns = ", ".join(f'"{column.name}"' for column in table.columns if column.name != "position")
    return [tuple(row) for row in await pool.fetch(f"SELECT {columns} FROM {schema}.{table.name}")]


async def test_a_sale_is_shown_with_its_payment_parts_and_transaction(ledger: Any) -> None:
    chain = Chain(fee_bps=1_000)
    track = chain.release(PEOPLE[0], royalty_bps=2_000)
    chain.configure(track, PEOPLE[:2], (600_000, 400_000))
    token = chain.buy_edition(track, PEOPLE[4], 1_000)
    chain.resell(token, PEOPLE[5], 500)
    chain.give_away(token, PEOPLE[3])
    await ledger.receive(chain.messages)
    await ledger.shown()

    secondary, primary = (await get(ledger.client, f"/sales/{token}"))["items"]
    assert (primary["kind"], primary["seller"], primary["buyer"]) == ("primary", PEOPLE[0], PEOPLE[4])
    assert (primary["price"], primary["forwarded"], primary["asset"], primary["scale"]) == ("1000", "1000", "TRX", 6)
    assert (secondary["kind"], secondary["price"], secondary["forwarded"]) == ("secondary", "500", "100")

    resold, bought = (await get(ledger.client, f"/tracks/{track}/payments"))["items"]
    assert [bought["payment_id"], resold["payment_id"]] == [primary["payment_id"], secondary["payment_id"]]
    assert bought["tx_id"] == primary["tx_id"]
    assert (bought["amount"], bought["fee"], bought["credited"], bought["split_version"]) == ("1000", "100", "900", 1)
    assert [(part["recipient"], part["amount"]) for part in bought["parts"]] == [(PEOPLE[0], "540"), (PEOPLE[1], "360")]
    assert (bought["kind"], bought["payer"]) == ("primary", MUSIC_NFT)

    (seller,) = await get(ledger.client, f"/balances/seller:{PEOPLE[4]}")
    assert (seller["balance"], seller["normal_side"]) == ("400", "credit")
    (held,) = await get(ledger.client, "/balances/custody:royalty-distributor")
    assert (held["balance"], held["normal_side"]) == ("1100", "debit")
    (carry,) = await get(ledger.client, f"/balances/carry:{track}/1")
    assert carry["balance"] == "0"


async def test_a_payment_too_small_to_be_divided_is_shown_without_parts(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    track = chain.release(PEOPLE[0])
    chain.configure(track, PEOPLE[:3], (300_000, 300_000, 400_000))
    chain.pay(track, 1)
    await ledger.receive(chain.messages)
    await ledger.shown()
    (paid,) = (await get(ledger.client, f"/tracks/{track}/payments"))["items"]
    assert (paid["amount"], paid["credited"], paid["parts"]) == ("1", "0", [])


async def test_several_sales_in_one_transaction_each_find_their_own_payment(ledger: Any) -> None:
    chain = Chain()
    track = chain.release(PEOPLE[0], royalty_bps=1_000)
    token = chain.buy_edition(track, PEOPLE[1], 50)
    with chain.transaction():
        chain.resell(token, PEOPLE[2], 9)  # its royalty rounds to nothing, so there is no payment
        chain.resell(token, PEOPLE[1], 100)
        tokens = [chain.buy_edition(track, PEOPLE[2], 100) for _ in range(2)]
    await ledger.receive(chain.messages)
    await ledger.shown()
    sales = (await get(ledger.client, "/sales", track_id=track))["items"]
    assert [(int(sale["token_id"]), sale["payment_id"]) for sale in reversed(sales)] == [
        (token, "1"), (token, None), (token, "2"), (tokens[0], "3"), (tokens[1], "4"),
    ]  # fmt: skip


async def test_earnings_add_up_by_month_track_and_kind_to_what_the_contract_credited(ledger: Any) -> None:
    chain = busy_chain()
    await ledger.receive(chain.messages)
    await ledger.shown()
    for person in PEOPLE:
        shown = await get(ledger.client, f"/artists/{person}/earnings")
        (total,) = shown["total"]
        assert int(total["owed"]) == chain.earnings[person]
        assert int(total["earned"]) - int(total["paid_out"]) == chain.earnings[person]
        for respect in ("by_month", "by_track", "by_kind"):
            assert sum(int(line["amount"]) for line in shown[respect]) == int(total["earned"])
    assert [line["month"] for line in shown["by_month"]] == ["2026-01", "2026-02", "2026-03"]
    assert {line["track_id"] for line in shown["by_track"]} == {"1", "2"}
    assert {line["kind"] for line in shown["by_kind"]} <= {"primary", "secondary", "direct", "carry"}
    stranger = await get(ledger.client, f"/artists/{address(77)}/earnings")
    assert (stranger["total"], stranger["by_month"]) == ([], [])


async def test_the_books_balance_class_by_class(ledger: Any) -> None:
    chain = busy_chain()
    await ledger.receive(chain.messages)
    await ledger.shown()
    trial = await get(ledger.client, "/trial-balance")
    assert trial["balanced"]
    lines = {line["account_class"]: int(line["balance"]) for line in trial["lines"]}
    assert lines == {
        "custody": lines["earnings"] + lines["seller"] + lines["carry"] + lines["platform-fee"],
        "earnings": chain.earnings.total(),
        "seller": chain.proceeds.total(),
        "carry": chain.carry_sun,
        "platform-fee": chain.fees_sun,
    }
    assert all(line["asset"] == "TRX" and line["scale"] == 6 for line in trial["lines"])
    await ledger.pool.execute("UPDATE ledger_v1.balances SET debits = debits + 1 WHERE account = 'custody:music-nft'")
    assert not (await get(ledger.client, "/trial-balance"))["balanced"]


async def test_a_statement_closes_with_its_opening_balance_and_the_sum_of_its_lines(ledger: Any) -> None:
    chain = busy_chain()
    await ledger.receive(chain.messages)
    await ledger.shown()
    known = {message.source.tx_id for _, message in chain.messages if hasattr(message, "source")}
    for person in PEOPLE:
        whole = await get(ledger.client, f"/parties/{person}/statement", limit=500)
        assert whole["opening_balance"] == "0"
        assert int(whole["closing_balance"]) == chain.earnings[person] + chain.proceeds[person]
        january = await get(ledger.client, f"/parties/{person}/statement", to="2026-02-01", limit=500)
        february = await get(ledger.client, f"/parties/{person}/statement", **{"from": "2026-02-01"}, limit=500)
        assert january["closing_balance"] == february["opening_balance"]
        assert january["lines"] + february["lines"] == whole["lines"]
        assert february["closing_balance"] == whole["closing_balance"]
        for statement in (whole, january, february):
            balance = int(statement["opening_balance"])
            for line in statement["lines"]:
                balance += int(line["amount"])
                assert line["balance"] == str(balance)
                assert line["tx_id"] in known
                assert line["split_version"] is not None or "royalty" not in line["kind"]
            assert statement["closing_balance"] == str(balance)
            assert statement["count"] == len(statement["lines"]) > 0


async def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    track = chain.release(PEOPLE[0])
    for amount in (1, 10, 100):
        chain.pay(track, amount)
    await ledger.receive(chain.messages)
    await ledger.shown()
    path = f"/parties/{PEOPLE[0]}/statement"
    first, second, third = (await get(ledger.client, path))["lines"]
    between = await get(ledger.client, path, **{"from": second["at"], "to": third["at"]})
    assert (between["opening_balance"], between["lines"], between["closing_balance"]) == ("1", [second], "11")
    assert (first["balance"], third["balance"]) == ("1", "111")


async def test_a_statement_is_read_in_pages_and_as_csv_with_the_same_lines(
    ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    path, period = f"/parties/{PEOPLE[0]}/statement", {"from": "2026-01-20T00:00:00Z", "to": "2026-03-01"}
    whole = await get(ledger.client, path, **period, limit=500)
    assert await all_items(ledger.client, path, "lines", **period, limit=7) == whole["lines"]

    monkeypatch.setattr(statement_lines, "BATCH", 5)  # so that it takes several reads
    answer = await ledger.client.get(path, params=period, headers={"accept": "text/csv;q=0.9, */*;q=0.1"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    first, *lines, last = csv.DictReader(StringIO(answer.text))
    assert (first["kind"], first["balance"]) == ("opening balance", whole["opening_balance"])
    assert (last["kind"], last["balance"]) == ("closing balance", whole["closing_balance"])
    assert [(line["tx_id"], line["amount"], line["balance"], line["asset"]) for line in lines] == [
        (line["tx_id"], line["amount"], line["balance"], "TRX") for line in whole["lines"]
    ]


async def test_a_statement_of_nothing_has_balances_and_no_lines(ledger: Any) -> None:
    nobody = await get(ledger.client, f"/parties/{address(77)}/statement")
    assert (nobody["opening_balance"], nobody["lines"], nobody["closing_balance"]) == ("0", [], "0")
    answer = await ledger.client.get(f"/parties/{address(77)}/statement", headers={"accept": "text/csv"})
    assert [row["kind"] for row in csv.DictReader(StringIO(answer.text))] == ["opening balance", "closing balance"]


Order = Callable[[Keyed], Any]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda keyed: keyed[0].startswith("music-nft"), id="distributor-first"),
        pytest.param(lambda keyed: keyed[0].startswith("royalty-distributor"), id="music-nft-first"),
        pytest.param(lambda keyed: hash_of(keyed[0]), id="key-by-key"),
    ],
)
async def test_the_order_in_which_topics_arrive_makes_no_difference(
    ledger: Any, other_ledger: Any, order: Order
) -> None:
    """A withdrawal may come before its credits, a payment before its sale: in the end the rows are the same."""
    chain = busy_chain(steps=60)
    await ledger.receive(chain.messages)
    for batch in in_batches(sorted(chain.messages, key=order), 37):  # a stable sort: each key keeps its order
        await other_ledger.receive(batch)
    await ledger.shown()
    await other_ledger.shown()
    assert await contents(other_ledger.pool) == await contents(ledger.pool)


def in_batches(messages: list[Keyed], size: int) -> Iterable[list[Keyed]]:
    return (messages[start : start + size] for start in range(0, len(messages), size))


async def test_an_account_is_overdrawn_until_its_credits_arrive(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    chain.pay(chain.release(PEOPLE[0]), 100)
    chain.withdraw_earnings(PEOPLE[0])
    withdrawals = [keyed for keyed in chain.messages if "/account/" in keyed[0]]
    await ledger.receive(withdrawals)
    await ledger.shown()
    (early,) = (await get(ledger.client, f"/artists/{PEOPLE[0]}/earnings"))["total"]
    assert (early["earned"], early["paid_out"], early["owed"]) == ("0", "100", "-100")
    await ledger.receive([keyed for keyed in chain.messages if keyed not in withdrawals])
    await ledger.shown()
    (settled,) = (await get(ledger.client, f"/artists/{PEOPLE[0]}/earnings"))["total"]
    assert (settled["earned"], settled["paid_out"], settled["owed"]) == ("100", "100", "0")


async def test_messages_told_again_add_no_event(ledger: Any) -> None:
    chain = busy_chain(steps=40)
    await ledger.receive(chain.messages)
    count = await ledger.pool.fetchval("SELECT count(*) FROM events")
    await ledger.receive(chain.messages)
    await ledger.receive([*chain.messages[:50], *chain.messages[:50]])
    assert await ledger.pool.fetchval("SELECT count(*) FROM events") == count


async def test_differences_from_the_split_are_listed(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    track = chain.release(PEOPLE[0])
    chain.configure(track, PEOPLE[:2], (500_000, 500_000))
    chain.pay(track, 100)
    key, wrong = chain.messages[-1]
    chain.messages[-1] = (key, wrong.model_copy(update={"amount_sun": 40}))
    chain.sleep(days=1)
    chain.set_fee(250)
    await ledger.receive(chain.messages)
    await ledger.shown()
    (difference,) = (await get(ledger.client, "/differences"))["items"]
    assert (difference["recipient"], difference["expected"], difference["credited"]) == (PEOPLE[1], "50", "40")
    assert difference["tx_id"] == wrong.source.tx_id  # type: ignore[attr-defined]  # a chain message
    (fee,) = await get(ledger.client, "/platform-fees")
    assert (fee["old_bps"], fee["new_bps"]) == (0, 250)


async def test_a_track_shows_every_version_of_its_split(ledger: Any) -> None:
    chain = Chain()
    track = chain.release(PEOPLE[0])
    chain.configure(track, PEOPLE[:2], (250_000, 750_000))
    chain.hand_over(track, PEOPLE[3])
    chain.configure(track, PEOPLE[1:4], (1, 2, 999_997))
    await ledger.receive(chain.messages)
    await ledger.shown()
    shown = await get(ledger.client, f"/tracks/{track}/splits")
    assert (shown["title"], shown["artist"], shown["controller"]) == ("A Song", PEOPLE[0], PEOPLE[3])
    assert [[share["ppm"] for share in split["shares"]] for split in shown["splits"]] == [
        [250_000, 750_000],
        [1, 2, 999_997],
    ]
    assert [split["version"] for split in shown["splits"]] == [1, 2]


async def test_lists_are_read_in_pages(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    whole = (await get(ledger.client, "/sales", limit=500))["items"]
    assert len(whole) > 40
    assert await all_items(ledger.client, "/sales", limit=9) == whole
    places = [(sale["block_number"], sale["log_index"]) for sale in whole]
    assert places == sorted(places, reverse=True)
    payments = (await get(ledger.client, "/tracks/1/payments", limit=500))["items"]
    assert await all_items(ledger.client, "/tracks/1/payments", limit=4) == payments


async def test_amounts_of_256_bits_arrive_and_are_shown_to_the_last_digit(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    track = chain.release(PEOPLE[0])
    chain.pay(track, UINT256_MAX)
    await ledger.receive(chain.messages)
    await ledger.shown()
    statement = await get(ledger.client, f"/parties/{PEOPLE[0]}/statement")
    assert statement["closing_balance"] == str(UINT256_MAX)
    (total,) = (await get(ledger.client, f"/artists/{PEOPLE[0]}/earnings"))["total"]
    assert total["earned"] == str(UINT256_MAX)
    assert (await get(ledger.client, f"/sales/{UINT256_MAX}"))["items"] == []


async def test_live_rows_equal_rebuilt_rows(ledger: Any) -> None:
    chain = busy_chain()
    key, wrong = next(keyed for keyed in chain.messages if keyed[1].type.endswith("RoyaltyCredited.v1"))
    chain.messages[chain.messages.index((key, wrong))] = (key, wrong.model_copy(update={"recipient": address(99)}))
    for batch in in_batches(chain.messages, 50):
        await ledger.receive(batch)
    await ledger.compared(10, Compared("earnings:T", 10, 2, 1))
    await busy_platform(ledger.client)
    await ledger.shown()
    closed = await ledger.command("/periods/2026-01/close")
    assert closed.status_code == 200, closed.text
    await ledger.shown()
    await rebuilt_alike(ledger.log, projections.ALL, may_be_empty=ELSEWHERE)


FORGED = mint(generate_keys()[0], "mallory", ["admin"])


@pytest.mark.parametrize(
    "headers",
    [{"authorization": ""}, {"authorization": f"Bearer {FORGED}"}, {"authorization": "Bearer x"}],
)
@pytest.mark.parametrize(
    "path", [f"/parties/{address(1)}/statement", "/sales", "/trial-balance", "/balances/platform-fee"]
)
async def test_nothing_is_shown_without_a_valid_token(ledger: Any, path: str, headers: dict[str, str]) -> None:
    answer = await ledger.client.get(path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/parties/no@body/statement", 422, "party"),
        (f"/parties/{address(1)}/statement?from=yesterday", 422, "from"),
        (f"/parties/{address(1)}/statement?from=2026-01-01T00:00:00", 422, "from"),
        (f"/parties/{address(1)}/statement?to=0001-01-01", 422, "to"),
        (f"/parties/{address(1)}/statement?from=2026-02-01&to=2026-02-01", 422, "empty-period"),
        (f"/parties/{address(1)}/statement?asset=EUR", 422, "asset"),
        (f"/parties/{address(1)}/statement?known_at=2999-01-01", 422, "known_at"),
        ("/sales?cursor=WzEsMl0x", 400, "invalid-cursor"),
        ("/sales?cursor=WzE4NDQ2NzQ0MDczNzA5NTUxNjE2LCAxXQ==", 400, "invalid-cursor"),  # [2^64, 1]
        ("/sales/-1", 422, "token_id"),
        (f"/sales/{2**256}", 422, "token_id"),
        ("/sales/1.5", 422, "token_id"),
        ("/tracks/404/splits", 404, "track 404"),
        ("/balances/cash", 404, "cash"),
    ],
)
async def test_a_wrong_question_is_a_problem_that_names_what_is_wrong(
    ledger: Any, path: str, status: int, named: str
) -> None:
    answer = await ledger.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert named in answer.text

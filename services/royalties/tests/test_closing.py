"""Statements that are issued: numbered, hashed, under one root, the same bytes for ever, and checked by a stranger."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from royalties_chain import Chain, busy_chain
from royalties_platform import COIN, START, busy_platform

from annals.statements import InvalidStatement, verify
from contracts import royalties
from contracts.canonical import canonical, digest, read
from contracts.operations import CallContract
from contracts.testing import address
from eventlog import Executor, Metadata, merkle, restore
from projections import rebuild
from royalties import projections, publish
from royalties.domain import periods
from royalties.statements.closing import Closing, MonthEnd
from service import Commands
from tron.contracts import ComplianceRegistry

pytestmark = pytest.mark.endurance
MONTHS = ("2026-01", "2026-02", "2026-03")


async def close(ledger: Any, period: str) -> int:
    """The number of events that it led to."""
    answer = await ledger.command(f"/periods/{period}/close")
    assert answer.status_code == 200, answer.text
    await ledger.shown()
    return int(answer.json()["events"])


async def files(ledger: Any) -> dict[str, bytes]:
    """All issued statements as they are handed out, by number."""
    numbers = [row["number"] for row in await ledger.pool.fetch("SELECT number FROM closings_v1.issued_statements")]
    return {number: (await ledger.client.get(f"/statements/{number}")).content for number in sorted(numbers)}


async def test_closing_a_month_issues_a_numbered_statement_to_everybody_who_had_a_line(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    for month in MONTHS:
        assert await close(ledger, month) > 2
    issued = await files(ledger)
    assert list(issued) == [f"{datetime.now(UTC).year}-{n:06}" for n in range(1, len(issued) + 1)]
    roots = {month: (await ledger.get(f"/periods/{month}"))[0] for month in MONTHS}
    for number, text in issued.items():
        found = verify(text)
        assert (found.number, found.root) == (number, roots[found.period]["root"])
        live = await ledger.get(f"/parties/{found.party}/statement", limit=500, **span(found.period))
        assert (live["opening_balance"], live["closing_balance"]) == (found.opening_balance, found.closing_balance)
        assert live["count"] == found.lines > 0
        (row,) = [one for one in await of_party(ledger, found.party) if one["number"] == number]
        assert (row["sha256"], row["replaces"], row["revision"]) == (found.sha256, None, 1)
    assert [one["period"] for one in (await ledger.get("/periods"))["items"]] == list(reversed(MONTHS))
    assert sum(root["statements"] for root in roots.values()) == len(issued)


def span(period: str) -> dict[str, str]:
    named = periods.period_named(period)
    return {"from": named.since.isoformat(), "to": named.until.isoformat()}


async def of_party(ledger: Any, party: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await ledger.get(f"/parties/{party}/statements"))["items"]
    return items


async def test_a_statement_with_one_digit_changed_is_no_longer_that_which_was_issued(ledger: Any) -> None:
    await ledger.receive(busy_chain(steps=40).messages)
    await ledger.shown()
    await close(ledger, "2026-01")
    text = next(iter((await files(ledger)).values())).decode()
    root = verify(text.encode()).root
    statement = text[: text.index(',"proof":')]
    digits = [match.start() for match in re.finditer(r"[0-9a-f]", text)]
    for place in Random(7).sample(digits, 200):
        other = "1" if text[place] != "1" else "2"
        forged = text[:place] + other + text[place + 1 :]
        try:
            assert verify(forged.encode()).root != root, forged[place - 40 : place + 40]
        except InvalidStatement:
            continue
        assert place > len(statement), "what is not in the statement may only lead to another root"
    moved = read(text)
    moved["statement"]["lines"].reverse()
    with pytest.raises(InvalidStatement, match="line 1: balance"):
        verify(canonical(moved))


async def test_a_proof_shows_nothing_of_the_statements_beside_it(ledger: Any) -> None:
    """Whoever guesses a neighbour's statement can't tell that they are right: its hash is blinded."""
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    await close(ledger, "2026-01")
    documents = [read(text) for text in (await files(ledger)).values()]
    assert len({one["proof"]["salt"] for one in documents}) == len(documents) > 2
    for one in documents:
        others = [other["statement"] for other in documents if other is not one]
        told = canonical(one["proof"]).decode()
        assert not any(digest(other) in told or other["party"] in told for other in others)
        salt = bytes.fromhex(one["proof"]["salt"])
        guesses = [merkle.event_leaf(salt + bytes.fromhex(digest(other))).hex() for other in others]
        assert not set(guesses) & set(one["proof"]["path"])


async def test_a_late_fact_makes_a_new_statement_that_shows_the_difference(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    track = chain.release(address(1))
    chain.pay(track, 100)
    untouched = chain.release(address(2))
    chain.pay(untouched, 7)
    late = Chain(fee_bps=0)  # the account's withdrawals come by a key of their own, so they may be late
    late.pay(late.release(address(1)), 30)
    late.withdraw_earnings(address(1))
    await ledger.receive(chain.messages)
    await ledger.shown()
    assert await close(ledger, "2026-01") == 4  # two statements, their numbers, the period
    assert await close(ledger, "2026-01") == 0
    first = await files(ledger)

    await ledger.receive([late.messages[-1]])
    await ledger.shown()
    assert await close(ledger, "2026-01") == 3
    second = await files(ledger)
    assert {number: second[number] for number in first} == first
    (number,) = second.keys() - first.keys()
    statement = read(second[number])["statement"]
    (before,) = [one for one in await of_party(ledger, address(1)) if one["number"] != number]
    assert statement["party"] == address(1)
    assert (statement["replaces"]["number"], statement["replaces"]["sha256"]) == (before["number"], before["sha256"])
    assert statement["difference"] == {"opening_balance": "0", "closing_balance": "-30", "count": 1}
    new = [line for line in statement["lines"] if line["position"] > statement["replaces"]["position"]]
    assert [(line["kind"], line["amount"]) for line in new] == [("payout", "-30")]
    revisions = await ledger.get("/periods/2026-01")
    assert [(one["revision"], one["statements"]) for one in revisions] == [(1, 2), (2, 1)]
    assert verify(second[number]).root == revisions[1]["root"]


async def test_the_same_log_gives_the_same_bytes_after_a_rebuild_and_on_another_machine(
    ledger: Any, other_ledger: Any
) -> None:
    messages = sorted(busy_chain().messages, key=lambda keyed: keyed[0])
    await ledger.receive(messages[: len(messages) // 2])
    await ledger.shown()
    await close(ledger, "2026-01")
    await ledger.receive(messages[len(messages) // 2 :])
    await ledger.shown()
    for period in ("2026-01", "2026-Q1", "2026-02"):
        await close(ledger, period)
    issued = await files(ledger)
    assert any(b'"replaces"' in text for text in issued.values())
    for projection in projections.ALL:
        await rebuild(ledger.pool, ledger.log, ledger.watermark, projection)
    assert await files(ledger) == issued

    rows = await ledger.pool.fetch("SELECT * FROM events ORDER BY position")
    async with other_ledger.pool.acquire() as connection:
        await restore.begin(connection)
        await restore.write(connection, [SimpleNamespace(**row) for row in rows])
        await restore.finish(connection)
    await other_ledger.shown()
    assert await files(other_ledger) == issued


async def test_of_two_who_close_at_once_one_does_it_and_no_number_is_lost(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    asked = [ledger.command(f"/periods/{period}/close", f"k{n}") for n, period in enumerate((*MONTHS, *MONTHS))]
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert sorted(answer.json()["events"] > 0 for answer in answers) == [False] * 3 + [True] * 3
    await ledger.shown()
    issued = list(await files(ledger))
    assert [int(number[5:]) for number in issued] == list(range(1, len(issued) + 1))
    drawn = await ledger.pool.fetch("SELECT data FROM events WHERE type = 'NumbersDrawn' ORDER BY position")
    assert read(drawn[-1]["data"])["last"] == len(issued)


async def test_the_calendar_closes_the_month_that_has_been_over_for_long_enough(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    executor = Executor(ledger.log)
    closing = Closing(
        "royalties", ledger.log, executor, ledger.watermark, Commands("royalties", executor), ledger.reads
    )
    calendar = MonthEnd(closing, days=3)
    february = datetime(2026, 2, 1, tzinfo=UTC)
    await calendar.look(february + timedelta(days=3, seconds=-1))  # December, in which nothing happened
    assert (await ledger.get("/periods"))["items"] == []
    for _ in range(2):
        await calendar.look(february + timedelta(days=3))
    await ledger.shown()
    (closed,) = (await ledger.get("/periods"))["items"]
    assert (closed["period"], closed["revision"]) == ("2026-01", 1)


async def test_a_root_is_anchored_on_the_chain_once_under_a_segment_of_its_own(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    executor = Executor(ledger.log)
    commands = Commands("royalties", executor)
    closing = Closing("royalties", ledger.log, executor, ledger.watermark, commands, ledger.reads, is_anchored=True)
    for month in MONTHS[:2]:
        await closing.close(periods.period_named(month), datetime.now(UTC), Metadata())
    await ledger.shown()
    told = [message.message for one in await ledger.log.read(0, 10**6) if (message := publish.publish(one)) is not None]
    asked = [message for message in told if isinstance(message, CallContract)]
    assert len({one.operation_id for one in asked}) == 2
    shown = [(await ledger.get(f"/periods/{month}"))[0] for month in MONTHS[:2]]
    assert [(one.args["segment"], one.args["root"]) for one in asked] == [
        (row["segment"], row["root"]) for row in shown
    ]
    assert shown[0]["segment"] < shown[1]["segment"]
    registry = ComplianceRegistry(address(1))
    assert {registry.anchor_root(**one.args).signature for one in asked} == {"anchorRoot(bytes32,uint64,bytes32)"}
    assert {one.args["log_id"] for one in asked} == {publish.STATEMENTS}


async def test_a_service_that_has_just_begun_closes_nothing(ledger: Any) -> None:
    await ledger.pool.execute("DROP SCHEMA ledger_v1 CASCADE")  # as before the first look of the runner
    assert (await ledger.command("/periods/2026-01/close")).json() == {"events": 0, "token": None}


async def test_a_closed_period_is_told_with_its_root_and_nothing_of_its_statements(ledger: Any) -> None:
    await ledger.receive(busy_chain(steps=20).messages)
    await ledger.shown()
    await close(ledger, "2026-01")
    recorded = [one for one in await ledger.log.read(0, 10**6) if one.stream.startswith(("period/", "numbers/"))]
    (told,) = [message for one in recorded if (message := publish.publish(one)) is not None]
    assert isinstance(told.message, royalties.PeriodClosed)
    (shown,) = await ledger.get("/periods/2026-01")
    assert (told.message.root, told.message.statements) == (shown["root"], shown["statements"])
    assert told.message.model_dump_json().count("seed") == 0


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/periods/2026-13/close", 422, "2026-13"),
        ("/periods/2999/close", 409, "not-over"),
    ],
)
async def test_what_can_not_be_closed_is_refused(ledger: Any, path: str, status: int, named: str) -> None:
    answer = await ledger.command(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert named in answer.text


async def test_only_officers_close_and_what_was_not_issued_is_not_found(ledger: Any) -> None:
    assert (await ledger.client.post("/periods/2026-01/close", headers={"idempotency-key": "k"})).status_code == 403
    for path in ("/statements/2026-000001", "/periods/2026-01"):
        assert (await ledger.client.get(path)).status_code == 404
    assert (await ledger.client.get("/statements/1")).status_code == 422


def test_periods_are_months_quarters_and_years() -> None:
    assert periods.period_named("2026-Q4").until == periods.period_named("2027").since
    assert periods.period_named("2026-12").until == datetime(2027, 1, 1, tzinfo=UTC)
    assert periods.month_before(datetime(2026, 1, 31, 23, tzinfo=UTC)).name == "2025-12"
    assert periods.month_before(datetime(2026, 3, 1, tzinfo=UTC)).name == "2026-02"
    for name in ("2026-00", "2026-1", "2026-Q5", "26", "2026-01 ", "9999999"):
        with pytest.raises(ValueError, match="expected a month"):
            periods.period_named(name)


async def test_sales_off_the_chain_are_on_issued_statements_in_their_own_asset_under_their_references(
    ledger: Any,
) -> None:
    await busy_platform(ledger.client)
    await ledger.shown()
    await close(ledger, f"{START:%Y-%m}")
    issued = [read(text)["statement"] for text in (await files(ledger)).values()]
    assert {(one["asset"], one["scale"]) for one in issued} == {(COIN, 8), ("USD", 2)}
    (coins,) = [one for one in issued if one["asset"] == COIN and one["party"] == "ada"]
    assert {(line["caller"], line["kind"]) for line in coins["lines"]} == {("tester", "tip-sale")}
    assert (await ledger.client.get("/parties/ada/statement?asset=coin:nobody")).status_code == 422

"""A period under other terms: what the second implementation of the contracts would have credited, to the sun."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from royalties_chain import PEOPLE, Chain, busy_chain

from contracts import chain as messages
from eventlog import Executor, Intent
from royalties.domain import (
    USD,
    AgreementOpened,
    PostRefund,
    PostSale,
    Reference,
    Refund,
    Sale,
    SaleKind,
    SetVersion,
    Share,
    agreement,
)
from royalties.what_if import Line, Outcome, Terms, read_shares, what_if

EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
FIRST_SALE = datetime(2026, 2, 1, tzinfo=UTC)
HALVES = (Share(PEOPLE[4], 500_000), Share(PEOPLE[5], 500_000))


def credited(chain: Chain) -> Counter[tuple[str, str]]:
    """By track and recipient, all that a chain credited; fees and what waits as carry too."""
    sums: Counter[tuple[str, str]] = Counter()
    for _, message in chain.messages:
        match message:
            case messages.RoyaltyCredited() | messages.CarrySettled():
                sums[f"track {message.track_id}", message.recipient] += message.amount_sun
            case messages.PaymentReceived():
                sums[f"track {message.track_id}", "platform-fee"] += message.fee_sun
    for track, state in chain.tracks.items():
        sums[f"track {track}", "carry"] += state.carry_sun
    return +sums


def after(outcome: Outcome, asset: str = "TRX") -> Counter[tuple[str, str]]:
    return +Counter({(of, party): one.after for (kind, of, party), one in outcome.lines.items() if kind == asset})


def before(outcome: Outcome, asset: str = "TRX") -> Counter[tuple[str, str]]:
    return +Counter({(of, party): one.before for (kind, of, party), one in outcome.lines.items() if kind == asset})


async def test_another_fee_gives_what_a_chain_with_that_fee_would_have_credited(ledger: Any) -> None:
    real, other = busy_chain(), busy_chain(fee_bps=1_234)
    await ledger.receive(real.messages)
    events = await ledger.pool.fetchval("SELECT count(*) FROM events")
    outcome = await what_if(ledger.log, Terms(fee_bps=1_234), *EVER)
    assert before(outcome) == credited(real)
    assert after(outcome) == credited(other)
    assert outcome.payments == sum(isinstance(message, messages.PaymentReceived) for _, message in real.messages)
    assert await ledger.pool.fetchval("SELECT count(*) FROM events") == events


async def test_another_split_gives_what_a_chain_with_that_split_would_have_credited(ledger: Any) -> None:
    amounts = [Random(5).randint(1, 50) for _ in range(60)]
    real, other = Chain(), Chain()
    for chain, shares in ((real, (333_333, 666_667)), (other, (250_001, 749_999))):
        track = chain.release(PEOPLE[0])
        chain.configure(track, PEOPLE[:2], shares)
        for amount in amounts:
            chain.pay(track, amount)
    await ledger.receive(real.messages)
    supposed = Terms(shares=(Share(PEOPLE[0], 250_001), Share(PEOPLE[1], 749_999)))
    assert after(await what_if(ledger.log, supposed, *EVER)) == credited(other)


async def test_under_the_real_terms_any_period_is_as_it_was(ledger: Any) -> None:
    chain = busy_chain()
    await ledger.receive(chain.messages)
    await sell_off_the_chain(ledger)
    times = [message.source.block_time for _, message in chain.messages]  # type: ignore[attr-defined]  # chain messages
    for since, until in (EVER, (times[200], times[400]), (times[10], times[11]), (FIRST_SALE, EVER[1])):
        outcome = await what_if(ledger.log, Terms(), since, until)
        assert not [line for line, change in outcome.lines.items() if change.change]


@pytest.mark.parametrize("terms", [Terms(fee_bps=0), Terms(shares=HALVES), Terms(3_000, HALVES)], ids=str)
async def test_under_any_terms_all_that_was_paid_is_given_to_somebody(ledger: Any, terms: Terms) -> None:
    chain = busy_chain()
    await ledger.receive(chain.messages)
    await sell_off_the_chain(ledger)
    times = [message.source.block_time for _, message in chain.messages]  # type: ignore[attr-defined]  # chain messages
    outcome = await what_if(ledger.log, terms, times[150], EVER[1])
    sums: Counter[tuple[str, str]] = Counter()
    for (asset, of, _), one in outcome.lines.items():
        sums[asset, of] += one.change
    assert set(sums) == {("TRX", "track 1"), ("TRX", "track 2"), (USD, "agreement band")}
    assert not any(sums.values())
    if terms.shares is not None:
        others = {line.party for line, one in outcome.lines.items() if one.after > len(PEOPLE)}
        assert others <= {PEOPLE[4], PEOPLE[5], "platform-fee", "carry", "seller"}


async def test_sales_off_the_chain_and_their_refunds_are_divided_anew(ledger: Any) -> None:
    await sell_off_the_chain(ledger)
    outcome = await what_if(ledger.log, Terms(fee_bps=5_000), *EVER)
    # 3 sales of 1,001 cents at 10 %, one refunded by half: fees of 100, 100 and 50; at 50 %: 500, 500 and 250
    fee = outcome.lines[Line(USD, "agreement band", "platform-fee")]
    assert (fee.before, fee.after) == (250, 1_250)
    assert outcome.payments == 3
    assert sum(after(outcome, USD).values()) == sum(before(outcome, USD).values()) == 2 * 1_001 + 501


async def test_only_one_track_is_shown_when_one_is_asked_for(ledger: Any) -> None:
    await ledger.receive(busy_chain().messages)
    outcome = await what_if(ledger.log, Terms(fee_bps=0), *EVER, track_id=2)
    assert {line.of for line in outcome.lines} == {"track 2"}


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[1]", '[{"recipient": "a"}]', '[{"recipient": "a", "ppm": 999999}]', '[{"ppm": 1000000}]'],
)
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(LookupError, match="no split"):
        read_shares(text)


def test_a_split_is_read_as_the_api_shows_it() -> None:
    text = '[{"recipient": "a", "ppm": 1}, {"recipient": "b", "ppm": 999999}]'
    assert read_shares(text) == (Share("a", 1), Share("b", 999_999))


async def sell_off_the_chain(ledger: Any) -> None:
    """Three tips for a band, of which one is refunded by half."""
    executor = Executor(ledger.log)

    async def do(command: object, at: datetime) -> None:
        await executor.execute([Intent("agreement/band", agreement, command, at)])

    thirds = (Share("ada", 333_333), Share("bob", 333_333), Share("eve", 333_334))
    await do(AgreementOpened("band", "ada"), FIRST_SALE - timedelta(days=9))
    await do(
        SetVersion("band", "ada", FIRST_SALE - timedelta(days=8), thirds, (), FIRST_SALE - timedelta(days=9)),
        FIRST_SALE - timedelta(days=9),
    )
    for number in range(3):
        at = FIRST_SALE + timedelta(days=number)
        sale = Sale(Reference("shop", f"sale-{number}"), "band", SaleKind.TIP, USD, 1_001, "card", at)
        await do(PostSale(sale, 0, 1_000), at)
    posted = [entry.event for entry in await ledger.log.read_stream("agreement/band")][-1]
    back = FIRST_SALE + timedelta(days=5)
    await do(PostRefund(Refund(Reference("shop", "refund"), posted.reference, 500, "", back), posted), back)

"""Any history of an agreement: every unit is accounted for, and everybody has what the split says."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.values import UINT256_MAX
from eventlog import EventTypes
from royalties import domain
from royalties.domain import (
    AgreementOpened,
    Breakpoint,
    CarryGivenOut,
    CloseVersions,
    ExpireMove,
    Funds,
    PostMove,
    PostRefund,
    PostReversal,
    PostSale,
    Reference,
    Refund,
    RefundPosted,
    Refused,
    ReserveMove,
    Reversal,
    Sale,
    SaleKind,
    SalePosted,
    SetVersion,
    Share,
    Side,
    VoidMove,
)

pytestmark = pytest.mark.endurance

TYPES = EventTypes(domain.EVENTS)
START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ("ada", "bob", "eve", "zoe")
ASSETS = ("USD", "coin:ada")
amounts = st.one_of(st.integers(1, 9), st.integers(1, 10**20), st.just(UINT256_MAX // 1_000))


class Books:
    """Deciders and what they led to, stored and read again as the log would."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._states: dict[str, Any] = {}

    def do(self, stream: str, decider: Any, command: object) -> list[Any]:
        """Nothing, if it is refused."""
        state = self._states.get(stream, decider.initial)
        try:
            decided = decider.decide(command, state)
        except Refused:
            return []
        for event in decided:
            again = TYPES.decode(*TYPES.encode(event))
            assert again == event
            state = decider.evolve(state, again)
            self.events.append(again)
        self._states[stream] = state
        return list(decided)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def balances(self) -> dict[str, Counter[str]]:
        """Debits less credits of every account, by asset."""
        sums: dict[str, Counter[str]] = {asset: Counter() for asset in ASSETS}
        for event in self.events:
            for posting in getattr(event, "postings", ()):
                assert posting.amount > 0
                sums[posting.asset][posting.account] += posting.amount * (1 if posting.side is Side.DEBIT else -1)
        return sums


@st.composite
def splits(draw: st.DrawFn) -> tuple[Share, ...]:
    people = draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4, unique=True))
    cut = st.lists(st.integers(1, 999_999), min_size=len(people) - 1, max_size=len(people) - 1, unique=True)
    cuts = sorted(draw(cut))
    return tuple(Share(who, high - low) for who, low, high in zip(people, [0, *cuts], [*cuts, 10**6], strict=True))


@st.composite
def histories(draw: st.DrawFn) -> Books:
    books = Books()

    def act(command: object) -> list[Any]:
        return books.do("agreement/song", domain.agreement, command)

    act(AgreementOpened("song", "ada"))
    now = START
    steps = ("version", "sale", "sale", "sale", "refund", "refund", "reverse", "close", "reserve", "end")
    for number, step in enumerate(["version", *draw(st.lists(st.sampled_from(steps), max_size=30))]):
        now += timedelta(days=1)
        name = Reference("shop", f"n-{number}")
        sales, refunds = books.of(SalePosted), books.of(RefundPosted)
        match step:
            case "version":
                above = sorted(draw(st.sets(st.integers(1, 50), max_size=2)))
                breakpoints = tuple(Breakpoint("USD", one, draw(splits())) for one in above)
                act(SetVersion("song", "ada", now, draw(splits()), breakpoints, now))
            case "sale":
                at = now - timedelta(days=draw(st.integers(0, 10)))  # some are told late
                kind, amount = draw(st.sampled_from(SaleKind)), draw(amounts)
                resold = {"seller": "fan", "royalty": amount // 10} if kind is SaleKind.SECONDARY else {}
                asset = draw(st.sampled_from(ASSETS))
                sale = Sale(name, "song", kind, asset, amount, "stripe", at, **resold)  # type: ignore[arg-type]
                act(PostSale(sale, 1, draw(st.integers(0, 3_000))))
            case "refund" if sales:
                of = draw(st.sampled_from(sales))
                act(PostRefund(Refund(name, of.reference, draw(st.integers(1, of.sale.amount)), "returned", now), of))
            case "reverse" if sales:
                of = draw(st.sampled_from(sales))
                mine = [None, *(one for one in refunds if one.sale == of.reference)]
                taken = draw(st.sampled_from(mine))
                what = of.reference if taken is None else taken.reference
                act(PostReversal(Reversal(name, what, "mistake", "officer"), of, taken))
            case "close":
                act(CloseVersions(now))
            case "reserve":
                made = len(books.of(domain.MoveReserved))
                wanted = ReserveMove(name, "ada", "earnings:ada", "paid-out:bank", "USD", 7, now, Funds(10, made))
                books.do("moves/ada", domain.moves, wanted)
            case "end" if reserved := books.of(domain.MoveReserved):
                of = draw(st.sampled_from(reserved)).reference
                ends = [PostMove(of, START), PostMove(of, START, 3), VoidMove(of, "no"), ExpireMove(of, now)]
                books.do("moves/ada", domain.moves, draw(st.sampled_from(ends)))
            case _:
                pass  # there is nothing to take back or to end yet
    return books


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(books=histories())
def test_every_unit_is_accounted_for_and_the_carry_is_less_than_a_unit_each(books: Books) -> None:
    versions = {version.version: version for version in books.of(domain.AgreementVersionSet)}
    for balances in books.balances().values():
        assert sum(balances.values()) == 0
        assert balances["clearing:stripe"] >= 0
        assert balances["platform-fee"] <= 0
        for account, amount in balances.items():
            if account.startswith("carry:"):
                _, version, tier = account.split("/")
                assert 0 <= -amount < max(2, len(versions[int(version)].tier(int(tier))))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(books=histories())
def test_a_sale_takes_nothing_from_anybody_and_only_what_it_brought_is_shared(books: Books) -> None:
    for event in (*books.of(SalePosted), *books.of(CarryGivenOut)):
        lines = dict(event.entries)
        assert all(amount < 0 for account, amount in lines.items() if account.startswith("earnings:"))
    for event in books.of(SalePosted):
        fee = -dict(event.entries).get("platform-fee", 0)
        assert (fee, sum(net for _, net in event.tiers)) == event.division[1:]
        assert sum(event.division) == event.sale.amount


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(books=histories())
def test_what_was_given_under_a_version_is_a_function_of_what_it_took_in(books: Books) -> None:
    """Computed once more, from the nets alone: floor(total so far x share) since the carry was given out last."""
    versions = {version.version: version for version in books.of(domain.AgreementVersionSet)}
    running: Counter[tuple[int, int, str]] = Counter()
    for event in books.events:
        if isinstance(event, CarryGivenOut):
            running.pop((event.version, event.tier, event.asset))
        if not isinstance(event, SalePosted | RefundPosted | domain.ReversalPosted):
            continue
        asset = event.sale.asset if isinstance(event, SalePosted) else event.asset
        given_out: Counter[str] = Counter()
        for tier, net in event.tiers:
            key = (event.version, tier, asset)
            for share in versions[event.version].tier(tier):
                before, after = running[key] * share.ppm // 10**6, (running[key] + net) * share.ppm // 10**6
                given_out[f"earnings:{share.recipient}"] += after - before
            running[key] += net
        told = {account: -amount for account, amount in event.entries if account.startswith("earnings:")}
        assert told == {account: amount for account, amount in given_out.items() if amount}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(books=histories())
def test_when_all_is_taken_back_and_closed_nobody_has_gained_a_unit(books: Books) -> None:
    agreement, last = domain.agreement, START + timedelta(days=1_000)
    for number, sale in enumerate(books.of(SalePosted)):
        reversal = Reversal(Reference("end", f"{number}"), sale.reference, "the end", "officer")
        books.do("agreement/song", agreement, PostReversal(reversal, sale, None))
    books.do("agreement/song", agreement, SetVersion("song", "ada", last, (Share("ada", 10**6),), (), last))
    books.do("agreement/song", agreement, CloseVersions(last))
    for balances in books.balances().values():
        assert balances["clearing:stripe"] == balances["platform-fee"] == balances["seller:fan"] == 0
        assert [name for name, amount in balances.items() if amount and name.startswith("carry:")] == []
        shared = {name: amount for name, amount in balances.items() if not name.startswith("carry:")}
        assert sum(shared.values()) == 0


def test_the_largest_amount_there_is_loses_nothing() -> None:
    books = Books()
    books.do("agreement/song", domain.agreement, AgreementOpened("song", "ada"))
    shares = (Share("ada", 333_333), Share("bob", 333_333), Share("eve", 333_334))
    books.do("agreement/song", domain.agreement, SetVersion("song", "ada", START, shares, (), START))
    sale = Sale(Reference("shop", "1"), "song", SaleKind.TIP, "USD", UINT256_MAX, "stripe", START)
    (posted,) = books.do("agreement/song", domain.agreement, PostSale(sale, 1, 777))
    assert sum(amount for _, amount in posted.entries) == 0
    assert dict(posted.entries)["clearing:stripe"] == UINT256_MAX
    refund = Refund(Reference("shop", "2"), sale.reference, UINT256_MAX, "returned", START)
    books.do("agreement/song", domain.agreement, PostRefund(refund, posted))
    assert set(books.balances()["USD"].values()) == {0}

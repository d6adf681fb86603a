"""A band inside a split: what a group gets is shared on, level by level, to the unit."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from royalties_platform import agreed, post, refund, sale, version
from royalties_world import World

from eventlog import JointIntent
from projections.testing import rebuilt_alike
from royalties import domain, projections
from royalties.domain import (
    AgreementOpened,
    CarryGivenOut,
    CloseVersions,
    GroupShared,
    PostRefund,
    PostReversal,
    PostSale,
    Reference,
    Refund,
    Refused,
    Reversal,
    Sale,
    SaleKind,
    SalePosted,
    SetVersion,
    Share,
    groups,
)
from royalties.recorder import agreement_stream, decide_with_groups, groups_of
from royalties.what_if import Terms, what_if

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("song", "band", "duo")
PPM = 1_000_000


class Agreements(World):
    def command(self, name: str, command: Any, at: datetime = START) -> list[Any]:
        """What comes of it, in all agreements. Refused, it is nothing."""
        states = {agreement_stream(one): domain.agreement for one in (name, *NAMES)}
        return self.do(JointIntent(states, lambda known: decide_with_groups(command, name, known, at), at))

    def opened(self, **splits: dict[str, int]) -> Agreements:
        for name, split in splits.items():
            self.command(name, AgreementOpened(name, "ada"))
            self.command(name, SetVersion(name, "ada", START, shares(split), (), START))
        return self


def shares(split: dict[str, int]) -> tuple[Share, ...]:
    return tuple(Share(who, ppm) for who, ppm in split.items())


def nested() -> Agreements:
    return Agreements().opened(
        duo={"dan": 333_333, "eve": 666_667},
        band={"bob": 250_001, "cleo": 249_999, "agreement:duo": 500_000},
        song={"ada": 400_000, "agreement:band": 600_000},
    )


def sold(number: int, amount: int, asset: str = "USD", at: datetime = START) -> PostSale:
    reference = Reference("shop", f"s-{number}")
    return PostSale(Sale(reference, "song", SaleKind.PURCHASE, asset, amount, "stripe", at), 1, 500)


def test_every_level_divides_what_it_got_and_names_the_way() -> None:
    found = nested().command("song", sold(1, 1_000))
    assert [(event.line_kind, getattr(event, "path", None)) for event in found] == [
        ("purchase-sale", None),
        ("purchase-share", "song/1/band/1"),
        ("purchase-share", "song/1/band/1/duo/1"),
    ]
    assert [event.amount for event in found[1:]] == [570, 285]
    assert dict(found[2].entries) == {
        "group:duo": 285, "earnings:dan": -94, "earnings:eve": -190, "carry:duo/1/0": -1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "split", "code"),
    [
        ("duo", {"agreement:duo": PPM}, "split-cycle"),
        ("duo", {"dan": 500_000, "agreement:song": 500_000}, "split-cycle"),
        ("song", {"ada": 500_000, "agreement:nobody": 500_000}, "no-split"),
    ],
)
def test_what_would_come_back_or_can_not_be_shared_is_refused(name: str, split: dict[str, int], code: str) -> None:
    states = nested().states | {agreement_stream("nobody"): domain.agreement.initial}
    later = START + timedelta(days=1)
    with pytest.raises(Refused) as refused:
        decide_with_groups(SetVersion(name, "ada", later, shares(split), (), START), name, states, START)
    assert refused.value.code == code


def test_levels_are_bounded_and_two_who_close_a_circle_at_once_break_nothing_but_their_sales() -> None:
    names = [f"a{number}" for number in range(groups.MOST_LEVELS + 2)]
    states: dict[str, Any] = {}
    for name, below in zip(names, [None, *names], strict=False):
        split = {"ada": PPM} if below is None else {f"agreement:{below}": PPM}
        command = SetVersion(name, "ada", START, shares(split), (), START)
        state = domain.agreement.evolve(domain.agreement.initial, AgreementOpened(name, "ada"))
        states[agreement_stream(name)] = state
        if name == names[-1]:
            with pytest.raises(Refused, match="at most 4 levels"):
                decide_with_groups(command, name, states, START)
        for _, event in decide_with_groups(command, name, states, START) if name != names[-1] else ():
            states[agreement_stream(name)] = domain.agreement.evolve(state, event)
    circle = domain.AgreementVersionSet(names[0], 2, START, shares({f"agreement:{names[1]}": PPM}), ())
    states[agreement_stream(names[0])] = domain.agreement.evolve(states[agreement_stream(names[0])], circle)
    sale = Sale(Reference("shop", "1"), names[1], SaleKind.TIP, "USD", 100, "stripe", START)
    with pytest.raises(Refused, match="at most 200 shares"):
        decide_with_groups(PostSale(sale, 1, 0), names[1], states, START)


def test_only_agreements_that_share_in_it_are_looked_at() -> None:
    states = nested().states
    assert set(groups_of("song")(states)) == {agreement_stream(name) for name in NAMES}
    assert set(groups_of("duo")(states)) == {agreement_stream("duo")}
    assert set(groups_of("song")({})) == {agreement_stream("song")}


splits = st.lists(st.integers(1, 99), min_size=1, max_size=4)


def _split(cuts: list[int], people: list[str], below: str | None) -> dict[str, int]:
    """In the proportions of `cuts`, the last for the agreement below."""
    names = [*people[: len(cuts) - 1], people[-1] if below is None else f"agreement:{below}"]
    parts = [cut * PPM // sum(cuts) for cut in cuts]
    return dict(zip(names, [*parts[:-1], PPM - sum(parts[:-1])], strict=True))


@st.composite
def histories(draw: st.DrawFn) -> Agreements:
    books, now, below, people = nested(), START, {"song": "band", "band": "duo", "duo": None}, ["p", "q", "r", "last"]
    steps = ("sale", "sale", "sale", "refund", "reverse", "version", "close")
    for number, step in enumerate(draw(st.lists(st.sampled_from(steps), min_size=3, max_size=25))):
        now += timedelta(days=1)
        name, sales = Reference("shop", f"n-{number}"), books.of(SalePosted)
        match step:
            case "sale":
                at = max(START, now - timedelta(days=draw(st.integers(0, 5))))  # some are told late
                amount = draw(st.one_of(st.integers(1, 30), st.integers(1, 10**70)))
                books.command("song", sold(number, amount, draw(st.sampled_from(("USD", "TRX"))), at), at)
            case "refund" if sales:
                of = draw(st.sampled_from(sales))
                back = Refund(name, of.reference, draw(st.integers(1, of.sale.amount)), "returned", now)
                books.command("song", PostRefund(back, of), of.sale.occurred_at)
            case "reverse" if sales:
                of = draw(st.sampled_from(sales))
                reversal = Reversal(name, of.reference, "mistake", "olga")
                books.command("song", PostReversal(reversal, of, None), of.sale.occurred_at)
            case "version":
                one = draw(st.sampled_from(NAMES))
                split = shares(_split(draw(splits), people, below[one]))
                books.command(one, SetVersion(one, "ada", now, split, (), now), now)
            case "close":
                books.command(draw(st.sampled_from(NAMES)), CloseVersions(now), now)
            case _:
                pass  # nothing to take back yet
    return books


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(books=histories())
def test_nothing_is_lost_between_levels_and_each_keeps_less_than_a_unit_for_each_recipient(books: Agreements) -> None:
    sums: Counter[str] = Counter()
    for (account, asset), amount in books.balances().items():
        sums[asset] += amount
        assert amount == 0 or not account.startswith("group:")
        if account.startswith("carry:"):
            assert 0 <= -amount < 4
    assert not any(sums.values())
    assert books.folded_again() == books.states


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(books=histories())
def test_what_a_group_gave_is_a_function_of_what_it_got(books: Agreements) -> None:
    """Computed once more: floor(total so far x share) under each of its versions since its carry was given out last."""
    splits = {(one.agreement, one.version): one.shares for one in books.of(domain.AgreementVersionSet)}
    running: Counter[tuple[str, int, str]] = Counter()
    for event in books.events:
        if isinstance(event, CarryGivenOut):
            running.pop((event.agreement, event.version, event.asset))
        if isinstance(event, SalePosted | domain.RefundPosted | domain.ReversalPosted):
            agreement = "song"
        elif isinstance(event, GroupShared):
            agreement = event.agreement
            assert sum(net for _, net in event.tiers) == event.amount
        else:
            continue
        key, net = (agreement, event.version, event.asset), sum(net for _, net in event.tiers)
        before, after = running[key], running[key] + net
        running[key] = after
        wanted = {one.recipient: after * one.ppm // PPM - before * one.ppm // PPM for one in splits[key[:2]]}
        own = event.agreement if isinstance(event, GroupShared) else None
        assert dict(domain.books.parts_of(event.entries, own)) == {who: part for who, part in wanted.items() if part}


async def test_members_of_a_band_see_on_their_statements_the_way_their_part_came(ledger: Any) -> None:
    client = ledger.client
    await agreed(client, "band", bob=500_000, cleo=500_000)
    await agreed(client, "song", ada=400_000, **{"agreement:band": 600_000})
    circle = version(start=START + timedelta(days=9_000), **{"agreement:song": PPM})
    assert (await post(client, "/agreements/band/versions", circle, status=409))["type"].endswith("split-cycle")
    (told,) = (await post(client, "/sales", {"sales": [sale("s-1", 1_000)]}))["results"]
    assert told["parts"] == [{"recipient": "ada", "amount": "400"}, {"recipient": "agreement:band", "amount": "600"}]
    await post(client, "/refunds", {"refunds": [refund("r-1", "s-1", 500)]})
    await ledger.shown()
    lines = (await ledger.get("/parties/bob/statement", asset="USD"))["lines"]
    assert [(line["kind"], line["amount"], line["path"], line["reference"]) for line in lines] == [
        ("purchase-share", "300", "song/1/band/1", "s-1"),
        ("purchase-share", "-150", "song/1/band/1", "r-1"),
    ]
    why = await ledger.get(f"/lines/{lines[0]['position']}/{lines[0]['posting']}/why")
    assert [fact["type"] for fact in why["rests_on"]] == ["SalePosted.v1", "AgreementVersionSet.v1"]
    assert (why["agrees"], [share["total_after"] for share in why["shares"]]) == (True, ["600"])
    earned = await ledger.get("/artists/cleo/earnings")
    assert [(one["kind"], one["amount"]) for one in earned["by_kind"]] == [("purchase", "150")]
    assert (await ledger.get("/trial-balance"))["balanced"]
    replayed = await what_if(ledger.log, Terms(), START, START + timedelta(days=9))
    assert {line.party for line in replayed.lines} >= {"ada", "bob", "cleo"}
    assert not any(change.change for change in replayed.lines.values())
    await rebuilt_alike(ledger.log, [projections.Ledger()], may_be_empty=["ledger"])  # there is no fee

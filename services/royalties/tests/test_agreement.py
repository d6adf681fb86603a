"""How sales off the chain are divided, refunded and corrected; whole histories are in test_agreement_property.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from eventlog.testing import given
from royalties import domain
from royalties.domain import (
    AgreementOpened,
    AgreementVersionSet,
    AssetRegistered,
    Breakpoint,
    CarryGivenOut,
    CloseVersions,
    ControlAccepted,
    ControlOffered,
    OfferControl,
    PostRefund,
    PostReversal,
    PostSale,
    Reference,
    Refund,
    RefundPosted,
    Refused,
    Reversal,
    Sale,
    SaleKind,
    SalePosted,
    SetTerms,
    SetVersion,
    Share,
    TermsSet,
)
from royalties.domain.terms import in_force


def day(month: int, of: int = 1) -> datetime:
    return datetime(2026, month, of, tzinfo=UTC)


FEBRUARY, MARCH = day(2), day(3)
HALVES = (Share("ada", 500_000), Share("bob", 500_000))
THIRDS = (Share("ada", 333_333), Share("bob", 333_333), Share("eve", 333_334))
OPENED = AgreementOpened("song", "ada")
FIRST = AgreementVersionSet("song", 1, day(1), HALVES, ())
SECOND = AgreementVersionSet("song", 2, day(3), (Share("bob", 1_000_000),), ())


def sale(number: int = 1, amount: int = 100, at: datetime = FEBRUARY, **more: Any) -> Sale:
    facts = {"agreement": "song", "kind": SaleKind.PURCHASE, "asset": "USD", "amount": amount, "source": "stripe"}
    return Sale(Reference("shop", f"s-{number}"), occurred_at=at, **{**facts, **more})


def post(number: int = 1, amount: int = 100, at: datetime = FEBRUARY, fee_bps: int = 0, **more: Any) -> PostSale:
    return PostSale(sale(number, amount, at, **more), 1 if fee_bps else 0, fee_bps)


def decided(command: object, *history: object) -> list[Any]:
    decider = domain.agreement
    return list(decider.decide(command, decider.fold(history)))  # type: ignore[arg-type]  # one of its commands


def posted(command: PostSale, *history: object) -> SalePosted:
    event, *_ = decided(command, *history)
    assert isinstance(event, SalePosted)
    return event


# ---- sales ------------------------------------------------------------------------------------------------------


def test_a_sale_leaves_the_fee_and_divides_the_rest() -> None:
    event = posted(post(amount=101, fee_bps=1_000), OPENED, FIRST)
    assert event.entries == (
        ("clearing:stripe", 101), ("platform-fee", -10), ("earnings:ada", -45), ("earnings:bob", -45),
        ("carry:song/1/0", -1),
    )  # fmt: skip
    assert (event.version, event.tiers, event.terms, event.fee_bps) == (1, ((0, 91),), 1, 1_000)
    assert event.line_kind == "purchase-sale"


def test_what_rounding_down_left_goes_out_as_soon_as_it_is_a_unit() -> None:
    first = posted(post(1, amount=1), OPENED, FIRST)
    assert first.entries == (("clearing:stripe", 1), ("carry:song/1/0", -1))
    second = posted(post(2, amount=1), OPENED, FIRST, first)
    assert dict(second.entries) == {
        "clearing:stripe": 1, "earnings:ada": -1, "earnings:bob": -1, "carry:song/1/0": 1,
    }  # fmt: skip


def test_of_a_secondary_sale_only_the_royalty_is_shared_and_leaves_a_fee() -> None:
    event = posted(
        post(amount=1_000, fee_bps=1_000, kind=SaleKind.SECONDARY, seller="fan-7", royalty=100), OPENED, FIRST
    )
    assert dict(event.entries) == {
        "clearing:stripe": 1_000, "platform-fee": -10, "seller:fan-7": -900, "earnings:ada": -45, "earnings:bob": -45,
    }  # fmt: skip


def test_one_recipient_may_have_it_all() -> None:
    alone = replace(FIRST, shares=(Share("ada", 1_000_000),))
    assert dict(posted(post(), OPENED, alone).entries) == {"clearing:stripe": 100, "earnings:ada": -100}


def test_a_sale_needs_a_split_at_its_time() -> None:
    given(domain.agreement, OPENED).when(post()).then_refused(Refused, "has no split")
    given(domain.agreement, OPENED, FIRST).when(post(at=datetime(2025, 12, 31, tzinfo=UTC))).then_refused(Refused)


def test_parts_that_do_not_fit_together_are_refused() -> None:
    book = given(domain.agreement, OPENED, FIRST)
    book.when(post(amount=0)).then_refused(Refused, "above 0")
    book.when(post(seller="fan-7")).then_refused(Refused, "only a secondary sale")
    book.when(post(kind=SaleKind.SECONDARY, seller="fan-7")).then_refused(Refused, "a royalty below")
    book.when(post(kind=SaleKind.SECONDARY, seller="fan-7", royalty=100)).then_refused(Refused, "a royalty below")


# ---- breakpoints ------------------------------------------------------------------------------------------------


def test_a_sale_that_crosses_a_breakpoint_is_divided_at_it_to_the_unit() -> None:
    tiered = replace(FIRST, breakpoints=(Breakpoint("USD", 150, (Share("bob", 900_000), Share("eve", 100_000))),))
    first = posted(post(1, amount=100), OPENED, tiered)
    second = posted(post(2, amount=100), OPENED, tiered, first)
    third = posted(post(3, amount=100), OPENED, tiered, first, second)
    assert [event.tiers for event in (first, second, third)] == [((0, 100),), ((0, 50), (1, 50)), ((1, 100),)]
    assert dict(second.entries) == {
        "clearing:stripe": 100, "earnings:ada": -25, "earnings:bob": -25 - 45, "earnings:eve": -5,
    }  # fmt: skip
    assert dict(third.entries) == {"clearing:stripe": 100, "earnings:bob": -90, "earnings:eve": -10}
    exact = posted(post(2, amount=50), OPENED, tiered, first)
    assert exact.tiers == ((0, 50),)


def test_a_breakpoint_concerns_its_own_asset_only() -> None:
    tiered = replace(FIRST, breakpoints=(Breakpoint("USD", 10, (Share("eve", 1_000_000),)),))
    assert posted(post(amount=100, asset="DCMX"), OPENED, tiered).tiers == ((0, 100),)


def test_a_refund_takes_from_the_highest_tier_first() -> None:
    tiered = replace(FIRST, breakpoints=(Breakpoint("USD", 150, (Share("eve", 1_000_000),)),))
    first = posted(post(1, amount=100), OPENED, tiered)
    second = posted(post(2, amount=100), OPENED, tiered, first)
    (back,) = decided(refund(first, 100), OPENED, tiered, first, second)
    assert back.tiers == ((0, -50), (1, -50))


# ---- versions ---------------------------------------------------------------------------------------------------


def test_the_first_sale_of_a_version_gives_out_the_carry_of_those_before() -> None:
    thirds = replace(FIRST, shares=THIRDS)
    early = posted(post(1, amount=101), OPENED, thirds)
    assert dict(early.entries)["carry:song/1/0"] == -2
    given(domain.agreement, OPENED, thirds, SECOND, early).when(post(2, at=day(3))).then(
        posted(post(2, at=day(3)), OPENED, thirds, SECOND),
        CarryGivenOut("song", 1, 0, "USD", (("carry:song/1/0", 2), ("earnings:eve", -1), ("earnings:ada", -1))),
    )


def test_a_late_sale_goes_by_the_version_of_its_time_whose_carry_then_waits_for_the_next_sale() -> None:
    history: list[Any] = [OPENED, FIRST, SECOND]
    for number, (amount, at) in enumerate([(1, day(2)), (10, day(3)), (1, day(2)), (10, day(4))]):
        history += decided(post(number, amount, at), *history)
    _, early, timely, given_out, late, last, again = history[2:]
    assert dict(early.entries) == {"clearing:stripe": 1, "carry:song/1/0": -1}
    assert (timely.version, last.version, late.version) == (2, 2, 1)
    assert given_out.entries == (("carry:song/1/0", 1), ("earnings:ada", -1))
    assert dict(late.entries) == {"clearing:stripe": 1, "carry:song/1/0": -1}
    assert again == given_out


def test_versions_that_are_over_can_be_closed_without_a_sale() -> None:
    early = posted(post(1, amount=1), OPENED, FIRST)
    book = given(domain.agreement, OPENED, FIRST, SECOND, early)
    book.when(CloseVersions(day(2))).then_nothing()
    closed = CarryGivenOut("song", 1, 0, "USD", (("carry:song/1/0", 1), ("earnings:ada", -1)))
    book.when(CloseVersions(day(3))).then(closed)
    given(domain.agreement, OPENED, FIRST, SECOND, early, closed).when(CloseVersions(day(3))).then_nothing()


def set_second(by: str = "ada", start: datetime = MARCH, at: datetime = FEBRUARY) -> SetVersion:
    return SetVersion("song", by, start, SECOND.shares, (), at)


def test_versions_follow_each_other_and_never_reach_back() -> None:
    book = given(domain.agreement, OPENED, FIRST)
    book.when(set_second()).then(SECOND)
    book.when(set_second(start=day(2), at=day(3))).then_refused(Refused, "expected a version from after")
    book.when(set_second(start=day(1), at=day(1))).then_refused(Refused, "expected a version from after")
    given(domain.agreement, OPENED, FIRST, SECOND).when(set_second()).then_nothing()
    given(domain.agreement, OPENED).when(set_second(start=day(1), at=day(2))).then(
        replace(SECOND, version=1, effective_from=day(1))
    )


def test_a_split_that_does_not_add_up_is_refused() -> None:
    book = given(domain.agreement, OPENED)
    one = set_second()
    book.when(replace(one, shares=(Share("ada", 999_999),))).then_refused(Refused, "sum to 1000000")
    book.when(replace(one, shares=(Share("ada", 500_000),) * 2)).then_refused(Refused, "each once")
    book.when(replace(one, shares=())).then_refused(Refused, "1 or more")
    many = tuple(Share(f"party-{n}", 1) for n in range(201))
    book.when(replace(one, shares=many)).then_refused(Refused, "at most 200")
    steps = (Breakpoint("USD", 10, HALVES), Breakpoint("USD", 10, HALVES))
    book.when(replace(one, breakpoints=steps)).then_refused(Refused, "that grow")


def test_control_passes_on_in_two_steps() -> None:
    given(domain.agreement).when(OPENED).then(OPENED)
    given(domain.agreement, OPENED).when(OPENED).then_nothing()
    given(domain.agreement, OPENED).when(AgreementOpened("song", "eve")).then_refused(Refused, "controlled by ada")
    book = given(domain.agreement, OPENED)
    book.when(OfferControl("song", "eve", "eve")).then_refused(Refused, "expected ada")
    book.when(OfferControl("song", "ada", "bob")).then(ControlOffered("song", "bob"))
    book.when(ControlAccepted("song", "bob")).then_refused(Refused, "not offered")
    offered = given(domain.agreement, OPENED, ControlOffered("song", "bob"))
    offered.when(ControlAccepted("song", "eve")).then_refused(Refused, "not offered")
    offered.when(ControlAccepted("song", "bob")).then(ControlAccepted("song", "bob"))
    passed = given(domain.agreement, OPENED, ControlOffered("song", "bob"), ControlAccepted("song", "bob"))
    passed.when(set_second("ada")).then_refused(Refused, "expected bob")
    passed.when(set_second("bob")).then(replace(SECOND, version=1))
    given(domain.agreement).when(set_second()).then_refused(Refused, "no such agreement")


# ---- refunds and corrections ------------------------------------------------------------------------------------


def refund(of: SalePosted, amount: int, number: int = 1) -> PostRefund:
    return PostRefund(Refund(Reference("shop", f"r-{number}"), of.reference, amount, "returned", day(2)), of)


def test_a_refund_takes_back_what_the_sale_gave() -> None:
    one = posted(post(amount=101, fee_bps=1_000), OPENED, FIRST)
    (whole,) = decided(refund(one, 101), OPENED, FIRST, one)
    assert sorted(whole.entries) == sorted((account, -amount) for account, amount in one.entries)
    assert (whole.left, whole.line_kind) == (0, "purchase-refund")


def test_refunds_in_parts_end_where_a_whole_one_does() -> None:
    one = posted(post(amount=101, fee_bps=333), OPENED, FIRST)
    history: list[Any] = [OPENED, FIRST, one]
    for number, amount in enumerate((1, 50, 50)):
        history += decided(refund(one, amount, number), *history)
    sums: dict[str, int] = {}
    for event in history[2:]:
        for account, amount in event.entries:
            sums[account] = sums.get(account, 0) + amount
    assert set(sums.values()) == {0}


def test_no_more_is_refunded_than_was_paid() -> None:
    one = posted(post(amount=100), OPENED, FIRST)
    (part,) = decided(refund(one, 60), OPENED, FIRST, one)
    book = given(domain.agreement, OPENED, FIRST, one, part)
    book.when(refund(one, 41, 2)).then_refused(Refused, "40 are left")
    book.when(refund(one, 0, 2)).then_refused(Refused)


def test_a_refund_after_the_carry_was_given_out_takes_whole_units_and_carries_what_is_over() -> None:
    history: list[Any] = [OPENED, FIRST, SECOND]
    history += decided(post(1, 1), *history)
    history += decided(CloseVersions(day(3)), *history)
    (back,) = decided(refund(history[3], 1), *history)
    assert dict(back.entries) == {"clearing:stripe": -1, "earnings:ada": 1, "earnings:bob": 1, "carry:song/1/0": -1}


def reversal(of: SalePosted, taken: RefundPosted | None = None, number: int = 1) -> PostReversal:
    what = of.reference if taken is None else taken.reference
    return PostReversal(Reversal(Reference("office", f"x-{number}"), what, "entered twice", "officer-1"), of, taken)


def test_a_sale_is_reversed_once_with_what_is_left_of_it() -> None:
    one = posted(post(amount=100), OPENED, FIRST)
    (part,) = decided(refund(one, 60), OPENED, FIRST, one)
    (undone,) = decided(reversal(one), OPENED, FIRST, one, part)
    assert dict(undone.entries) == {"clearing:stripe": -40, "earnings:ada": 20, "earnings:bob": 20}
    assert (undone.reversal, undone.left) == (reversal(one).reversal, 0)
    book = given(domain.agreement, OPENED, FIRST, one, part, undone)
    book.when(reversal(one, number=2)).then_refused(Refused, "reversed before")
    book.when(reversal(one, part, 3)).then_refused(Refused, "reversed before")
    book.when(refund(one, 1, 2)).then_refused(Refused, "0 are left")


def test_a_refund_is_reversed_once_and_the_sale_stands_again() -> None:
    one = posted(post(amount=100), OPENED, FIRST)
    (part,) = decided(refund(one, 60), OPENED, FIRST, one)
    (undone,) = decided(reversal(one, part), OPENED, FIRST, one, part)
    assert dict(undone.entries) == {"clearing:stripe": 60, "earnings:ada": -30, "earnings:bob": -30}
    book = given(domain.agreement, OPENED, FIRST, one, part, undone)
    book.when(reversal(one, part, 2)).then_refused(Refused, "reversed before")
    (again,) = decided(refund(one, 100, 2), OPENED, FIRST, one, part, undone)
    assert again.left == 0


# ---- terms and assets -------------------------------------------------------------------------------------------


def test_terms_hold_from_their_time_on() -> None:
    first, second = TermsSet(1, day(1), {SaleKind.TIP: 0}), TermsSet(2, day(3), {SaleKind.TIP: 250})
    given(domain.terms).when(SetTerms({SaleKind.TIP: 0}, day(1), day(2))).then(first)
    book = given(domain.terms, first)
    book.when(SetTerms({SaleKind.TIP: 250}, day(3), day(2))).then(second)
    book.when(SetTerms({SaleKind.TIP: 250}, day(1, 15), day(2))).then_refused(Refused, "from after")
    book.when(SetTerms({SaleKind.TIP: 10_001}, day(3), day(2))).then_refused(Refused, "basis points")
    given(domain.terms, first, second).when(SetTerms({SaleKind.TIP: 250}, day(3), day(2))).then_nothing()
    found = [in_force((first, second), at).version for at in (datetime(2025, 1, 1, tzinfo=UTC), day(1), day(2), day(3))]
    assert found == [0, 1, 1, 2]


def test_the_scale_of_an_asset_never_changes() -> None:
    coin = AssetRegistered("coin:ada", 8)
    given(domain.asset).when(coin).then(coin)
    given(domain.asset, coin).when(coin).then_nothing()
    given(domain.asset, coin).when(AssetRegistered("coin:ada", 9)).then_refused(Refused, "has the scale 8")
    given(domain.asset).when(AssetRegistered("USD", 3)).then_refused(Refused, "has the scale 2")
    given(domain.asset).when(AssetRegistered("USD", 2)).then_nothing()

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts import Message
from contracts.chain import PaymentKind
from contracts.testing import address, source
from eventlog.testing import given
from messaging import Received
from royalties import domain, handlers
from royalties.domain import (
    CarrySettlementPosted,
    Contradiction,
    PaymentPosted,
    PostPayment,
    PostRoyalty,
    PostWithdrawal,
    RecordSale,
    RoyaltyPosted,
    SaleRecorded,
    SetSplit,
    SettleCarry,
    Share,
    SplitControlAccepted,
    SplitDifferenceFound,
    SplitSet,
    TrackRegistered,
)
from royalties.domain.books import Posting, credit, debit, entry
from royalties.domain.split import next_of_carry, parts

ADA, BOB, FAN = sorted(address(n) for n in range(3))


def controlled(block: int = 1) -> SplitControlAccepted:
    return SplitControlAccepted(7, ADA, source(block))


def halves(block: int = 2, version: int = 1) -> SplitSet:
    return SplitSet(7, version, (Share(ADA, 500_000), Share(BOB, 500_000)), source(block))


def pay(block: int, payment: int = 1, amount: int = 101, version: int = 1) -> PostPayment:
    return PostPayment(7, payment, FAN, PaymentKind.DIRECT, amount, 0, version, source(block))


def paid(block: int, payment: int = 1, amount: int = 101, version: int = 1) -> PaymentPosted:
    postings = entry(debit("custody:royalty-distributor", amount), credit(f"carry:7/{version}", amount))
    return PaymentPosted(7, payment, FAN, PaymentKind.DIRECT, amount, 0, version, source(block), postings)


def part(block: int, log: int, who: str, amount: int = 50, payment: int = 1) -> PostRoyalty:
    return PostRoyalty(7, payment, who, amount, source(block, log))


def credited(block: int, log: int, who: str, amount: int = 50, payment: int = 1) -> RoyaltyPosted:
    return RoyaltyPosted(7, payment, who, amount, PaymentKind.DIRECT, 1, source(block, log), given_out(who, amount))


def given_out(who: str, amount: int) -> tuple[Posting, ...]:
    return entry(debit("carry:7/1", amount), credit(f"earnings:{who}", amount))


PAID = (controlled(), halves(), paid(3))


def sale(kind: PaymentKind, price: int, forwarded: int, block: int = 5) -> RecordSale:
    return RecordSale(7_000_001, 7, ADA, FAN, price, forwarded, kind, source(block))


def sold(kind: PaymentKind, price: int, forwarded: int, *postings: Posting) -> SaleRecorded:
    return SaleRecorded(7_000_001, 7, ADA, FAN, price, forwarded, kind, source(5), postings)


# ---- sales and withdrawals --------------------------------------------------------------------------------------


def test_a_primary_sale_leaves_nothing_at_music_nft() -> None:
    given(domain.token).when(sale(PaymentKind.PRIMARY, 100, 100)).then(sold(PaymentKind.PRIMARY, 100, 100))


def test_a_secondary_sale_is_owed_to_the_seller_without_the_royalty() -> None:
    kept = (debit("custody:music-nft", 90), credit(f"seller:{ADA}", 90))
    given(domain.token).when(sale(PaymentKind.SECONDARY, 100, 10)).then(sold(PaymentKind.SECONDARY, 100, 10, *kept))


def test_a_royalty_above_the_price_is_refused() -> None:
    given(domain.token).when(sale(PaymentKind.SECONDARY, 10, 11)).then_refused(Contradiction, "exceeds the price")


def test_a_sale_told_again_is_no_other_sale() -> None:
    given(domain.token, sold(PaymentKind.PRIMARY, 1, 1)).when(sale(PaymentKind.PRIMARY, 1, 1)).then_nothing()
    given(domain.token, sold(PaymentKind.PRIMARY, 1, 1)).when(sale(PaymentKind.PRIMARY, 1, 1, block=4)).then_nothing()


def test_withdrawals_from_the_two_contracts_are_told_apart_by_place_and_contract() -> None:
    first = PostWithdrawal(ADA, "royalty-distributor", 5, source(9))
    posted = domain.account.decide(first, {})
    given(domain.account, *posted).when(first).then_nothing()
    earlier = PostWithdrawal(ADA, "music-nft", 6, source(8))
    (proceeds,) = domain.account.decide(earlier, domain.account.fold(posted))
    assert proceeds.postings == (debit(f"seller:{ADA}", 6), credit("custody:music-nft", 6))


# ---- splits and payments ----------------------------------------------------------------------------------------


def test_a_payment_is_held_under_its_split_until_it_is_credited() -> None:
    given(domain.track, controlled(), halves()).when(pay(3)).then(paid(3))
    given(domain.track, *PAID).when(part(3, 1, ADA)).then(credited(3, 1, ADA))


def test_dust_is_carried_and_given_out_when_the_next_payment_makes_it_whole() -> None:
    before = (*PAID, credited(3, 1, ADA), credited(3, 2, BOB), paid(4, 2, 1))
    given(domain.track, *before).when(part(4, 1, ADA, 1, payment=2)).then(credited(4, 1, ADA, 1, payment=2))


def test_without_a_split_the_controller_is_paid_alone() -> None:
    alone = (controlled(), paid(3, version=0))
    state = domain.track.fold(alone)
    (posted,) = domain.track.decide(part(3, 1, ADA, 101), state)
    assert isinstance(posted, RoyaltyPosted)
    assert posted.postings == (debit("carry:7/0", 101), credit(f"earnings:{ADA}", 101))


def test_what_the_track_has_seen_changes_nothing_when_told_again() -> None:
    history = (*PAID, credited(3, 1, ADA))
    for again in (controlled(), pay(3), part(3, 1, ADA)):
        given(domain.track, *history).when(again).then_nothing()
    released = TrackRegistered(7, ADA, "A Song", "Ada", 500, source(1))
    given(domain.track, released).when(released).then_nothing()
    given(domain.track, released).when(replace(released, artist=BOB)).then_refused(Contradiction, "released")


@pytest.mark.parametrize(
    ("command", "saying"),
    [
        (part(3, 1, ADA, payment=9), "payment 9: a credit"),
        (part(3, 1, ADA, amount=102), "holds 101 sun"),
        (pay(4, payment=1), "expected a number above 1"),
        (pay(4, payment=2, version=2), "expected split 1, got 2"),
        (replace(pay(4, payment=2), fee_sun=102), "exceeds the 101 sun paid"),
        (SetSplit(7, 2, (ADA, BOB), (1, 999_999), source(4)), "closes with 101 sun not given out"),
        (SettleCarry(7, 1, ADA, 102, source(4)), "holds 101 sun"),
        (SettleCarry(7, 2, ADA, 1, source(4)), "while split 1 is in force"),
    ],
)
def test_what_contradicts_the_books_is_refused_with_a_sentence(command: object, saying: str) -> None:
    given(domain.track, *PAID).when(command).then_refused(Contradiction, saying)


def test_a_credit_without_payment_or_a_second_one_is_refused() -> None:
    given(domain.track, controlled(), halves()).when(part(3, 1, ADA)).then_refused(
        Contradiction, "last payment is none"
    )
    once = (*PAID, credited(3, 1, ADA))
    given(domain.track, *once).when(part(3, 2, ADA)).then_refused(Contradiction, "was credited before")


def test_a_payment_for_a_track_that_the_distributor_does_not_know_is_refused() -> None:
    given(domain.track).when(pay(3, version=0)).then_refused(Contradiction, "does not know the track")


@pytest.mark.parametrize(
    ("recipients", "shares"),
    [((ADA,), (1_000_000,)), ((ADA, ADA), (500_000, 500_000)), ((ADA, BOB), (1_000_000,)), ((), ())],
)
def test_a_split_names_two_or_more_recipients_once_each(recipients: tuple[str, ...], shares: tuple[int, ...]) -> None:
    command = SetSplit(7, 1, recipients, shares, source(2))
    given(domain.track, controlled()).when(command).then_refused(Contradiction, "each once and with a share")


@pytest.mark.parametrize("shares", [(1_000_000, 0), (500_000, 500_001), (-1, 1_000_001)])
def test_the_shares_of_a_split_are_above_zero_and_sum_to_a_million(shares: tuple[int, int]) -> None:
    command = SetSplit(7, 1, (ADA, BOB), shares, source(2))
    given(domain.track, controlled()).when(command).then_refused(Contradiction, "sum to 1000000 ppm")
    wrong_version = SetSplit(7, 3, (ADA, BOB), (1, 999_999), source(2))
    given(domain.track, controlled()).when(wrong_version).then_refused(Contradiction, "expected version 1")


# ---- what the split says and what the chain did -----------------------------------------------------------------


def test_a_credit_of_another_amount_than_the_split_says_is_posted_and_pointed_out() -> None:
    difference = SplitDifferenceFound(7, 1, 1, ADA, 50, 49, source(3, 1))
    given(domain.track, *PAID).when(part(3, 1, ADA, 49)).then(credited(3, 1, ADA, 49), difference)
    stranger = SplitDifferenceFound(7, 1, 1, FAN, 0, 1, source(3, 1))
    given(domain.track, *PAID).when(part(3, 1, FAN, 1)).then(credited(3, 1, FAN, 1), stranger)


def test_a_credit_that_never_came_is_pointed_out_with_the_next_payment_and_only_once() -> None:
    missing = SplitDifferenceFound(7, 1, 1, BOB, 50, 0, source(3))
    before = (*PAID, credited(3, 1, ADA))
    given(domain.track, *before).when(pay(4, 2)).then(missing, paid(4, 2))
    given(domain.track, *before, missing, paid(4, 2)).when(part(4, 1, ADA, 51, 2)).then(credited(4, 1, ADA, 51, 2))


def test_carry_goes_to_the_largest_remainder_and_ties_to_the_lowest_address() -> None:
    before = (*PAID, credited(3, 1, ADA), credited(3, 2, BOB))
    settled = CarrySettlementPosted(7, 1, ADA, 1, source(4), given_out(ADA, 1))
    given(domain.track, *before).when(SettleCarry(7, 1, ADA, 1, source(4))).then(settled)
    other = CarrySettlementPosted(7, 1, BOB, 1, source(4), given_out(BOB, 1))
    difference = SplitDifferenceFound(7, 1, None, BOB, 0, 1, source(4))
    given(domain.track, *before).when(SettleCarry(7, 1, BOB, 1, source(4))).then(other, difference)
    assert next_of_carry({ADA: 300_000, BOB: 700_000}, 1, ()) == BOB
    assert next_of_carry({ADA: 300_000, BOB: 700_000}, 1, (BOB,)) == ADA


def test_small_holders_do_not_starve() -> None:
    shares, sums = {ADA: 500_000, BOB: 300_000, FAN: 200_000}, dict.fromkeys((ADA, BOB, FAN), 0)
    for total in range(1_000):
        for who, amount in parts(shares, total, 1).items():
            sums[who] += amount
    assert sums == {ADA: 500, BOB: 300, FAN: 200}


# ---- double entry -----------------------------------------------------------------------------------------------


def test_postings_that_do_not_balance_for_each_asset_are_an_error() -> None:
    assert entry(debit("custody:music-nft", 5), credit(f"seller:{ADA}", 5), credit("platform-fee", 0)) == (
        debit("custody:music-nft", 5),
        credit(f"seller:{ADA}", 5),
    )
    with pytest.raises(ValueError, match="do not balance"):
        entry(debit("custody:music-nft", 5), credit(f"seller:{ADA}", 4))
    with pytest.raises(ValueError, match="do not balance"):
        entry(debit("custody:music-nft", 5), credit(f"seller:{ADA}", 5, asset="DCMX"))
    with pytest.raises(ValueError, match="at least 0"):
        entry(debit("custody:music-nft", -5), credit(f"seller:{ADA}", -5))


@pytest.mark.parametrize("ignored", handlers.IGNORED)
def test_of_what_is_ignored_nothing_would_come(ignored: type[Message]) -> None:
    received = Received(ignored.model_construct(), "id", "/chain", "chain.music-nft", 0, 0, "7")
    assert handlers.translate(received) == []

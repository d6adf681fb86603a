"""Distributions in memory, whatever happens in whatever order: the books balance, nobody is paid twice."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.testing import address, hash_of
from contracts.values import UINT256_MAX
from eventlog import AnyIntent, EventTypes, Metadata
from royalties import domain
from royalties.distributing import intents
from royalties.domain import MONEY_MOVED, Reference, Refused, Side
from royalties.domain.distributions import (
    AllocateRevenue,
    ApproveDistribution,
    CancelDistribution,
    Distribution,
    DistributionReconciled,
    Holding,
    HoldPlaced,
    HoldReleased,
    OpenDistribution,
    PaymentAsked,
    PaymentDiffers,
    PaymentDone,
    PaymentMade,
    PaymentUndone,
    Share,
    TaxFormRecorded,
    Terms,
    payment,
    shares_of,
)

pytestmark = pytest.mark.endurance

NOW = datetime(2026, 10, 1, tzinfo=UTC)
TYPES = EventTypes(domain.EVENTS)
PEOPLE = [address(n) for n in range(6)]
POOL = "platform"


class World:
    """The log as a dictionary of states, and every event stored and read again as the log would."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.events: list[Any] = []

    def do(self, intent: AnyIntent) -> list[Any]:
        known = {stream: self.states.get(stream, decider.initial) for stream, decider in intent.deciders.items()}
        happened = []
        for stream, event in intent.decided(known):
            again = TYPES.decode(*TYPES.encode(event))
            assert again == event
            decider = intent.deciders[stream]
            self.states[stream] = decider.evolve(self.states.get(stream, decider.initial), again)
            happened.append(again)
        self.events += happened
        return happened

    def allocate(self, amount: int, reference: str = "r1") -> None:
        named = Reference("olga", reference)
        self.do(intents.allocate(AllocateRevenue(POOL, named, "TRX", amount, "treasury", "q", "olga"), NOW, Metadata()))

    def open(self, key: str, amount: int, minimum: int = 0, tax: bool = False, period: str = "") -> str:
        run = intents.distribution_id_of(key)
        terms = Terms(POOL, "TRX", None, amount, period or key, Holding("music-nft"), 7, minimum, tax, ())
        self.do(intents.open_(OpenDistribution(run, terms, "olga"), NOW, Metadata()))
        return run

    def run(self, run: str) -> Distribution:
        state: Distribution = self.states[intents.run_stream(run)]
        return state

    def approve(self, run: str, *officers: str) -> None:
        digest = self.run(run).previewed.digest  # type: ignore[union-attr]  # it is previewed
        for officer in officers:
            self.do(intents.approve(run, ApproveDistribution(officer, digest), NOW, Metadata()))

    def share(self, run: str, holders: dict[str, int]) -> None:
        self.do(intents.preview(run, holders, NOW))
        self.approve(run, "piet", "rosa")

    def credit(self, run: str, number: int = 2) -> None:
        """One slice."""
        state = self.run(run)
        upto = min(state.credited + number, len(state.shares))
        self.do(intents.credit(run, state.shares[state.credited : upto], upto, NOW))

    def under_way(self) -> list[PaymentAsked]:
        states = [state for name, state in self.states.items() if name.startswith("distribution-payment/")]
        return [state.asked for state in states if state.is_open]

    def failed(self) -> list[PaymentAsked]:
        states = [state for name, state in self.states.items() if name.startswith("distribution-payment/")]
        return [state.asked for state in states if state.failed is not None and state.end is None]

    def done(self, asked: PaymentAsked) -> None:
        told = PaymentDone(asked.attempt, hash_of(asked.payment_id), 9)
        self.do(intents.settle(asked.payment_id, told, NOW))

    def undone(self, asked: PaymentAsked) -> None:
        told = PaymentUndone(asked.attempt, "expired", "too late", None)
        self.do(intents.settle(asked.payment_id, told, NOW))

    def finish(self, run: str) -> list[Any]:
        of_run = [event for event in self.events if getattr(event, "distribution_id", None) == run]
        paid = sum(event.amount for event in of_run if isinstance(event, PaymentMade))
        given_up = sum(event.amount for event in of_run if type(event).__name__ == "PaymentGivenUp")
        return self.do(intents.finish(run, self.run(run).terms, paid, given_up, NOW))

    def balances(self) -> Counter[str]:
        """Credits less debits of every account."""
        sums: Counter[str] = Counter()
        for event in self.events:
            for posting in event.postings if isinstance(event, MONEY_MOVED) else ():
                sums[posting.account] += posting.amount if posting.side is Side.CREDIT else -posting.amount
        return sums

    def paid(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        for event in self.events:
            if isinstance(event, PaymentMade):
                sums[event.party] += event.amount
        return sums


holdings = st.dictionaries(st.sampled_from(PEOPLE), st.integers(1, 10**6) | st.just(UINT256_MAX), min_size=1)


@given(st.integers(0, 1_000) | st.integers(0, UINT256_MAX), holdings)
def test_shares_are_the_floor_of_what_is_held_and_leave_less_than_a_unit_a_holder(
    amount: int, holders: dict[str, int]
) -> None:
    shares = shares_of(amount, holders)
    assert list(shares) == sorted(shares, key=lambda share: share.party)
    assert all(share.amount == amount * holders[share.party] // sum(holders.values()) for share in shares)
    assert 0 <= amount - sum(share.amount for share in shares) < len(holders)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_held_fails_or_is_given_up_the_books_balance_and_every_distribution_ends(seed: int) -> None:
    chance, world = Random(seed), World()
    for quarter in range(3):
        amount = chance.randint(1, 10_000)
        world.allocate(amount, f"r{quarter}")
        run = world.open(f"q{quarter}", amount, chance.randint(0, 4_000), bool(chance.randint(0, 1)))
        world.share(run, {who: chance.randint(1, 50) for who in PEOPLE[: chance.randint(1, 6)]})
        while world.run(run).end is None:
            step = chance.randint(0, 6)
            _happen(step, chance, world, run)
            _consistent(world)
            if step and not world.under_way() and not world.failed() and world.run(run).is_credited:
                world.finish(run)
    balances = world.balances()
    assert balances["custody:treasury"] == sum(world.paid().values()) - sum(
        event.amount for event in world.events if type(event).__name__ == "RevenueAllocated"
    )
    assert not [name for name, balance in balances.items() if balance and name.startswith(("reserved", "distribution"))]


def _happen(step: int, chance: Random, world: World, run: str) -> None:
    party = chance.choice(PEOPLE)
    if step == 0:
        world.do(intents.note(HoldPlaced(party, "?", "olga"), NOW, Metadata()))
    elif step == 1:
        world.do(intents.note(HoldReleased(party, "!", "olga"), NOW, Metadata()))
        world.do(intents.note(TaxFormRecorded(party, "drawer 3", hash_of(party), "olga"), NOW, Metadata()))
    elif step == 2 and (failed := world.failed()):
        asked = chance.choice(failed)
        if chance.randint(0, 1):
            world.do(intents.give_up(asked.payment_id, asked.party, "olga", "gone", NOW, Metadata()))
        else:
            with suppress(Refused):  # if the party is held
                world.do(intents.retry(asked.payment_id, asked.party, NOW, Metadata()))
    elif step == 3 and (under_way := world.under_way()):
        world.undone(chance.choice(under_way))
    elif step >= 4 and (under_way := world.under_way()):
        world.done(chance.choice(under_way))
    else:
        world.credit(run)


def _consistent(world: World) -> None:
    balances = world.balances()
    assert sum(balances.values()) == 0
    assert [name for name, balance in balances.items() if balance < 0 and name != "custody:treasury"] == []
    assert balances["pool:platform"] == world.states["pool/platform"].free["TRX"]
    for who in PEOPLE:
        payee = world.states.get(intents.payee_stream(who))
        assert balances[f"carried:{who}"] == (payee.carried.get("TRX", 0) if payee is not None else 0)
    assert balances.total() == 0


def test_what_is_below_the_minimum_is_carried_forward_until_it_is_worth_a_payment() -> None:
    world = World()
    world.allocate(1_000)
    for number in range(5):
        run = world.open(f"q{number}", 100, minimum=120)
        world.share(run, {PEOPLE[0]: 1, PEOPLE[1]: 1})
        world.credit(run)
        for asked in world.under_way():
            world.done(asked)
        (end,) = [event for event in world.finish(run) if isinstance(event, DistributionReconciled)]
        assert end.shared + end.brought == end.paid + end.given_up + end.carried
        assert world.balances()[f"carried:{PEOPLE[0]}"] == (50, 100, 0, 50, 100)[number]
    assert world.paid() == {PEOPLE[0]: 150, PEOPLE[1]: 150}


def test_three_different_persons_take_part_and_the_approvers_name_what_they_saw() -> None:
    world = World()
    world.allocate(100)
    run = world.open("q", 100)

    def refused(officer: str, digest: str) -> str:
        with pytest.raises(Refused) as refusal:
            world.do(intents.approve(run, ApproveDistribution(officer, digest), NOW, Metadata()))
        return refusal.value.code

    assert refused("piet", hash_of()) == "not-previewed"
    world.do(intents.preview(run, {PEOPLE[0]: 1}, NOW))
    digest = world.run(run).previewed.digest  # type: ignore[union-attr]  # it is previewed
    assert refused("olga", digest) == "own-distribution"
    assert refused("piet", hash_of("another")) == "other-preview"
    world.approve(run, "piet", "piet")
    assert not world.run(run).is_approved
    world.credit(run)
    assert world.run(run).credited == 0, "one approval is none"
    world.approve(run, "rosa")
    assert world.run(run).is_approved
    assert refused("sven", digest) == "approved-already"
    with pytest.raises(Refused, match="being paid"):
        world.do(intents.cancel(run, world.run(run).terms, CancelDistribution("olga", "no"), NOW, Metadata()))


def test_a_pool_shares_what_it_has_and_a_period_once_unless_it_was_cancelled() -> None:
    world = World()
    world.allocate(100)
    world.allocate(100)
    with pytest.raises(Refused, match="free are 100"):
        world.open("q1", 101)
    run = world.open("q1", 60, period="2026-Q3")
    assert world.open("q1", 60, period="2026-Q3") == run
    with pytest.raises(Refused, match="2026-Q3"):
        world.open("q2", 10, period="2026-Q3")
    world.do(intents.cancel(run, world.run(run).terms, CancelDistribution("olga", "wrong block"), NOW, Metadata()))
    assert world.balances()["pool:platform"] == 100
    world.open("q2", 100, period="2026-Q3")
    with pytest.raises(Refused, match="opened as"):
        world.open("q2", 90, period="2026-Q3")


def test_an_attempt_that_was_done_and_not_done_is_a_contradiction_and_repetitions_are_nothing() -> None:
    world = World()
    world.allocate(100)
    run = world.open("q", 100)
    world.share(run, {PEOPLE[0]: 1})
    world.credit(run)
    (asked,) = world.under_way()
    with pytest.raises(Refused, match="may still be paid"):
        world.do(intents.retry(asked.payment_id, asked.party, NOW, Metadata()))
    world.undone(asked)
    world.undone(asked)
    with pytest.raises(domain.Contradiction, match="failed for good"):
        world.done(asked)
    world.do(intents.retry(asked.payment_id, asked.party, NOW, Metadata()))
    (again,) = world.under_way()
    assert (again.attempt, again.amount) == (2, 100)
    operations = {intents.operation_of(one.payment_id, one.attempt) for one in (asked, again)}
    assert len(operations) == 2, "each attempt is an operation of its own"
    assert {intents.attempt_of(one) for one in operations} == {(asked.payment_id, 1), (asked.payment_id, 2)}
    world.done(again)
    world.done(again)
    with pytest.raises(domain.Contradiction, match="it was paid"):
        world.undone(again)
    assert world.paid() == {PEOPLE[0]: 100}
    assert world.finish(run)
    assert world.finish(run) == []


def test_what_the_chain_shows_otherwise_is_on_record_and_changes_no_balance() -> None:
    world = World()
    world.allocate(100)
    run = world.open("q", 100)
    world.share(run, {PEOPLE[0]: 1})
    world.credit(run)
    (asked,) = world.under_way()
    world.done(asked)
    before, terms = world.balances(), world.run(run).terms
    differs = PaymentDiffers(run, asked.payment_id, asked.party, "TRX", 100, 99, hash_of(asked.payment_id), 9)
    found, end = world.do(intents.finish(run, terms, 100, 0, NOW, [differs]))
    assert (found, end.paid, end.differing) == (differs, 100, 1)
    assert world.balances() == before
    assert world.run(run).end == end


def test_operations_of_others_are_nobody_s_payment() -> None:
    assert payment.decide(PaymentDone(3, hash_of(), 1), payment.initial) == []


def test_the_shares_of_many_holders_are_listed_in_parts() -> None:
    world = World()
    world.allocate(10**9)
    run = world.open("q", 10**9)
    world.do(intents.preview(run, {address(n): 1 + n % 7 for n in range(4_100)}, NOW))
    parts = [event.shares for event in world.events if type(event).__name__ == "SharesListed"]
    assert [len(part) for part in parts] == [2_000, 2_000, 100]
    assert world.run(run).shares == tuple(share for part in parts for share in part)
    assert all(isinstance(share, Share) for share in world.run(run).shares)

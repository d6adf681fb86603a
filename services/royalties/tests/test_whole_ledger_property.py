"""All that moves money, in any order: the two contracts, sales off the chain, what is taken back, distributions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from royalties_chain import PEOPLE, Chain
from royalties_world import World

from contracts.chain import PaymentKind
from contracts.testing import hash_of
from contracts.values import UINT256_MAX
from eventlog import Intent, Metadata
from royalties import domain
from royalties.distributing import intents
from royalties.domain import (
    AgreementOpened,
    PostRefund,
    PostReversal,
    PostSale,
    Reference,
    Refund,
    RefundPosted,
    Reversal,
    Sale,
    SaleKind,
    SalePosted,
    SetVersion,
    Share,
)
from royalties.domain.distributions import (
    AllocateRevenue,
    ApproveDistribution,
    Holding,
    OpenDistribution,
    PaymentAsked,
    PaymentDone,
    Terms,
)

pytestmark = pytest.mark.endurance

START = datetime(2026, 1, 1, tzinfo=UTC)
amounts = st.one_of(st.integers(1, 20), st.integers(1, 10**17), st.just(UINT256_MAX // 10**6))
people = st.sampled_from(PEOPLE)
fees = st.integers(0, 3_000)  # basis points
FREE_SIDE = ("earnings", "seller")
"""Accounts that may be overdrawn: a refund takes back what a party may have been paid."""


@st.composite
def splits(draw: st.DrawFn, least: int = 2) -> tuple[list[str], list[int]]:
    payees = draw(st.lists(people, min_size=least, max_size=6, unique=True))
    size = len(payees) - 1
    cuts = sorted(draw(st.lists(st.integers(1, 10**6 - 1), min_size=size, max_size=size, unique=True)))
    return payees, [high - low for low, high in zip([0, *cuts], [*cuts, 10**6], strict=True)]


class WholeLedger(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.chain = Chain()
        self.heard = self.told = 0
        self.now = START

    # ---- the contracts ----------------------------------------------------------------------------------------------

    @initialize(royalty_bps=st.integers(0, 5_000))
    def releases(self, royalty_bps: int) -> None:
        for artist in PEOPLE[:2]:
            self.chain.release(artist, royalty_bps)
        self._agreement(AgreementOpened("song", "ada"))
        self.version(([PEOPLE[0]], [10**6]))

    @rule(track=st.sampled_from((1, 2)), split=splits())
    def split(self, track: int, split: tuple[list[str], list[int]]) -> None:
        self.chain.configure(track, *split)

    @rule(track=st.sampled_from((1, 2)), amount=amounts, kind=st.sampled_from(PaymentKind))
    def pay(self, track: int, amount: int, kind: PaymentKind) -> None:
        self.chain.pay(track, amount, kind)

    @rule(track=st.sampled_from((1, 2)), buyer=people, amount=amounts)
    def buy(self, track: int, buyer: str, amount: int) -> None:
        self.chain.buy_edition(track, buyer, amount)

    @precondition(lambda self: self.chain.owners)
    @rule(data=st.data(), buyer=people, amount=amounts)
    def resell_or_give(self, data: st.DataObject, buyer: str, amount: int) -> None:
        token = data.draw(st.sampled_from(sorted(self.chain.owners)))
        if self.chain.owners[token] == buyer:
            self.chain.give_away(token, buyer)
        else:
            self.chain.resell(token, buyer, amount)

    @rule(who=people)
    def withdraw(self, who: str) -> None:
        self.chain.withdraw_earnings(who)
        self.chain.withdraw_proceeds(who)

    @rule(bps=fees)
    def fee(self, bps: int) -> None:
        self.chain.set_fee(bps)

    # ---- off the chain ----------------------------------------------------------------------------------------------

    @rule(split=splits(least=1))
    def version(self, split: tuple[list[str], list[int]]) -> None:
        shares = tuple(Share(who, ppm) for who, ppm in zip(*split, strict=True))
        told_at = self.now
        self._agreement(SetVersion("song", "ada", self._later(), shares, (), told_at))

    @rule(brought=st.lists(amounts, min_size=1, max_size=5), kind=st.sampled_from(SaleKind), fee=fees, data=st.data())
    def sell(self, brought: list[int], kind: SaleKind, fee: int, data: st.DataObject) -> None:
        for amount in brought:
            asset = data.draw(st.sampled_from(("USD", "TRX")))
            seller, royalty = (PEOPLE[3], amount // 10) if kind is SaleKind.SECONDARY else (None, None)
            sale = Sale(
                self._reference(), "song", kind, asset, amount, "card", self._later(), seller=seller, royalty=royalty
            )
            self._agreement(PostSale(sale, 0, fee))

    @precondition(lambda self: self.world.of(SalePosted))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        for sale in data.draw(st.lists(st.sampled_from(self.world.of(SalePosted)), min_size=1, max_size=4)):
            amount = data.draw(st.integers(1, sale.sale.amount))
            refund = Refund(self._reference(), sale.reference, amount, "returned", self._later())
            self._agreement(PostRefund(refund, sale))

    @precondition(lambda self: self.world.of(SalePosted))
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        sale = data.draw(st.sampled_from(self.world.of(SalePosted)))
        mine = [None, *(one for one in self.world.of(RefundPosted) if one.sale == sale.reference)]
        refund = data.draw(st.sampled_from(mine))
        of = sale.reference if refund is None else refund.reference
        self._agreement(PostReversal(Reversal(self._reference(), of, "mistake", "olga"), sale, refund))

    # ---- distributions ----------------------------------------------------------------------------------------------

    @rule(amount=amounts, holders=st.dictionaries(people, st.integers(1, 10**6), min_size=1), minimum=st.integers(0, 9))
    def distribute(self, amount: int, holders: dict[str, int], minimum: int) -> None:
        """From the revenue of a pool to the last payment."""
        do, at, nobody = self.world.do, self._later(), Metadata()
        reference = self._reference()
        do(intents.allocate(AllocateRevenue("p", reference, "TRX", amount, "treasury", "q", "olga"), at, nobody))
        run = intents.distribution_id_of(str(reference))
        terms = Terms("p", "TRX", None, amount, str(reference), Holding("music-nft"), 7, minimum, False, ())
        do(intents.open_(OpenDistribution(run, terms, "olga"), at, nobody))
        do(intents.preview(run, holders, at))
        previewed = self.world.states[intents.run_stream(run)].previewed
        for officer in ("piet", "rosa"):
            do(intents.approve(run, ApproveDistribution(officer, previewed.digest), at, nobody))
        shares = self.world.states[intents.run_stream(run)].shares
        do(intents.credit(run, shares, len(shares), at))
        paid = 0
        for asked in self.world.of(PaymentAsked):
            if asked.distribution_id == run:
                do(intents.settle(asked.payment_id, PaymentDone(asked.attempt, hash_of(asked.payment_id), 9), at))
                paid += asked.amount
        do(intents.finish(run, terms, paid, 0, at))

    # ---- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_holds(self) -> None:
        for key, message in self.chain.messages[self.heard :]:
            self.world.receive(key, message)
        self.heard = len(self.chain.messages)
        self.debits_are_credits_for_each_asset()
        self.what_the_contracts_hold_is_what_they_owe()
        self.nothing_is_below_zero_but_what_a_refund_takes_back()
        self.the_carry_is_less_than_a_unit_for_each_recipient()

    def debits_are_credits_for_each_asset(self) -> None:
        sums: Counter[str] = Counter()
        for (_, asset), amount in self.world.balances().items():
            sums[asset] += amount
        assert not any(sums.values())

    def what_the_contracts_hold_is_what_they_owe(self) -> None:
        found = Counter({account: -amount for (account, _), amount in self.world.balances(of_contracts=True).items()})
        chain = self.chain
        assert {who: found[f"earnings:{who}"] for who in PEOPLE} == {who: chain.earnings[who] for who in PEOPLE}
        assert {who: found[f"seller:{who}"] for who in PEOPLE} == {who: chain.proceeds[who] for who in PEOPLE}
        assert found["platform-fee"] == chain.fees_sun
        assert -found["custody:royalty-distributor"] == chain.paid_sun - chain.withdrawn_sun
        assert -found["custody:music-nft"] == chain.proceeds.total()

    def nothing_is_below_zero_but_what_a_refund_takes_back(self) -> None:
        for (account, asset), amount in self.world.balances().items():
            side = domain.class_of(account).normal_side
            balance = amount if side is domain.Side.DEBIT else -amount
            may_be_overdrawn = account.startswith(FREE_SIDE) or account == "custody:treasury"
            assert balance >= 0 or may_be_overdrawn, (account, asset, balance)

    def the_carry_is_less_than_a_unit_for_each_recipient(self) -> None:
        for (account, asset), amount in self.world.balances().items():
            if account.startswith("carry:"):
                assert -amount < len(PEOPLE), (account, asset, amount)

    def teardown(self) -> None:
        assert self.world.folded_again() == self.world.states

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _later(self) -> datetime:
        self.now += timedelta(days=1)
        return self.now

    def _reference(self) -> Reference:
        self.told += 1
        return Reference("shop", f"n-{self.told}")

    def _agreement(self, command: object) -> None:
        self.world.do(Intent("agreement/song", domain.agreement, command, self.now))


TestWholeLedger = WholeLedger.TestCase
TestWholeLedger.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

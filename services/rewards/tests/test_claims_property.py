"""Any sequence of activities, claims, payments, failures and time-outs, against a vault and sums of its own.

The model knows nothing of the service's states: it is RewardVault as its Solidity reads, a chain whose solidified
events arrive in any order, and running sums of what was earned and paid.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from claims_stage import pool_rule
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from eventlog import Intent, JointIntent, Metadata
from rewards import claiming, domain

pytestmark = pytest.mark.endurance

START = datetime(2026, 5, 1, 20, tzinfo=UTC)
RULE = pool_rule(budget=24, period="day", roll_over="capped", roll_over_cap=8, daily_limit=16)
VAULT_LIMIT = 14
STEPS = 10_000
POOL = Pool.LISTENING
USERS, WALLETS = ["ada", "bob", "cy"], [address(1), address(2)]


class Memory:
    """A log in memory: enough of an executor for decisions."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Any]] = defaultdict(list)
        self._states: dict[str, Any] = {}

    def execute(self, intent: Intent | JointIntent) -> int:
        states = {name: self._states.get(name, decider.initial) for name, decider in intent.deciders.items()}
        decided = intent.decided(states)
        for stream, event in decided:
            self.streams[stream].append(event)
            states[stream] = intent.deciders[stream].evolve(states[stream], event)
        self._states |= states
        return len(decided)

    def state(self, stream: str, default: Any) -> Any:
        return self._states.get(stream, default)


@dataclass
class Asked:
    """A claim as the model knows it."""

    command: domain.RequestClaim
    deadline: int
    signed: bool = False
    paid_at: datetime | None = None
    told: bool = False
    booked: bool = False
    released: bool = False


class Seen:
    """What has come up in all runs together."""

    steps = paid = released = 0
    refusals: ClassVar[Counter[str]] = Counter()


class Claims(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log = Memory()
        self.now = START  # the clock of the service and of the chain
        self.funded = 0
        self.earned: dict[str, int] = defaultdict(int)
        self.asked: dict[str, Asked] = {}
        self.vault_paid = 0
        self.by_wallet: dict[tuple[str, int], int] = defaultdict(int)
        self.by_user: dict[tuple[str, int], int] = defaultdict(int)
        fact = domain.PoolConfigured(POOL, VAULT_LIMIT, True, source(0))
        self.log.execute(Intent("pool/listening", domain.pool, fact, self.now))
        self.fund(20)
        for user in USERS:
            self.earn(user, 20)

    # ---- what happens around the service ------------------------------------------------------------------------

    @rule(user=st.sampled_from(USERS), amount=st.integers(1, 30))
    def earn(self, user: str, amount: int) -> None:
        stream = f"listening/{user}"
        before = self.log.state(stream, domain.Account())
        event = domain.RewardCorrected("r", POOL, user, amount, self.now.date(), "test", "officer")
        self.log._states[stream] = domain.evolve_account(before, event)
        self.earned[user] += amount

    @rule(amount=st.integers(1, 20))
    def fund(self, amount: int) -> None:
        self.funded += amount
        fact = domain.PoolFunded(POOL, address(9), amount, source(1))
        self.log.execute(Intent("pool/listening", domain.pool, fact, self.now))

    @rule(minutes=st.sampled_from([1, 7, 29, 250]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    # ---- what the service decides -------------------------------------------------------------------------------

    @rule(
        number=st.integers(0, 40),
        user=st.sampled_from(USERS),
        wallet=st.sampled_from(WALLETS),
        amount=st.one_of(st.integers(1, 6), st.integers(1, 25)),
        signed=st.booleans(),
    )
    def claim(self, number: int, user: str, wallet: str, amount: int, signed: bool) -> None:
        claim_id = claiming.claim_id_of(str(number))
        command = domain.RequestClaim(claim_id, user, POOL, wallet, amount, "service", self.now, RULE)
        events, code = self._request(command)
        if (before := self.asked.get(claim_id)) is not None:
            asked = (before.command.user, before.command.claimant, before.command.amount)
            assert (events, code) == (0, None if asked == (user, wallet, amount) else "claim-conflict")
        elif code is None:
            assert events >= 4
            self.asked[claim_id] = Asked(command, int(self.now.timestamp()) + RULE.claim_seconds)
            if signed:
                self._authorise(self.asked[claim_id])
        else:
            assert code != "claim-conflict"
            Seen.refusals[code] += 1

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def authorise(self, data: st.DataObject) -> None:
        self._authorise(self._one(data))

    def _authorise(self, claim: Asked) -> None:
        stream = claiming.claim_stream(claim.command.claim_id)
        events = self.log.execute(claiming.authorise(self.log.streams[stream][0], "00" * 65, self.now))
        assert events <= (not claim.signed)
        claim.signed = claim.signed or events == 1

    @precondition(lambda self: any(claim.signed for claim in self.asked.values()))
    @rule(data=st.data())
    def vault(self, data: st.DataObject) -> None:
        """Somebody brings a signature, for the first time or again: RewardVault decides."""
        claim = data.draw(st.sampled_from([claim for claim in self.asked.values() if claim.signed]))
        command, day = claim.command, (self.now - datetime(1970, 1, 1, tzinfo=UTC)).days
        if self.now.timestamp() > claim.deadline or claim.paid_at is not None:
            return
        assert not claim.released, "what can still be paid was given back"
        assert self.by_wallet[command.claimant, day] + command.amount <= VAULT_LIMIT, "DailyLimitExceeded"
        assert self.vault_paid + command.amount <= self.funded, "PoolBudgetExceeded"
        claim.paid_at = self.now
        Seen.paid += 1
        self.vault_paid += command.amount
        self.by_wallet[command.claimant, day] += command.amount
        self.by_user[command.user, day] += command.amount

    @precondition(lambda self: any(claim.paid_at for claim in self.asked.values()))
    @rule(data=st.data())
    def the_chain_tells_of_a_payment(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from([claim for claim in self.asked.values() if claim.paid_at]))
        stream, paid = claiming.claim_stream(claim.command.claim_id), self._paid(claim)
        events = self.log.execute(Intent(stream, domain.claim, paid, self.now))
        assert events == (not claim.told)
        claim.told = True

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), failed=st.booleans())
    def the_chain_tells_of_a_transaction(self, data: st.DataObject, failed: bool) -> None:
        claim = self._one(data)
        if not claim.signed or (claim.paid_at is None and not failed):
            return  # a transaction is done only if the vault has paid; it fails, too, when somebody else was quicker
        claim_id = claim.command.claim_id
        fact: domain.PaymentDone | domain.PaymentFailed = (
            domain.PaymentFailed(claim_id, "execution", "reverted", hash_of(1))
            if failed
            else domain.PaymentDone(claim_id, hash_of(1), 7)
        )
        self.log.execute(Intent(claiming.claim_stream(claim_id), domain.claim, fact, self.now))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        claim = self._one(data)
        events = self.log.execute(claiming.settle(self._paid(claim), claim.command.user))
        assert (events > 0) == (claim.told and not claim.booked)
        claim.booked = claim.told

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def the_chain_s_time_is_over(self, data: st.DataObject) -> None:
        """All until now has been told, as the service makes sure before it releases anything."""
        for claim in self.asked.values():
            if claim.paid_at is not None and not claim.told:
                stream = claiming.claim_stream(claim.command.claim_id)
                self.log.execute(Intent(stream, domain.claim, self._paid(claim), self.now))
                claim.told = True
        claim = self._one(data)
        stream = claiming.claim_stream(claim.command.claim_id)
        command = domain.ReleaseClaim(9, self.now)
        events = self.log.execute(claiming.release(self.log.streams[stream][0], command))
        over = self.now.timestamp() > claim.deadline and claim.paid_at is None
        assert (events > 0) == (over and not claim.released)
        claim.released = claim.released or events > 0
        Seen.released += events > 0

    # ---- what must hold always ----------------------------------------------------------------------------------

    @invariant()
    def the_budget_adds_up(self) -> None:
        Seen.steps += 1
        budgets = [event for event in self.log.streams["budget/listening"]]
        state: domain.Budget = self.log.state("budget/listening", domain.Budget())
        assert state.paid + state.reserved + state.free == state.budget
        open_claims = [claim for claim in self.asked.values() if not claim.booked and not claim.released]
        assert state.reserved == sum(claim.command.amount for claim in open_claims)
        assert state.vault_paid == sum(claim.command.amount for claim in self.asked.values() if claim.booked)
        given = paid = 0
        for event in budgets:
            match event:
                case domain.BudgetOpened():
                    assert event.carried <= RULE.roll_over_cap
                    given, paid = event.fresh + event.carried + event.reserved, 0
                case domain.BudgetPaid():
                    paid += event.amount
                case _:
                    continue
            assert paid <= given, "a period paid more than its budget"

    @invariant()
    def nobody_gets_more_than_they_earned_or_may_have(self) -> None:
        for user in USERS:
            mine = [claim for claim in self.asked.values() if claim.command.user == user]
            assert sum(claim.command.amount for claim in mine if claim.paid_at) <= self.earned[user]
            balance = self.log.state(f"listening/{user}", domain.Account()).balance
            assert balance.available >= 0
            assert balance.paid == sum(claim.command.amount for claim in mine if claim.booked)
        assert all(amount <= RULE.daily_limit for amount in self.by_user.values())

    def _request(self, command: domain.RequestClaim) -> tuple[int, str | None]:
        """How many events it led to, or why it was refused."""
        try:
            return self.log.execute(claiming.request(command, Metadata())), None
        except domain.ClaimRefused as refused:
            return 0, refused.code

    def _one(self, data: st.DataObject) -> Asked:
        return data.draw(st.sampled_from(list(self.asked.values())))

    def _paid(self, claim: Asked) -> domain.ClaimPaid:
        at = claim.paid_at or self.now
        command, day = claim.command, (at - datetime(1970, 1, 1, tzinfo=UTC)).days
        return domain.ClaimPaid(command.claim_id, POOL, command.claimant, command.amount, day, source(3))


def test_no_sequence_pays_more_than_a_budget_a_limit_or_a_claim_allows() -> None:
    checks = settings(
        max_examples=STEPS // 40,
        stateful_step_count=50,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Claims, settings=checks)
    assert Seen.steps >= STEPS
    assert min(Seen.paid, Seen.released) > 20
    assert set(Seen.refusals) == {
        "balance-too-small",
        "budget-exhausted",
        "user-daily-limit",
        "vault-exhausted",
        "wallet-daily-limit",
    }

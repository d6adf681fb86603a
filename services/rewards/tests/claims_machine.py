"""Any sequence of activities, reviews, claims, proofs, payments and time-outs, against a vault and sums of its own.

The model knows nothing of the service's states: it is RewardVault as its Solidity reads, a chain whose solidified
events arrive in any order, and running sums of what was earned and paid.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol
from uuid import UUID

import hypothesis.strategies as st
from claims_stage import rule_of
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from rewards_deeds import World, listen

from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from eventlog import Decider, Intent, JointIntent, Metadata
from rewards import claiming, domain

START = datetime(2026, 5, 1, 20, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POOL = Pool.LISTENING
USERS, WALLETS = ["ada", "bob", "eve"], [address(1), address(2)]
DOUBTFUL = domain.StandingReported("eve", START, -9, 0)
"""So that what eve earns is held."""
WORLD = World().change(
    POOL,
    START - timedelta(days=300),
    amount=4,
    daily_limit=72,
    per_track_and_hour=0,
    per_address_and_day=0,
    cool_down_seconds=0,
    streak_days=0,
    hold_score=20,
    claim_daily_limit=16,
    budget=24,
    budget_period="day",
    roll_over="capped",
    roll_over_cap=8,
)
EDITION = WORLD.book[POOL].last
RULE = rule_of(EDITION)
VAULT_LIMIT = 14
PROVEN = 3
"""What each listener of the week is paid who proves it, until the deadline."""
PROVEN_UNTIL = START + timedelta(hours=30)


class Log(Protocol):
    """Where decisions are made and kept."""

    def execute(self, intent: Intent | JointIntent) -> int:
        """How many events it led to. Raises what the decision raises."""

    def report(self, report: domain.Report) -> domain.ActivityRecorded:
        """What is recorded of an activity."""

    def state(self, stream: str, decider: Decider[Any, Any, Any]) -> Any:
        """The state of a stream."""

    def events(self, stream: str) -> Sequence[Any]:
        """All that has happened in a stream."""


class Memory:
    """A log in memory: enough of an executor for decisions."""

    def __init__(self) -> None:
        self._streams: dict[str, list[Any]] = defaultdict(list)
        self._world = World(WORLD.book).happened("standing/eve", DOUBTFUL)

    def execute(self, intent: Intent | JointIntent) -> int:
        known = self._world.states.of
        states = {name: known.get(name, decider.initial) for name, decider in intent.deciders.items()}
        decided = intent.decided(states)
        for stream, event in decided:
            self._streams[stream].append(event)
            states[stream] = intent.deciders[stream].evolve(states[stream], event)
        known.update(states)
        return len(decided)

    def report(self, report: domain.Report) -> domain.ActivityRecorded:
        return self._world.report(report.activity, report.reported_at)

    def state(self, stream: str, decider: Decider[Any, Any, Any]) -> Any:
        return self._world.states.of.get(stream, decider.initial)

    def events(self, stream: str) -> Sequence[Any]:
        return self._streams[stream]


@dataclass
class Asked:
    """A claim as the model knows it."""

    command: domain.RequestClaim | domain.BringProof
    deadline: int
    signed: bool = False
    paid_at: datetime | None = None
    told: bool = False
    booked: bool = False
    released: bool = False
    failed: bool = False  # its last transaction, as was told
    attempt: int = 0

    @property
    def user(self) -> str | None:
        return getattr(self.command, "user", None)


class Seen:
    """What has come up in all runs together."""

    steps = paid = released = repeated = 0
    refusals: ClassVar[Counter[str]] = Counter()
    reviews: ClassVar[Counter[str]] = Counter()


class Claims(RuleBasedStateMachine):
    def __init__(self, log: Log | None = None) -> None:
        super().__init__()
        self.log = log or Memory()
        self.now = START  # the clock of the service and of the chain
        self.funded = self.reported = 0
        self.earned: dict[str, int] = defaultdict(int)
        self.granted: dict[tuple[str, str], int] = defaultdict(int)  # user, day; held rewards too
        self.rewards: list[domain.ActivityRecorded] = []
        self.held: list[domain.ActivityRecorded] = []
        self.worth: dict[str, int] = {}
        self.asked: dict[str, Asked] = {}
        self.vault_paid = 0
        self.by_wallet: dict[tuple[str, int], int] = defaultdict(int)
        self.by_user: dict[tuple[str, int], int] = defaultdict(int)
        fact = domain.PoolConfigured(POOL, VAULT_LIMIT, True, source(0))
        self.log.execute(Intent("pool/listening", domain.pool, fact, self.now))
        self.fund(20)
        for user in USERS:
            self.listens(user, 5)

    # ---- what happens around the service ------------------------------------------------------------------------

    @rule(user=st.sampled_from(USERS), times=st.integers(1, 6))
    def listens(self, user: str, times: int) -> None:
        for _ in range(times):
            self.reported += 1
            activity = listen(f"l{self.reported}", user, at=self.now)
            recorded = self.log.report(domain.Report(activity, str(UUID(int=self.reported)), self.now))
            if not recorded.verdict.amount:
                continue
            self.rewards.append(recorded)
            self.granted[user, self.now.strftime("%Y-%m-%d")] += recorded.verdict.amount
            if recorded.verdict.outcome == "held":
                self.held.append(recorded)
            self._is_worth(recorded, recorded.verdict.amount if recorded.verdict.outcome == "earned" else 0)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), approve=st.booleans())
    def an_officer_reviews(self, data: st.DataObject, approve: bool) -> None:
        recorded = data.draw(st.sampled_from(self.held))
        assert self._review(domain.ReviewReward(recorded, approve, "seen", "olga")) == 1
        self.held.remove(recorded)
        self._is_worth(recorded, recorded.verdict.amount if approve else 0)
        Seen.reviews["approved" if approve else "rejected"] += 1

    @rule(user=st.sampled_from(USERS), amount=st.sampled_from([4, 4, 3, 1, 0]))
    def an_officer_corrects(self, user: str, amount: int) -> None:
        """All that was granted, for it was a robot; or wasn't, or only some of the time."""
        for recorded in self.rewards:
            if recorded.activity.user == user and recorded not in self.held:
                assert self._review(domain.CorrectReward(recorded, amount, "seen", "olga")) <= 1
                self._is_worth(recorded, amount)
                Seen.reviews["corrected"] += 1

    def _review(self, command: domain.ReviewReward | domain.CorrectReward) -> int:
        return self.log.execute(Intent(command.recorded.activity.stream, domain.review, command, self.now))

    def _is_worth(self, recorded: domain.ActivityRecorded, amount: int) -> None:
        self.earned[recorded.activity.user] += amount - self.worth.get(recorded.reward_id, 0)
        self.worth[recorded.reward_id] = amount

    @rule(amount=st.integers(1, 20))
    def fund(self, amount: int) -> None:
        self.funded += amount
        fact = domain.PoolFunded(POOL, address(9), amount, source(1))
        self.log.execute(Intent("pool/listening", domain.pool, fact, self.now))

    @rule(minutes=st.sampled_from([1, 29, 31, 31, 250]))
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
        events, code = self._decide(claiming.request(command, Metadata()))
        if (before := self.asked.get(claim_id)) is not None:
            asked = (before.command.user, before.command.claimant, before.command.amount)
            assert (events, code) == (0, None if asked == (user, wallet, amount) else "claim-conflict")
        elif code is None:
            assert events >= 4
            assert amount <= self._available(user), "more than was earned"
            self.asked[claim_id] = Asked(command, int(self.now.timestamp()) + RULE.claim_seconds)
            if signed:
                self._authorise(self.asked[claim_id])
        else:
            assert code != "claim-conflict"
            Seen.refusals[code] += 1

    @rule(listener=st.integers(0, 9), wallet=st.sampled_from(WALLETS))
    def bring_a_proof(self, listener: int, wallet: str) -> None:
        """Checked already: it is one of this listener's, for this wallet."""
        if self.now >= PROVEN_UNTIL:
            return
        nullifier, until = hash_of("listener", listener), int(PROVEN_UNTIL.timestamp())
        command = domain.BringProof(nullifier, 202_618, wallet, PROVEN, until, (1,) * 8, self.now, RULE)
        events, code = self._decide(claiming.bring_proof(command))
        if (before := self.asked.get(nullifier)) is not None:
            same = before.command.claimant == wallet and not before.told
            assert (events, code) == (0, None if same else "already-claimed")
        elif code is None:
            self.asked[nullifier] = Asked(command, until, signed=True)
        if code is not None:
            Seen.refusals[code] += 1

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def authorise(self, data: st.DataObject) -> None:
        self._authorise(self._one(data))

    def _authorise(self, claim: Asked) -> None:
        events = self.log.execute(claiming.authorise(self._reserved(claim), "00" * 65, self.now))
        assert events <= (not claim.signed)
        claim.signed = claim.signed or events == 1

    @precondition(lambda self: any(claim.signed for claim in self.asked.values()))
    @rule(data=st.data())
    def vault(self, data: st.DataObject) -> None:
        """Somebody brings a signature, for the first time or again: RewardVault decides."""
        claim = data.draw(st.sampled_from([claim for claim in self.asked.values() if claim.signed]))
        command, day = claim.command, (self.now - EPOCH).days
        if self.now.timestamp() > claim.deadline or claim.paid_at is not None:
            return
        assert not claim.released, "what can still be paid was given back"
        assert self.by_wallet[command.claimant, day] + command.amount <= VAULT_LIMIT, "DailyLimitExceeded"
        assert self.vault_paid + command.amount <= self.funded, "PoolBudgetExceeded"
        claim.paid_at = self.now
        Seen.paid += 1
        self.vault_paid += command.amount
        self.by_wallet[command.claimant, day] += command.amount
        if claim.user is not None:
            self.by_user[claim.user, day] += command.amount

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
        claim_id, attempt = claim.command.claim_id, claim.attempt
        fact: domain.PaymentDone | domain.PaymentFailed = (
            domain.PaymentFailed(claim_id, "execution", "reverted", hash_of(1), attempt)
            if failed
            else domain.PaymentDone(claim_id, hash_of(1), 7, attempt)
        )
        claim.failed = failed
        self.log.execute(Intent(claiming.claim_stream(claim_id), domain.claim, fact, self.now))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def an_officer_has_it_tried_again(self, data: st.DataObject) -> None:
        failed = [claim for claim in self.asked.values() if claim.failed]
        claim = data.draw(st.sampled_from(failed or list(self.asked.values())))
        stream = claiming.claim_stream(claim.command.claim_id)
        events, code = self._decide(Intent(stream, domain.claim, domain.RepeatPayment(self.now), self.now))
        if claim.paid_at is None and self.now.timestamp() < claim.deadline and claim.signed:
            assert code is None
        claim.attempt += events
        Seen.repeated += events

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        claim = self._one(data)
        events = self.log.execute(claiming.settle(self._paid(claim), claim.user, claim.command.claimant))
        assert (events > 0) == (claim.told and not claim.booked)
        claim.booked = claim.told

    @precondition(lambda self: self.asked)
    @rule(minutes=st.sampled_from([0, 0, 31, 31, 1_900]))
    def the_chain_s_time_is_told(self, minutes: int) -> None:
        """All until now has been told, as the service makes sure before it releases anything."""
        self.now += timedelta(minutes=minutes)
        for claim in self.asked.values():
            stream = claiming.claim_stream(claim.command.claim_id)
            if claim.paid_at is not None and not claim.told:
                self.log.execute(Intent(stream, domain.claim, self._paid(claim), self.now))
                claim.told = True
            events = self.log.execute(claiming.release(self._reserved(claim), domain.ReleaseClaim(9, self.now)))
            over = self.now.timestamp() > claim.deadline and claim.paid_at is None
            assert (events > 0) == (over and not claim.released)
            claim.released = claim.released or events > 0
            Seen.released += events > 0

    # ---- what must hold always ----------------------------------------------------------------------------------

    @invariant()
    def the_budget_adds_up(self) -> None:
        Seen.steps += 1
        state: domain.Budget = self.log.state("budget/listening", domain.budget)
        assert state.paid + state.reserved + state.free == state.budget
        open_claims = [claim for claim in self.asked.values() if not claim.booked and not claim.released]
        assert state.reserved == sum(claim.command.amount for claim in open_claims)
        assert state.vault_paid == sum(claim.command.amount for claim in self.asked.values() if claim.booked)
        given = paid = 0
        for event in self.log.events("budget/listening"):
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
            balance = self.log.state(f"listening/{user}", domain.account).balance
            assert balance.available == self._available(user)
            assert balance.paid == sum(claim.command.amount for claim in self._of(user) if claim.booked)
            assert balance.held == sum(one.verdict.amount for one in self.held if one.activity.user == user)
        assert all(amount <= RULE.daily_limit for amount in self.by_user.values())
        assert all(amount <= EDITION.rule.daily_limit for amount in self.granted.values())

    def _available(self, user: str) -> int:
        """Below zero where corrections took more than was left."""
        return self.earned[user] - sum(claim.command.amount for claim in self._of(user) if not claim.released)

    def _of(self, user: str) -> list[Asked]:
        return [claim for claim in self.asked.values() if claim.user == user]

    def _decide(self, intent: Intent | JointIntent) -> tuple[int, str | None]:
        """How many events it led to, or why it was refused."""
        try:
            return self.log.execute(intent), None
        except domain.ClaimRefused as refused:
            return 0, refused.code

    def _reserved(self, claim: Asked) -> domain.ClaimReserved:
        (first, *_) = self.log.events(claiming.claim_stream(claim.command.claim_id))
        assert isinstance(first, domain.ClaimReserved)
        return first

    def _one(self, data: st.DataObject) -> Asked:
        return data.draw(st.sampled_from(list(self.asked.values())))

    def _paid(self, claim: Asked) -> domain.ClaimPaid:
        at = claim.paid_at or self.now
        command, day = claim.command, (at - EPOCH).days
        return domain.ClaimPaid(command.claim_id, POOL, command.claimant, command.amount, day, source(3))

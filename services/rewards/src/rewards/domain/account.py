"""What one user has done of one kind and earned with it: the state of `listening/<user>`, `voting/<user>` and so on.

It remembers the activities of the last days, since an older one would be refused as too late anyhow, and for ever only
what has to be: the balance, rewards that wait for a review, corrections, votes, who referred whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, assert_never

from contracts.chain import Pool
from contracts.values import Amount, SignedAmount
from eventlog import Decider
from rewards.domain.activities import CONFLICT, ActivityRecorded, Referral, Referred, Vote
from rewards.domain.balance import Balance, BalanceEvent, RewardsReleased, RewardsReserved, RewardsSettled, booked
from rewards.domain.rules import LONGEST_WAIT

DAY = timedelta(days=1)
REMEMBERED = LONGEST_WAIT + DAY
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


def nothing() -> Mapping[Any, Any]:
    """The one empty mapping, for states that hold many."""
    return _NOTHING


@dataclass(frozen=True, slots=True)
class RewardApproved:
    """A held reward was reviewed: it can be claimed."""

    reward_id: str
    kind: Pool
    user: str
    amount: Amount
    rule_version: int
    day: date
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class RewardRejected:
    """A held reward was reviewed: it is taken back."""

    reward_id: str
    kind: Pool
    user: str
    amount: Amount
    rule_version: int
    day: date
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class RewardCorrected:
    """A reward is worth something else than it was: `change` is added to what the user has, also below zero."""

    reward_id: str
    kind: Pool
    user: str
    change: SignedAmount
    day: date  # of the reward
    reason: str
    officer: str


ReviewEvent = RewardApproved | RewardRejected | RewardCorrected
AccountEvent = ActivityRecorded | Referred | ReviewEvent | BalanceEvent


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day: what was reported, and what of it was rewarded."""

    known: Mapping[str, ActivityRecorded] = field(default_factory=nothing)  # by the caller's id
    amount: int = 0  # rewarded, held rewards too
    times: tuple[datetime, ...] = ()  # of the rewarded ones
    hours: Mapping[tuple[str | None, int], int] = field(default_factory=nothing)  # track, hour -> rewarded


NO_DAY = Day()


@dataclass(frozen=True, slots=True)
class Account:
    balance: Balance = field(default_factory=Balance)
    since: date = date.min  # all of this day and later is remembered; nothing before it can be rewarded any more
    days: Mapping[date, Day] = field(default_factory=nothing)
    active_days: int = 0
    last_active: date = date.min
    held: Mapping[str, tuple[int, date]] = field(default_factory=nothing)  # reward id -> amount, day
    corrected: Mapping[str, int] = field(default_factory=nothing)  # reward id -> sum of its corrections
    votes: Mapping[str, bool] = field(default_factory=nothing)  # track -> like
    referred_by: str | None = None
    has_referred: bool = False

    def known(self, activity_id: str) -> ActivityRecorded | None:
        """What was recorded under this id lately."""
        for day in self.days.values():
            if (found := day.known.get(activity_id)) is not None:
                return found
        return None

    def on(self, day: date) -> Day:
        return self.days.get(day, NO_DAY)

    def streak(self, day: date) -> int:
        """How many days in a row before this one had a reward; no more than are remembered."""
        length = 0
        while self.on(day - (length + 1) * DAY).times:
            length += 1
        return length

    def is_near(self, at: datetime, cool_down: timedelta) -> bool:
        """Whether something was rewarded less than a cool-down (a day at most) before or after a time."""
        days = (at.date() - DAY, at.date(), at.date() + DAY)
        return any(abs(other - at) < cool_down for day in days for other in self.on(day).times)


def evolve_account(account: Account, event: AccountEvent) -> Account:
    match event:
        case RewardsReserved() | RewardsReleased() | RewardsSettled():
            return replace(account, balance=booked(account.balance, event))
        case RewardApproved() | RewardRejected() | RewardCorrected():
            return _reviewed(account, event)
        case Referred():
            return replace(account, referred_by=event.by)
        case _:
            return _recorded(account, event)


def _recorded(account: Account, event: ActivityRecorded) -> Account:
    verdict, activity = event.verdict, event.activity
    if verdict.reason == CONFLICT:
        return account
    balance, held, rewarded = account.balance, account.held, verdict.outcome in ("earned", "held")
    if rewarded:
        waits = verdict.amount if verdict.outcome == "held" else 0
        balance = _granted(balance, verdict.amount, waits)
        if waits:
            held = {**held, event.reward_id: (verdict.amount, verdict.day)}
    new_day = verdict.day > account.last_active
    since = max(account.since, event.reported_at.date() - REMEMBERED)
    return Account(
        balance=balance,
        since=since,
        days=_days(account, event, rewarded, since),
        active_days=account.active_days + new_day,
        last_active=verdict.day if new_day else account.last_active,
        held=held,
        corrected=account.corrected,
        votes={**account.votes, activity.track: activity.like} if isinstance(activity, Vote) else account.votes,
        referred_by=account.referred_by,
        has_referred=account.has_referred or (isinstance(activity, Referral) and rewarded),
    )


def _granted(balance: Balance, amount: int, held: int) -> Balance:
    """After a reward, of which a part may be held; `replace` would take three times as long."""
    return Balance(
        balance.earned + amount,
        balance.held + held,
        balance.corrected,
        balance.paid,
        balance.usage,
    )


def _days(account: Account, event: ActivityRecorded, rewarded: bool, since: date) -> Mapping[date, Day]:
    activity, verdict = event.activity, event.verdict
    day = account.on(verdict.day)
    known = {**day.known, activity.id: event}
    if rewarded:
        place = (activity.subject, activity.at.hour)
        hours = {**day.hours, place: day.hours.get(place, 0) + 1}
        day = Day(known, day.amount + verdict.amount, (*day.times, activity.at), hours)
    else:
        day = Day(known, day.amount, day.times, day.hours)
    days = account.days if since == account.since else {d: kept for d, kept in account.days.items() if d >= since}
    return {**days, verdict.day: day}


def _reviewed(account: Account, event: ReviewEvent) -> Account:
    balance = account.balance
    if isinstance(event, RewardCorrected):
        before = account.corrected.get(event.reward_id, 0)
        return replace(
            account,
            balance=replace(balance, corrected=balance.corrected + event.change),
            corrected={**account.corrected, event.reward_id: before + event.change},
        )
    held = {reward: kept for reward, kept in account.held.items() if reward != event.reward_id}
    match event:
        case RewardApproved(amount=amount):
            balance = replace(balance, held=balance.held - amount)
            return replace(account, balance=balance, held=held)
        case RewardRejected(amount=amount):
            balance = replace(balance, held=balance.held - amount, corrected=balance.corrected - amount)
            corrected = {**account.corrected, event.reward_id: -amount}
            return replace(account, balance=balance, held=held, corrected=corrected)
        case never:
            assert_never(never)


account: Decider[object, Account, AccountEvent] = Decider(Account(), lambda _, __: (), evolve_account)
"""For decisions that concern other streams as well."""

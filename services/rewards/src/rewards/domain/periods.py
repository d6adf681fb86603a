"""Listening periods: what was heard in a week is committed to once, and the vault pays whoever proves enough of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from contracts.values import Amount, Hash
from eventlog import Decider
from rewards.domain.account import RewardApproved, RewardCorrected
from rewards.domain.activities import ListenRecorded
from rewards.domain.claims import MOST_ATTEMPTS
from rewards.domain.members import WEEK, MemberRegistered, Registrations, first_day, member_in, period_of


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever has listened for `threshold` seconds is paid, until a deadline."""

    threshold: int
    amount: Amount  # for each member, the same for all
    deadline: int  # last second (Unix time) at which the vault pays


@dataclass(frozen=True, slots=True)
class PeriodCommitted:
    """The period's records are fixed. It asks the chain to open the period with them."""

    period: int
    commitment: Hash
    terms: Terms
    count: int  # of members with a record
    position: int  # of the log: the records are those that it tells of until there
    attempt: int = 0  # to open it: each asks the chain once


@dataclass(frozen=True, slots=True)
class OpeningFailed:
    """The chain was asked in vain: the transaction was not done and never will be."""

    period: int
    kind: str  # expired, execution, energy, ... as the chain service says
    reason: str
    tx_id: Hash | None
    attempt: int


@dataclass(frozen=True, slots=True)
class PeriodOpened:
    """RewardVault pays claims of this period, as a solidified block says."""

    period: int
    commitment: Hash
    terms: Terms


@dataclass(frozen=True, slots=True)
class PeriodClosed:
    """RewardVault pays no more claims of this period."""

    period: int


PeriodEvent = PeriodCommitted | OpeningFailed | PeriodOpened | PeriodClosed


@dataclass(frozen=True, slots=True)
class RepeatOpening:
    """Ask the chain again, by another transaction; nothing, unless the last attempt has failed."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Period:
    committed: PeriodCommitted | None = None
    failure: OpeningFailed | None = None  # of the last attempt
    opened: PeriodOpened | None = None
    is_closed: bool = False


class PeriodRefused(Exception):
    """Why a period is not committed to; `code` is for machines and never changes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def check_period(period: int, terms: Terms, before: Period, at: datetime, longest_wait: timedelta) -> bool:
    """Whether a period is to be committed to; False if it was, on these terms. Raises PeriodRefused."""
    if before.committed is not None:
        if before.committed.terms != terms:
            raise PeriodRefused("period-committed", f"{period} was committed to on other terms: {before.committed}")
        return False
    monday = first_day(period)
    over = datetime(monday.year, monday.month, monday.day, tzinfo=UTC) + WEEK + longest_wait
    if at < over:
        raise PeriodRefused("period-not-over", f"activities of {period} are accepted until {over.isoformat()}")
    if at.timestamp() >= terms.deadline:
        raise PeriodRefused("deadline-past", f"expected a deadline after {int(at.timestamp())}, got {terms.deadline}")
    return True


def decide_period(fact: PeriodEvent | RepeatOpening, before: Period) -> list[PeriodEvent]:
    """Raises PeriodRefused."""
    match fact:
        case RepeatOpening(at):
            made = before.committed
            if made is None or before.failure is None or before.opened is not None:
                return []
            if at.timestamp() >= made.terms.deadline or made.attempt == MOST_ATTEMPTS:
                raise PeriodRefused("deadline-past", f"attempt {made.attempt} was the last: {made.terms}")
            return [replace(made, attempt=made.attempt + 1)]
        case OpeningFailed():
            if (made := before.committed) is None or before.failure is not None or before.opened is not None:
                return []
            return [fact] if made.attempt == fact.attempt else []
        case PeriodCommitted():  # whoever comes second has committed to the same, or what came too late
            if before.committed is not None and before.committed.terms != fact.terms:
                raise PeriodRefused("period-committed", f"{fact.period} was committed to: {before.committed}")
            return [] if before.committed is not None else [fact]
        case PeriodOpened():
            return [fact] if before.opened is None else []
        case PeriodClosed():
            return [] if before.is_closed else [fact]
        case never:
            assert_never(never)


def evolve_period(period: Period, event: PeriodEvent) -> Period:
    match event:
        case PeriodCommitted():
            return replace(period, committed=event, failure=None)
        case OpeningFailed():
            return replace(period, failure=event)
        case PeriodOpened():
            return replace(period, opened=event, failure=None)
        case PeriodClosed():
            return replace(period, is_closed=True)
        case never:
            assert_never(never)


period: Decider[PeriodEvent | RepeatOpening, Period, PeriodEvent] = Decider(Period(), decide_period, evolve_period)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a member has heard in a period."""

    member: Hash
    seconds: int


HeardEvent = ListenRecorded | RewardApproved | RewardCorrected | MemberRegistered


class Hearing:
    """What the log tells of a period's listening, event after event.

    A listen counts if it was rewarded, and is worth something still: refused, held and rejected ones, and those that
    were corrected to nothing, do not.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._listens: dict[str, tuple[str, int]] = {}  # reward id -> user, seconds
        self._worth: dict[str, int] = {}
        self._members: dict[str, Registrations] = {}

    def take(self, event: HeardEvent) -> None:
        match event:
            case ListenRecorded(activity=listen, verdict=verdict):
                rewarded = verdict.outcome in ("earned", "held")
                if rewarded and period_of(listen.at.astimezone(UTC).date()) == self._period:
                    self._listens[event.reward_id] = (listen.user, listen.seconds)
                    self._worth[event.reward_id] = verdict.amount if verdict.outcome == "earned" else 0
            case (
                RewardApproved(reward_id=reward_id, amount=change) | RewardCorrected(reward_id=reward_id, change=change)
            ):
                if reward_id in self._listens:
                    self._worth[reward_id] += change
            case MemberRegistered(user=user):
                self._members[user] = (*self._members.get(user, ()), event)
            case never:
                assert_never(never)

    def records(self) -> Mapping[str, Heard]:
        """Each user's record, in the order of the members, which says nothing of the users."""
        seconds: dict[str, int] = {}
        for reward_id, (user, heard) in self._listens.items():
            if self._worth[reward_id] > 0:
                seconds[user] = seconds.get(user, 0) + heard
        members = {user: member_in(self._period, self._members.get(user, ())) for user in seconds}
        found = {user: Heard(member, seconds[user]) for user, member in members.items() if member is not None}
        return dict(sorted(found.items(), key=lambda item: item[1].member))

"""Listening: what users have heard, and what it earns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from contracts.values import Amount
from eventlog import Decider
from rewards.domain.balance import Balance, RewardsReleased, RewardsReserved, RewardsSettled, booked


@dataclass(frozen=True, slots=True)
class ListeningRule:
    """When a listen counts and what it earns.

    A listen counts after half the track or four minutes, whichever is lower (ListenBrainz), but at least 30 seconds;
    at most `per_track_and_hour` per user and track in an hour, and `daily_limit` per user and UTC day (Audius).
    """

    version: int = 1
    amount: int = 10**16
    daily_limit: int = 10**18
    per_track_and_hour: int = 4
    longest_wait: timedelta = timedelta(hours=48)  # a listen reported later than this earns nothing

    def needed_seconds(self, track_seconds: int) -> int:
        return max(30, min(track_seconds // 2, 240))


LISTENING_RULE = ListeningRule()


@dataclass(frozen=True, slots=True)
class RecordListen:
    listen_id: str
    user: str
    track_id: str
    listened_seconds: int
    track_seconds: int
    ended_at: datetime
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class ListenRewarded:
    listen_id: str
    user: str
    track_id: str
    listened_seconds: int
    ended_at: datetime
    amount: Amount
    rule_version: int


@dataclass(frozen=True, slots=True)
class ListenNotRewarded:
    listen_id: str
    user: str
    track_id: str
    listened_seconds: int
    ended_at: datetime
    reason: str  # too-short, too-late, from-the-future, track-limit, daily-limit
    rule_version: int


@dataclass(frozen=True, slots=True)
class Listening:
    """What one user has heard lately: just enough to decide about the next listen."""

    known: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))  # listen id -> ended at
    rewarded: Sequence[tuple[str, datetime, int]] = ()  # track, ended at, amount
    balance: Balance = field(default_factory=Balance)


def record_listen(command: RecordListen, state: Listening) -> list[ListeningEvent]:
    if command.listen_id in state.known:
        return []
    rule = LISTENING_RULE
    reason = _why_not(command, state, rule)
    heard = (command.listen_id, command.user, command.track_id, command.listened_seconds, command.ended_at)
    if reason is not None:
        return [ListenNotRewarded(*heard, reason, rule.version)]
    return [ListenRewarded(*heard, rule.amount, rule.version)]


def _why_not(command: RecordListen, state: Listening, rule: ListeningRule) -> str | None:
    """Why a listen earns nothing; None if it does."""
    if command.ended_at > command.reported_at + timedelta(minutes=5):  # clocks of players differ a little
        return "from-the-future"
    if command.reported_at - command.ended_at > rule.longest_wait:
        return "too-late"
    if command.listened_seconds < rule.needed_seconds(command.track_seconds):
        return "too-short"
    hour = [at for track, at, _ in state.rewarded if track == command.track_id and _near(at, command.ended_at)]
    if len(hour) >= rule.per_track_and_hour:
        return "track-limit"
    today = sum(amount for _, at, amount in state.rewarded if at.date() == command.ended_at.date())
    if today + rule.amount > rule.daily_limit:
        return "daily-limit"
    return None


def _near(one: datetime, other: datetime) -> bool:
    return abs(one - other) < timedelta(hours=1)


ListeningEvent = ListenRewarded | ListenNotRewarded | RewardsReserved | RewardsReleased | RewardsSettled


def evolve(state: Listening, event: ListeningEvent) -> Listening:
    match event:
        case ListenRewarded() | ListenNotRewarded():
            return _heard(state, event)
        case RewardsReserved() | RewardsReleased() | RewardsSettled():
            return replace(state, balance=booked(state.balance, event))
        case never:
            assert_never(never)


def _heard(state: Listening, event: ListenRewarded | ListenNotRewarded) -> Listening:
    """What can no longer matter is forgotten: an older listen would be refused as too late anyhow."""
    horizon = event.ended_at - 2 * LISTENING_RULE.longest_wait
    known = {listen: at for listen, at in state.known.items() if at > horizon} | {event.listen_id: event.ended_at}
    if isinstance(event, ListenNotRewarded):
        return replace(state, known=known)
    kept = (entry for entry in state.rewarded if entry[1] > horizon)
    balance = replace(state.balance, earned=state.balance.earned + event.amount)
    return Listening(known, (*kept, (event.track_id, event.ended_at, event.amount)), balance)


listening: Decider[RecordListen, Listening, ListeningEvent] = Decider(Listening(), record_listen, evolve)

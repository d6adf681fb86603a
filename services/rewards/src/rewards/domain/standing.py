"""What the platform knows of a user besides activity, and how likely it makes a sybil: the score, with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from eventlog import Decider
from rewards.domain.account import Account
from rewards.domain.origins import OriginState

NEW = timedelta(days=3)
FAST_REWARDS = 20
MOST_USERS_OF_A_DEVICE = 3
MOST_USERS_OF_AN_ADDRESS = 20


@dataclass(frozen=True, slots=True)
class StandingReported:
    """What another service knows of a user; it replaces what was reported before."""

    user: str
    signed_up_at: datetime
    karma: int
    followers: int


@dataclass(frozen=True, slots=True)
class ClientKeyRegistered:
    """The user's client signs receipts with this Ed25519 key."""

    user: str
    key: str


StandingEvent = StandingReported | ClientKeyRegistered


@dataclass(frozen=True, slots=True)
class Standing:
    reported: StandingReported | None = None
    keys: frozenset[str] = frozenset()


def report_standing(command: StandingEvent, state: Standing) -> list[StandingEvent]:
    known = command == state.reported or (isinstance(command, ClientKeyRegistered) and command.key in state.keys)
    return [] if known else [command]


def evolve_standing(state: Standing, event: StandingEvent) -> Standing:
    if isinstance(event, ClientKeyRegistered):
        return replace(state, keys=state.keys | {event.key})
    return replace(state, reported=event)


standing: Decider[StandingEvent, Standing, StandingEvent] = Decider(Standing(), report_standing, evolve_standing)


def standing_stream(user: str) -> str:
    return f"standing/{user}"


@dataclass(frozen=True, slots=True)
class Score:
    """0: nothing speaks for a sybil; 100: everything does. `reasons` name what counted, for or against."""

    value: int
    reasons: tuple[str, ...]


NOTHING_KNOWN = OriginState()


def score(known: Standing, account: Account, at: datetime, address: OriginState, device: OriginState) -> Score:
    """How likely a user is one of many of the same person (after Audius: active days, followers and karma speak for
    it, fast rewards after the sign-up and shared devices against it). Always the same for the same facts.
    """
    found = tuple(_weights(known, account, at, address, device))
    value = max(0, min(100, sum(weight for weight, _ in found)))
    return Score(value, tuple(reason for _, reason in found))


def _weights(
    known: Standing, account: Account, at: datetime, address: OriginState, device: OriginState
) -> Iterator[tuple[int, str]]:
    if device.users() > MOST_USERS_OF_A_DEVICE:
        yield 50, "shared-device"
    if address.users() > MOST_USERS_OF_AN_ADDRESS:
        yield 20, "shared-address"
    if (reported := known.reported) is not None:
        if at - reported.signed_up_at < NEW:
            yield 10, "new-account"
            if sum(len(day.times) for day in account.days.values()) >= FAST_REWARDS:
                yield 30, "fast-rewards"
        if reported.karma < 0:
            yield 30, "bad-karma"
        elif reported.karma >= 100:
            yield -20, "good-karma"
        if reported.followers >= 10:
            yield -10, "followers"
    if account.active_days >= 14:
        yield -20, "active-days"

"""Members: what a listener is in the commitments of periods, H(secret). The secret never leaves the listener's client.

A user has one member in a period, or its listening could be claimed twice; a member is of one user for ever, or the
other one would be left out of a period. So a change counts from the next period on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from contracts.values import Hash
from eventlog import Decider

MEMBERS = "member/"
WEEK = timedelta(days=7)


def period_of(day: date) -> int:
    """The period that holds a day: a week of ISO 8601, as year and week. 202_645 is from 2 to 8 November 2026."""
    year, week, _ = day.isocalendar()
    return year * 100 + week


def first_day(period: int) -> date:
    """The Monday with which a period begins. Raises ValueError for what is no period."""
    return date.fromisocalendar(period // 100, period % 100, 1)


@dataclass(frozen=True, slots=True)
class MemberRegistered:
    """The user's member from a period on."""

    user: str
    member: Hash
    since: int


@dataclass(frozen=True, slots=True)
class MemberTaken:
    """In the stream of the member: whose it is, for ever."""

    user: str


@dataclass(frozen=True, slots=True)
class RegisterMember:
    """The same again changes nothing."""

    user: str
    member: Hash
    at: datetime


class MemberRefused(Exception):
    """The member is another user's."""


Registrations = tuple[MemberRegistered, ...]
"""In the order in which they were made; of those that begin in time the last one counts."""


def member_in(period: int, registrations: Registrations) -> str | None:
    """A user's member in a period."""
    return next((one.member for one in reversed(registrations) if one.since <= period), None)


def register_member(
    command: RegisterMember, registrations: Registrations, owner: str | None
) -> tuple[MemberRegistered | None, MemberTaken | None]:
    """What is new to the user and to the member. Raises MemberRefused."""
    if owner not in (None, command.user):
        raise MemberRefused(f"{command.member} is registered already")
    if registrations and registrations[-1].member == command.member:
        return None, None
    day = command.at.astimezone(UTC).date()
    since = period_of(day + WEEK) if registrations else period_of(day)
    taken = MemberTaken(command.user) if owner is None else None
    return MemberRegistered(command.user, command.member, since), taken


member: Decider[object, Registrations, MemberRegistered] = Decider(
    (), lambda _, __: (), lambda before, event: (*before, event)
)
owner: Decider[object, str | None, MemberTaken] = Decider(None, lambda _, __: (), lambda _, event: event.user)
"""Both are decided together, by `register_member`."""

"""Where rewarded activities came from: one stream for each address and each device, known by keyed hashes only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from contracts.chain import Pool
from rewards.domain.account import DAY, REMEMBERED, nothing


@dataclass(frozen=True, slots=True)
class Place:
    """One activity that was rewarded."""

    kind: Pool
    user: str
    track: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class PlacesTaken:
    """Rewarded activities of one address or device, all that were decided together."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class OriginDay:
    counts: Mapping[Pool, int] = field(default_factory=nothing)
    hours: Mapping[tuple[Pool, str | None, int], int] = field(default_factory=nothing)
    users: frozenset[str] = frozenset()


NO_DAY = OriginDay()


@dataclass(frozen=True, slots=True)
class OriginState:
    """What came from one address or device in the last days."""

    days: Mapping[date, OriginDay] = field(default_factory=nothing)

    def on(self, day: date) -> OriginDay:
        return self.days.get(day, NO_DAY)

    def users(self) -> int:
        """How many users it has lately."""
        return len(frozenset().union(*[day.users for day in self.days.values()]))


def evolve_origin(state: OriginState, event: PlacesTaken) -> OriginState:
    for place in event.places:
        state = with_place(state, place)
    return state


def with_place(state: OriginState, place: Place) -> OriginState:
    date = place.at.date()
    day = state.on(date)
    hour = (place.kind, place.track, place.at.hour)
    users = day.users if place.user in day.users else day.users | {place.user}
    counts = {**day.counts, place.kind: day.counts.get(place.kind, 0) + 1}
    changed = OriginDay(counts, {**day.hours, hour: day.hours.get(hour, 0) + 1}, users)
    days = state.days
    if date not in days:  # a new day: the oldest can no longer matter, for rewards would come too late
        newest = max([*days, date])
        days = {kept: what for kept, what in days.items() if kept > newest - REMEMBERED - 2 * DAY}
    return OriginState({**days, date: changed})


def address_stream(key: str) -> str:
    return f"address/{key}"


def device_stream(key: str) -> str:
    return f"device/{key}"

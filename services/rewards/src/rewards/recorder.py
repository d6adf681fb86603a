"""Records activities: lock → load → decide → append, in one transaction.

A decision concerns several streams: the user's account, the address and the device it came from, for a referral the
other user's account. Their rows are locked, in one order, before anything is read, so that decisions about the same
device queue up instead of conflicting; streams that are new can still conflict, and are then decided anew. Nobody can
publish a rule meanwhile (`rulebook.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from eventlog import EventLog, Metadata, NewEvent, RecentStates, retry_on_conflict, uuid7
from projections.garbage import fewer_collections
from rewards import domain
from rewards.domain.origins import evolve_origin
from rewards.domain.standing import evolve_standing
from rewards.domain.verdicts import States, concerned, decide, initial
from rewards.rulebook import Rules

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reported:
    """A report and where it came from."""

    report: domain.Report
    metadata: Metadata = Metadata()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was recorded of each report, in order; `appended` counts the new events, `position` is the last one's."""

    recorded: Sequence[domain.ActivityRecorded]
    appended: int
    stream: str
    position: int
    committed: Callable[[], None]


class Recorder:
    """Decides about reports and records them. One in each process; states of recent streams are kept by version."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.rules = Rules(log)
        self._recent = RecentStates()

    async def record(self, reported: Sequence[Reported], conn: asyncpg.Connection | None = None) -> Outcome:
        """All reports take effect, or none. With `conn` in the caller's transaction, after whose commit the caller
        calls `committed`; a conflict then raises WrongExpectedVersion.

        Raises ConflictingActivity.
        """
        with fewer_collections():  # each reward makes some twenty objects that stay
            return await self._recorded(reported, conn)

    async def _recorded(self, reported: Sequence[Reported], conn: asyncpg.Connection | None) -> Outcome:
        if conn is not None:
            return await self._record(reported, conn)
        outcome = await in_one(self._log.pool, partial(self._record, reported))
        outcome.committed()
        return outcome

    async def _record(self, reported: Sequence[Reported], conn: asyncpg.Connection) -> Outcome:
        book = await self.rules.held(conn)
        versions, states = await self._load(reported, conn)
        recorded: list[domain.ActivityRecorded] = []
        sources: dict[str, Metadata] = {}
        for one in reported:
            recorded.append(decide(one.report, states, book))
            sources[one.report.reward_id] = one.metadata
        events = list(_new_events(states, sources))
        if not events:
            return Outcome(recorded, 0, "", 0, lambda: None)
        touched = {event.stream for event in events}
        appended = await self._log.append(events, {stream: versions[stream] for stream in touched}, conn)

        def committed() -> None:
            for stream in touched:
                self._recent.remember(stream, appended.versions[stream], states.of[stream])
            self._log.wake()

        return Outcome(recorded, len(events), events[-1].stream, appended.position, committed)

    async def _load(self, reported: Iterable[Reported], conn: asyncpg.Connection) -> tuple[dict[str, int], States]:
        """The versions and states of all streams concerned, those that may grow locked."""
        needs = [concerned(one.report.activity) for one in reported]
        changed = {stream for need in needs for stream in need.changed}
        read = {stream for need in needs for stream in need.read} - changed
        versions = dict.fromkeys((*changed, *read), 0)
        found = 'SELECT stream, version FROM streams WHERE stream = ANY ($1) ORDER BY stream COLLATE "C" FOR UPDATE'
        versions.update(await conn.fetch(found, list(changed)))
        versions.update(await conn.fetch("SELECT stream, version FROM streams WHERE stream = ANY ($1)", list(read)))
        states: dict[str, Any] = {}
        stale: dict[str, int] = {}
        for stream, version in versions.items():
            if version:
                seen, states[stream] = self._recent.get(stream)
                if seen != version:
                    stale[stream] = seen
        if stale:
            for event in await self._log.read_streams(stale, conn):
                states[event.stream] = evolve(event.stream, states[event.stream], event.event)
                versions[event.stream] = event.version
                self._recent.remember(event.stream, event.version, states[event.stream])
        return versions, States(states)


async def in_one(pool: asyncpg.Pool, decide: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What is decided and appended in one transaction; decided anew after a conflict."""

    async def once() -> T:
        async with pool.acquire() as conn, conn.transaction():
            return await decide(conn)

    return await retry_on_conflict(once)


_EVOLVE: Mapping[str, Callable[[Any, Any], Any]] = {
    "address": evolve_origin,
    "device": evolve_origin,
    "standing": evolve_standing,
}


def evolve(stream: str, state: Any, event: Any) -> Any:
    """The state of a stream after one more event; None stands for a stream without events."""
    before = initial(stream) if state is None else state
    return _EVOLVE.get(stream.partition("/")[0], domain.evolve_account)(before, event)


def _new_events(states: States, sources: Mapping[str, Metadata]) -> Iterable[NewEvent]:
    """What the decisions have led to, in the order in which they were made; then one event for each origin."""
    for stream, event in states.events:
        if isinstance(event, domain.Referred):
            yield NewEvent(stream, event, event.at)
        else:
            yield NewEvent(stream, event, event.activity.at, UUID(event.reward_id), sources[event.reward_id])
    for stream, places in states.places.items():
        yield NewEvent(stream, domain.PlacesTaken(tuple(places)), places[-1].at)


def new_reward_id() -> str:
    return str(uuid7())

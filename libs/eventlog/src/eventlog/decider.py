"""Commands to events: load → decide → append, for one command or for thousands in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from eventlog.append import Appended
from eventlog.conflicts import retry_on_conflict
from eventlog.events import Metadata, NewEvent
from eventlog.ids import derived_id, uuid7
from eventlog.log import EventLog
from eventlog.recent import RecentStates

Command = TypeVar("Command")
State = TypeVar("State")
Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class Decider(Generic[Command, State, Event]):
    """A pure aggregate. `decide` raises to refuse; no events means that nothing needs to happen.

    States are values: `evolve` returns a new one and never changes the old one.
    """

    initial: State
    decide: Callable[[Command, State], Sequence[Event]]
    evolve: Callable[[State, Event], State]

    def fold(self, events: Sequence[Event]) -> State:
        """The state after these events."""
        state = self.initial
        for event in events:
            state = self.evolve(state, event)
        return state


@dataclass(slots=True)  # not frozen, as NewEvent
class Intent:
    """A command on its way to one stream.

    `key`, where given, identifies what is asked: the ids of the resulting events are derived from it, so that the same
    intent can't take effect twice.
    """

    stream: str
    decider: Decider[Any, Any, Any]
    command: object
    occurred_at: datetime
    metadata: Metadata = Metadata()
    key: str | None = None

    @property
    def deciders(self) -> Mapping[str, Decider[Any, Any, Any]]:
        return {self.stream: self.decider}

    def decided(self, states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        return [(self.stream, event) for event in self.decider.decide(self.command, states[self.stream])]


@dataclass(frozen=True, slots=True)
class JointIntent:
    """A command about several streams: decided on the states of all of them, its events appended to all or none.

    `deciders` names the streams with how each evolves; `decided` gets their states by stream and returns each event
    with its stream, in order. It raises to refuse, as `Decider.decide` does. A stream that gets no events is only
    looked at: what others append to it meanwhile is no conflict.
    """

    deciders: Mapping[str, Decider[Any, Any, Any]]
    decided: Callable[[Mapping[str, Any]], Sequence[tuple[str, object]]]
    occurred_at: datetime
    metadata: Metadata = Metadata()
    key: str | None = None
    first_id: UUID | None = None
    """The id of its first event, where others look for it by that."""
    also: Callable[[Mapping[str, Any]], Mapping[str, Decider[Any, Any, Any]]] | None = None
    """More streams that it is about, as the states of those known so far tell; asked until there are no more."""


AnyIntent = Intent | JointIntent


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of a batch of intents: the events of each, in order, and where they stand in the log."""

    events: Sequence[Sequence[NewEvent]]
    appended: Appended | None
    _states: dict[str, tuple[int, Any]]
    _executor: Executor
    refused: Mapping[int, Exception] = field(default_factory=dict)
    """Why, of those that were decided apart, by their number."""

    def state(self, stream: str) -> Any:
        """The state of a stream that an intent was for, after what was decided."""
        return self._states[stream][1]

    def committed(self) -> None:
        """To be called once the transaction has committed: only then may the new states be remembered."""
        self._executor.remember(self._states)
        if self.appended is not None:
            self._executor.log.wake()


class Executor:
    """Executes intents against a log.

    States of recently used streams are kept in memory with their version. A stale one does no harm: each load asks
    for the events after it, and the compare-and-set of the append catches what came in between.
    """

    def __init__(self, log: EventLog, cache_size: int = 50_000) -> None:
        self.log = log
        self._recent = RecentStates(cache_size)

    async def execute(
        self, intents: Sequence[AnyIntent], conn: asyncpg.Connection | None = None, *, apart: bool = False
    ) -> Execution:
        """Decide all intents in order and append their events at once: all of them take effect, or none.

        With `conn` this is part of the caller's transaction: a conflict raises WrongExpectedVersion, and after the
        commit the caller calls `committed()`. Without, the batch runs in a transaction of its own and is decided anew
        after a conflict. An error raised by `decide` passes through; `apart`, it refuses that intent only, each being
        decided on what those before it led to.
        """
        if conn is not None:
            return await self._execute(intents, conn, apart)
        execution = await retry_on_conflict(lambda: self._execute(intents, None, apart))
        execution.committed()
        return execution

    async def executed(self, intents: Sequence[AnyIntent], conn: asyncpg.Connection) -> bool:
        """Whether the log has what these intents, executed together, have led to; those without a key are unknown."""
        ids = [_event_id(intent, 0) for intent in intents if intent.key is not None]
        return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM events WHERE event_id = ANY ($1))", ids))

    async def state(self, stream: str, decider: Decider[Any, State, Any]) -> State:
        """The state of a stream now."""
        state: State
        version, state = self._recent.get(stream, decider.initial)
        for recorded in await self.log.read_streams({stream: version}):
            state = decider.evolve(state, recorded.event)
        return state

    def remember(self, states: dict[str, tuple[int, Any]]) -> None:
        for stream, (version, state) in states.items():
            self._recent.remember(stream, version, state)

    async def _execute(self, intents: Sequence[AnyIntent], conn: asyncpg.Connection | None, apart: bool) -> Execution:
        states, deciders = await self._load(intents, conn)
        current = _Current(states)
        loaded = {stream: version for stream, (version, _) in states.items()}
        outcomes: list[list[NewEvent]] = []
        refused: dict[int, Exception] = {}
        for intent in intents:
            decided: Sequence[tuple[str, object]] = ()
            try:
                decided = intent.decided(current)
            except Exception as error:
                if not apart:
                    raise
                refused[len(outcomes)] = error
            for stream, event in decided:
                version, state = states[stream]
                states[stream] = (version + 1, deciders[stream].evolve(state, event))
            outcomes.append([_new_event(intent, stream, event, i) for i, (stream, event) in enumerate(decided)])
        events = [event for outcome in outcomes for event in outcome]
        appended = None
        if events:
            touched = {event.stream for event in events}
            appended = await self.log.append(events, {stream: loaded[stream] for stream in touched}, conn)
            if appended.repeated:
                states = {}  # what was decided now is not what the log holds
        return Execution(outcomes, appended, states, self, refused)

    async def _load(
        self, intents: Sequence[AnyIntent], conn: asyncpg.Connection | None
    ) -> tuple[dict[str, tuple[int, Any]], dict[str, Decider[Any, Any, Any]]]:
        """The states of all streams that the intents are about, with their versions; and how each evolves."""
        states: dict[str, tuple[int, Any]] = {}
        deciders: dict[str, Decider[Any, Any, Any]] = {}
        wanted = {stream: decider for intent in intents for stream, decider in intent.deciders.items()}
        while wanted:
            deciders |= wanted
            states |= {stream: self._recent.get(stream, decider.initial) for stream, decider in wanted.items()}
            for recorded in await self.log.read_streams({stream: states[stream][0] for stream in wanted}, conn):
                _, state = states[recorded.stream]
                states[recorded.stream] = (recorded.version, deciders[recorded.stream].evolve(state, recorded.event))
            asking = [intent.also for intent in intents if isinstance(intent, JointIntent) and intent.also is not None]
            more = {stream: decider for also in asking for stream, decider in also(_Current(states)).items()}
            wanted = {stream: decider for stream, decider in more.items() if stream not in states}
        return states, deciders


class _Current(Mapping[str, Any]):
    """The states of streams without their versions, as they are now."""

    def __init__(self, states: Mapping[str, tuple[int, Any]]) -> None:
        self._states = states

    def __getitem__(self, stream: str) -> Any:
        return self._states[stream][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


def _new_event(intent: AnyIntent, stream: str, event: object, index: int) -> NewEvent:
    return NewEvent(stream, event, intent.occurred_at, _event_id(intent, index), intent.metadata)


def _event_id(intent: AnyIntent, index: int) -> UUID:
    if index == 0 and isinstance(intent, JointIntent) and intent.first_id is not None:
        return intent.first_id
    return derived_id(f"{intent.key}/{index}", intent.occurred_at) if intent.key is not None else uuid7()

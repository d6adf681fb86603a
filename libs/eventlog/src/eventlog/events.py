"""Events as they are given to the log, and as it holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import orjson

from eventlog.ids import uuid7
from eventlog.types import EventTypes


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about an event beside its content. Never personal data: `actor` is an opaque subject id.

    `role` is the office in which the actor acted, `admin` or `officer`; None for all others.
    """

    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    actor: str | None = None
    role: str | None = None

    def to_json(self) -> str:
        if self is _NOTHING:
            return "{}"
        known = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return orjson.dumps(known).decode()


_NOTHING = Metadata()


@dataclass(slots=True)  # not frozen, as RecordedEvent
class NewEvent:
    """An event to be appended. `occurred_at` is when the fact happened, timezone-aware."""

    stream: str
    event: object
    occurred_at: datetime
    event_id: UUID = field(default_factory=uuid7)
    metadata: Metadata = _NOTHING


@dataclass(eq=False)  # not frozen: tens of thousands are made a second, and frozen ones cost twice as much
class RecordedEvent:
    """An event as the log holds it; `event` is decoded (and upcast) at first use."""

    position: int
    stream: str
    version: int
    event_id: UUID
    type: str
    type_version: int
    data: str
    metadata_json: str
    occurred_at: datetime
    recorded_at: datetime
    types: EventTypes = field(repr=False, kw_only=True)

    @cached_property
    def event(self) -> Any:
        return self.types.decode(self.type, self.type_version, self.data)

    @cached_property
    def metadata(self) -> Metadata:
        return Metadata(**json.loads(self.metadata_json))


def decode_all(events: Iterable[RecordedEvent]) -> None:
    """Decode events together, which is faster than each at its first use; what can't be is left to that."""
    alike: dict[tuple[EventTypes, str, int], list[RecordedEvent]] = {}
    for recorded in events:
        if "event" not in recorded.__dict__:
            alike.setdefault((recorded.types, recorded.type, recorded.type_version), []).append(recorded)
    for (types, name, version), members in alike.items():
        decoded = types.decode_all(name, version, [recorded.data for recorded in members])
        if decoded is not None:
            for recorded, event in zip(members, decoded, strict=True):
                recorded.event = event

"""What the plain model of the log is made of: events, writers and readers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from eventlog import RecordedEvent


@dataclass(frozen=True)
class Stored:
    """An event as the model has it."""

    position: int
    stream: str
    version: int
    event_id: UUID
    type: str
    event: object


def stored(recorded: RecordedEvent) -> Stored:
    return Stored(
        recorded.position, recorded.stream, recorded.version, recorded.event_id, recorded.type, recorded.event
    )


@dataclass
class Writer:
    """A transaction of a caller, and what it has appended so far."""

    conn: asyncpg.Connection
    transaction: Any
    pending: list[Stored] = field(default_factory=list)


@dataclass
class Reader:
    """One that follows the log, and what it has seen."""

    types: set[str] | None
    prefix: str | None
    checkpoint: int = 0
    seen: list[Stored] = field(default_factory=list)
    measuring: asyncio.Task[int] | None = None
    waits_for: set[int] = field(default_factory=set)
    at_least: int = 0

    def wants(self, event: Stored) -> bool:
        return (self.types is None or event.type in self.types) and event.stream.startswith(self.prefix or "")

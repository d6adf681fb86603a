"""What the plain model of the log is made of: events, writers and readers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from uuid import UUID

import asyncpg

from eventlog import RecordedEvent, Watermark, watermark


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


async def measuring(pool: asyncpg.Pool) -> asyncio.Task[int]:
    """A measurement that is through, or knows for whom it has to wait: who comes later is nothing to it."""
    gone, waits = watermark._gone, asyncio.Event()

    async def known_and_gone(conn: asyncpg.Connection, writers: list[str]) -> None:
        if asyncio.current_task() is task:
            waits.set()
        await gone(conn, writers)

    with patch.object(watermark, "_gone", known_and_gone):
        task = asyncio.create_task(Watermark(pool).measure())
        waiting = asyncio.create_task(waits.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    return task

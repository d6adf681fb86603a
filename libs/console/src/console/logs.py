"""Events as the services' logs hold them: searched page by page, found by id, and by what caused them.

It reads what is stored and decodes nothing, so that an event whose class is gone is shown, too, and one with personal
values shows them sealed.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from annals.services import Installed, installed

PAGE = 50
SEARCH_SECONDS = 10.0
WINDOW = 200_000
"""So many positions of a log are searched for the effects of an event."""
MOST_EFFECTS = 300

_COLUMNS = (
    "position, stream, version, event_id, type, type_version, data::text, metadata::text, occurred_at, recorded_at"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event of a service's log."""

    service: str
    position: int
    stream: str
    version: int
    event_id: str
    type: str
    type_version: int
    data: str
    metadata: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime

    @property
    def cause(self) -> str | None:
        """What led to it: an event's id, a transaction's id, or the key of a command."""
        return self.metadata.get("causation_id")

    @property
    def correlation(self) -> str | None:
        """What it belongs to, with others."""
        return self.metadata.get("correlation_id")

    @property
    def place(self) -> dict[str, Any] | None:
        """Where on the chain it comes from: block_number, tx_id and log_index; None for what does not."""
        document = json.loads(self.data)
        source = document.get("source", document) if isinstance(document, dict) else {}
        found = isinstance(source, dict) and source.get("tx_id") is not None and "block_number" in source
        return {name: source.get(name) for name in ("block_number", "tx_id", "log_index")} if found else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events of one log: those that have all that is said, before a position, newest first."""

    stream: str = ""
    """A stream, or with a `/` at its end all that begin so."""
    type: str = ""
    correlation: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


async def search(service: Installed, wanted: Wanted) -> list[Stored]:
    """A page of events, newest first. Raises TimeoutError when too many had to be looked at."""
    conditions, values = ["true"], list[Any]()

    def where(condition: str, value: Any) -> None:
        if value not in ("", None):
            values.append(value)
            conditions.append(condition.replace("?", f"${len(values)}"))

    where("starts_with(stream, ?)" if wanted.stream.endswith("/") else "stream = ?", wanted.stream)
    where("type = ?", wanted.type)
    where("? IN (metadata->>'correlation_id', metadata->>'causation_id', event_id::text)", wanted.correlation)
    where("recorded_at >= ?", wanted.since)
    where("recorded_at < ?", wanted.until)
    where("position < ?", wanted.before)
    sql = f"SELECT {_COLUMNS} FROM events WHERE {' AND '.join(conditions)} ORDER BY position DESC LIMIT {PAGE}"  # noqa: S608 - constants
    async with service.log() as log:
        return _stored(service.name, await log.pool.fetch(sql, *values, timeout=SEARCH_SECONDS))


async def event(service: Installed, event_id: UUID) -> Stored | None:
    """The event with an id, None if the log has none."""
    async with service.log() as log:
        rows = await log.pool.fetch(f"SELECT {_COLUMNS} FROM events WHERE event_id = $1", event_id)  # noqa: S608
    return next(iter(_stored(service.name, rows)), None)


async def find_event(event_id: UUID) -> Stored | None:
    """The event with an id, in whichever log; None if none has it."""
    for service in installed().values():
        if (found := await event(service, event_id)) is not None:
            return found
    return None


async def effects(service: Installed, causes: Collection[str], since: datetime) -> list[Stored]:
    """What was recorded in one log from a time on because of some causes, in order; the first MOST_EFFECTS.

    WINDOW positions are searched: logs have no index of causes, which would be paid for by every append.
    """
    async with service.log() as log:
        first = await _position_at(log.pool, since)
        rows = await log.pool.fetch(
            f"""SELECT {_COLUMNS} FROM events WHERE position >= $1 AND position < $1 + {WINDOW}
                AND metadata->>'causation_id' = ANY ($2) ORDER BY position LIMIT {MOST_EFFECTS}""",  # noqa: S608
            first,
            list(causes),
            timeout=SEARCH_SECONDS,
        )
    return _stored(service.name, rows)


async def _position_at(pool: asyncpg.Pool, since: datetime) -> int:
    """A position before which nothing was recorded later than `since`, found by halving."""
    low, high = 0, await pool.fetchval("SELECT coalesce(max(position), 0) FROM events")
    while low < high:
        middle = (low + high) // 2
        recorded = await pool.fetchval(
            "SELECT recorded_at FROM events WHERE position >= $1 ORDER BY position LIMIT 1", middle
        )
        if recorded < since:
            low = middle + 1
        else:
            high = middle
    return low


def _stored(service: str, rows: list[asyncpg.Record]) -> list[Stored]:
    return [
        Stored(service, **{**row, "event_id": str(row["event_id"]), "metadata": json.loads(row["metadata"])})
        for row in rows
    ]

"""Appending to the log and reading it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg

from eventlog import metrics, tracing
from eventlog.errors import DuplicateEvent, WrongExpectedVersion
from eventlog.ids import uuid7
from eventlog.types import EventTypes
from eventlog.watermark import Watermark

ANY = -1
"""Expected version: whatever the stream has."""
NO_STREAM = 0
"""Expected version: the stream must not exist yet."""

COPY_FROM = 200  # events in one append from which COPY beats the function with arrays
COPY_ROWS = 5_000  # rows of one COPY: bounds how long the fence is held between two statements
WRONG_VERSION = "AN001"  # the SQLSTATE raised by take_streams


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about an event beside its content. Never personal data: `actor` is an opaque subject id."""

    causation_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    actor: str | None = None

    def to_json(self) -> str:
        if self is _NOTHING:
            return "{}"
        return json.dumps({name: value for name in self.__slots__ if (value := getattr(self, name)) is not None})


_NOTHING = Metadata()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be appended. `occurred_at` is when the fact happened, timezone-aware."""

    stream: str
    event: object
    occurred_at: datetime
    event_id: UUID = field(default_factory=uuid7)
    metadata: Metadata = _NOTHING


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did: the position of its last event and the version each stream has now."""

    position: int
    versions: Mapping[str, int]
    repeated: bool = False
    """Nothing was written: these very events were in the log already."""


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


@dataclass(frozen=True, slots=True)
class Share:
    """One of `count` shares of all streams, dealt by PostgreSQL's hash of their names; `index` counts from 0."""

    index: int
    count: int


_SHARE_OF_STREAM = "(hashtextextended(stream, 0) & 2147483647) % ${}::bigint"
_COLUMNS = "position, stream, version, event_id, type, type_version, data, metadata, occurred_at, recorded_at"


class EventLog:
    """The append-only log of one service.

    `watermark`, when given, is woken after each append that this process commits, so that subscriptions
    follow within milliseconds instead of at the next poll.
    """

    def __init__(self, pool: asyncpg.Pool, types: EventTypes, watermark: Watermark | None = None) -> None:
        self.pool = pool
        self.types = types
        self._watermark = watermark

    async def append(
        self,
        events: Sequence[NewEvent],
        expected: Mapping[str, int] | None = None,
        conn: asyncpg.Connection | None = None,
    ) -> Appended:
        """Append events, all or none, to one or several streams.

        `expected` gives the version each stream must have (ANY where it is silent). With `conn` the append is part of
        the caller's open transaction and should be its last step: from here to the commit, readers of the log wait.

        Repeating an append with the same event ids changes nothing and returns what the first one returned; inside a
        caller's transaction it raises instead, because PostgreSQL has aborted that transaction.

        Raises WrongExpectedVersion, DuplicateEvent, UnknownEventType, InvalidEvent.
        """
        if not events:
            raise ValueError("append: no events")
        started = perf_counter()
        try:
            with tracing.appending(events) as traced:
                appended = await self._append(traced, expected or {}, conn)
        except WrongExpectedVersion:
            metrics.conflicts.inc()
            raise
        metrics.append_seconds.observe(perf_counter() - started)
        if appended.repeated:
            metrics.repeats.inc()
        else:
            metrics.appended.inc(len(events))
        return appended

    async def _append(
        self, events: Sequence[NewEvent], expected: Mapping[str, int], conn: asyncpg.Connection | None
    ) -> Appended:
        batch = _Batch(events, expected, self.types)
        if conn is not None:
            return await batch.write(conn)
        async with self.pool.acquire() as own:
            try:
                appended = await batch.write(own)
            except (WrongExpectedVersion, DuplicateEvent):
                if (first := await self._first_result(own, events)) is None:
                    raise
                return first
        self.wake()
        return appended

    def wake(self) -> None:
        """Tell this process's readers that an append was committed."""
        if self._watermark is not None:
            self._watermark.notify()

    async def read(
        self,
        after: int,
        upto: int,
        limit: int = 5_000,
        types: Iterable[str] | None = None,
        conn: asyncpg.Connection | None = None,
        share: Share | None = None,
    ) -> list[RecordedEvent]:
        """Events with after < position <= upto in order of position, at most `limit`, optionally only of some types.

        `share` leaves out streams of other shares. Nothing is missed provided `upto` is at most the horizon of a
        Watermark.
        """
        where = "position > $1 AND position <= $2"
        arguments: list[Any] = [after, upto, limit]
        if types is not None:
            arguments.append(list(types))
            where += f" AND type = ANY (${len(arguments)})"
        if share is not None:
            arguments += [share.count, share.index]
            where += f" AND {_SHARE_OF_STREAM.format(len(arguments) - 1)} = ${len(arguments)}"
        sql = f"SELECT {_COLUMNS} FROM events WHERE {where} ORDER BY position LIMIT $3"  # noqa: S608 - constant parts
        return self._recorded(await (conn or self.pool).fetch(sql, *arguments))

    async def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None, conn: asyncpg.Connection | None = None
    ) -> list[RecordedEvent]:
        """Events of one stream with a version above `after_version`, in order; empty when there are none."""
        sql = f"SELECT {_COLUMNS} FROM events WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3"  # noqa: S608 - constant columns
        return self._recorded(await (conn or self.pool).fetch(sql, stream, after_version, limit))

    async def read_streams(
        self, after_versions: Mapping[str, int], conn: asyncpg.Connection | None = None
    ) -> list[RecordedEvent]:
        """Events of several streams above the given versions, in one query; each stream's events in order."""
        sql = f"""SELECT {", ".join("e." + name for name in _COLUMNS.split(", "))}
                  FROM unnest($1::text[], $2::bigint[]) AS wanted(stream, after)
                  CROSS JOIN LATERAL (SELECT * FROM events WHERE stream = wanted.stream AND version > wanted.after
                                      ORDER BY version) AS e"""  # noqa: S608 - constant columns
        rows = await (conn or self.pool).fetch(sql, list(after_versions), list(after_versions.values()))
        return self._recorded(rows)

    async def identity(self) -> UUID:
        """The id of this log; a restored or recreated log has another."""
        return UUID(str(await self.pool.fetchval("SELECT log_id FROM log_identity")))

    def _recorded(self, rows: Iterable[Any]) -> list[RecordedEvent]:
        return [RecordedEvent(*row, types=self.types) for row in rows]

    async def _first_result(self, conn: asyncpg.Connection, events: Sequence[NewEvent]) -> Appended | None:
        """What an earlier append of exactly these event ids to these streams returned; None if there was none."""
        rows = await conn.fetch(
            "SELECT event_id, position, stream, version FROM events WHERE event_id = ANY ($1)",
            [event.event_id for event in events],
        )
        streams = {row["event_id"]: row["stream"] for row in rows}
        if any(streams.get(event.event_id) != event.stream for event in events):
            return None
        versions: dict[str, int] = {}
        for row in rows:
            versions[row["stream"]] = max(versions.get(row["stream"], 0), row["version"])
        return Appended(max(row["position"] for row in rows), versions, repeated=True)


class _Batch:
    """The events of one append in the shape that PostgreSQL takes: streams sorted by name, events in order."""

    def __init__(self, events: Sequence[NewEvent], expected: Mapping[str, int], types: EventTypes) -> None:
        counts: dict[str, int] = {}
        self.offsets: list[int] = []
        for event in events:
            counts[event.stream] = counts.get(event.stream, 0) + 1
            self.offsets.append(counts[event.stream])
        if strangers := expected.keys() - counts.keys():
            raise ValueError(f"append: expected versions of streams without events: {', '.join(sorted(strangers))}")
        self.events = events
        self.names = sorted(counts)
        self.counts = [counts[name] for name in self.names]
        self.expected = [expected.get(name, ANY) for name in self.names]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.encoded = [types.encode(event.event) for event in events]

    async def write(self, conn: asyncpg.Connection) -> Appended:
        try:
            if len(self.events) < COPY_FROM:
                position, before = await self._call(conn)  # one statement, so one round trip when it stands alone
            else:
                async with conn.transaction():
                    position, before = await self._copy(conn)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name not in ("events_event_id", "events_stream_version"):
                raise
            raise DuplicateEvent(f"append refused: {error.detail}") from error
        except asyncpg.PostgresError as error:
            if error.sqlstate != WRONG_VERSION:
                raise
            raise WrongExpectedVersion(*json.loads(error.detail)) from error
        return Appended(position, {name: before[i] + self.counts[i] for name, i in self.index.items()})

    async def _call(self, conn: asyncpg.Connection) -> tuple[int, list[int]]:
        types, versions, data = zip(*self.encoded, strict=True)
        row = await conn.fetchrow(
            "SELECT * FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            self.names,
            self.expected,
            self.counts,
            [self.index[event.stream] + 1 for event in self.events],
            self.offsets,
            [event.event_id for event in self.events],
            types,
            versions,
            data,
            [event.metadata.to_json() for event in self.events],
            [event.occurred_at for event in self.events],
        )
        return row["last_position"], row["before"]

    async def _copy(self, conn: asyncpg.Connection) -> tuple[int, list[int]]:
        before = await conn.fetchval("SELECT take_streams($1, $2, $3)", self.names, self.expected, self.counts)
        rows = [
            (
                event.stream,
                before[self.index[event.stream]] + offset,
                event.event_id,
                type_name,
                type_version,
                data,
                event.metadata.to_json(),
                event.occurred_at,
            )
            for event, offset, (type_name, type_version, data) in zip(
                self.events, self.offsets, self.encoded, strict=True
            )
        ]
        columns = ("stream", "version", "event_id", "type", "type_version", "data", "metadata", "occurred_at")
        for start in range(0, len(rows), COPY_ROWS):
            await conn.copy_records_to_table("events", records=rows[start : start + COPY_ROWS], columns=columns)
        return await conn.fetchval("SELECT currval('events_position')"), before


def install_sql() -> str:
    """The SQL that creates the log in an empty database; run it once, as the role that owns the tables."""
    return files("eventlog").joinpath("schema.sql").read_text()

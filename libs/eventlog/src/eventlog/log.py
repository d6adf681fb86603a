"""Appending to the log and reading it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg

from eventlog import metrics, selection, tracing
from eventlog.append import COPY_FROM, Append, Appended, GroupCommit, commit, write
from eventlog.errors import WrongExpectedVersion
from eventlog.events import NewEvent, RecordedEvent
from eventlog.pages import Pages
from eventlog.types import EventTypes
from eventlog.watermark import Watermark


@dataclass(frozen=True, slots=True)
class Share:
    """One of `count` shares of all streams, dealt by PostgreSQL's hash of their names; `index` counts from 0."""

    index: int
    count: int


READ_BYTES = 16_777_216
"""Bounds the memory of a reader who asks for thousands of events and meets large ones; as PostgreSQL stores them."""

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
        self._group = GroupCommit(pool)
        self._pages = Pages(self.read)

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
        append = Append(events, expected, self.types)
        if conn is not None:
            return (await write(conn, [append]))[0]
        small = len(events) < COPY_FROM
        appended = await self._group.append(append) if small else (await commit(self.pool, [append]))[0]
        if not appended.repeated:
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
        streams: str | None = None,
    ) -> list[RecordedEvent]:
        """Events with after < position <= upto in order of position, at most `limit` and about READ_BYTES of data.

        There may be more behind the last one that it returns; when it returns none, there are none.
        Optionally only those of some types, or of streams whose names begin with `streams`; `index_sql` makes an index
        for that. `share` leaves out streams of other shares. Nothing is missed provided `upto` is at most the horizon
        of a Watermark.
        """
        where = f"position > $1 AND position <= $2 AND {selection.where(types, streams)}"
        arguments: list[Any] = [after, upto, limit]
        if share is not None:
            arguments += [share.count, share.index]
            where += f" AND {selection.share_sql('stream', f'${len(arguments) - 1}::bigint')} = ${len(arguments)}"
        sql = f"""SELECT {_COLUMNS} FROM (
                      SELECT {_COLUMNS}, sum(pg_column_size(data)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING)
                             - pg_column_size(data) AS bytes_before
                      FROM events WHERE {where} ORDER BY position LIMIT $3) AS e
                  WHERE bytes_before < {READ_BYTES} ORDER BY position"""  # noqa: S608 - constant parts
        return self._recorded(await (conn or self.pool).fetch(sql, *arguments))

    async def following(self, after: int, upto: int, limit: int) -> Sequence[RecordedEvent]:
        """As `read`, for those who follow the log: who reads the same as another a moment ago gets the same objects."""
        return await self._pages.after(after, upto, limit)

    def read_anew(self) -> None:
        """What follows is asked for again: the server that answers now may have less than the one that did before."""
        self._pages.forget()

    async def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None, conn: asyncpg.Connection | None = None
    ) -> list[RecordedEvent]:
        """Events of one stream with a version above `after_version`, in order; empty when there are none."""
        sql = f"SELECT {_COLUMNS} FROM events WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3"  # noqa: S608 - constant columns
        return self._recorded(await (conn or self.pool).fetch(sql, stream, after_version, limit))

    async def read_together(
        self, streams: Iterable[str], after: int, upto: int, limit: int = 500, types: Iterable[str] | None = None
    ) -> list[RecordedEvent]:
        """Events of some streams with after < position <= upto in order of position, the first `limit` of them.

        Costs what is found, and looks at what these streams have after `after`, whatever else the log has. Nothing is
        missed provided `upto` is at most the horizon of a Watermark.
        """
        columns = ", ".join("e." + name for name in _COLUMNS.split(", "))
        sql = f"""SELECT {columns} FROM unnest($1::text[]) AS wanted(stream)
                  CROSS JOIN LATERAL (SELECT coalesce((
                      SELECT version FROM events WHERE stream = wanted.stream AND position <= $2
                      ORDER BY version DESC LIMIT 1), 0) AS version) AS seen
                  CROSS JOIN LATERAL (
                      SELECT * FROM events WHERE stream = wanted.stream AND version > seen.version AND position <= $3
                      AND ($5::text[] IS NULL OR type = ANY ($5)) ORDER BY version LIMIT $4) AS e
                  ORDER BY e.position LIMIT $4"""  # noqa: S608 - constant columns
        names = list(types) if types is not None else None
        return self._recorded(await self.pool.fetch(sql, list(streams), after, upto, limit, names))

    async def naming(self, text: str, after: int, upto: int) -> list[RecordedEvent]:
        """Events with after < position <= upto in whose stream or data a text stands, in order of position.

        Looks at all of them, for no index knows: ask for some ten thousand positions at a time.
        """
        sql = f"""SELECT {_COLUMNS} FROM events WHERE position > $1 AND position <= $2
                  AND (strpos(stream, $3) > 0 OR strpos(data::text, $3) > 0) ORDER BY position"""  # noqa: S608 - constant columns
        return self._recorded(await self.pool.fetch(sql, after, upto, text))

    async def version(self, stream: str, conn: asyncpg.Connection | None = None) -> int:
        """The version of a stream's last event; 0 when it has none."""
        found = await (conn or self.pool).fetchval("SELECT version FROM streams WHERE stream = $1", stream)
        return int(found or 0)

    async def last(self, stream: str, conn: asyncpg.Connection | None = None) -> RecordedEvent | None:
        """The last event of a stream; None when it has none."""
        sql = f"SELECT {_COLUMNS} FROM events WHERE stream = $1 ORDER BY version DESC LIMIT 1"  # noqa: S608 - constant columns
        found = self._recorded(await (conn or self.pool).fetch(sql, stream))
        return found[0] if found else None

    async def event(self, event_id: UUID, conn: asyncpg.Connection | None = None) -> RecordedEvent | None:
        """The event with an id; None when there is none."""
        sql = f"SELECT {_COLUMNS} FROM events WHERE event_id = $1"  # noqa: S608 - constant columns
        found = self._recorded(await (conn or self.pool).fetch(sql, event_id))
        return found[0] if found else None

    async def events(self, ids: Iterable[UUID], conn: asyncpg.Connection | None = None) -> dict[UUID, RecordedEvent]:
        """Those of the events with these ids that there are, by id."""
        sql = f"SELECT {_COLUMNS} FROM events WHERE event_id = ANY ($1)"  # noqa: S608 - constant columns
        found = self._recorded(await (conn or self.pool).fetch(sql, list(ids)))
        return {recorded.event_id: recorded for recorded in found}

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

    async def waiting_seconds(self, after: int, upto: int) -> float:
        """Seconds since the first event with after < position <= upto was recorded; 0 when there is none."""
        sql = """SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM events
                 WHERE position > $1 AND position <= $2 ORDER BY position LIMIT 1"""
        return max(0.0, await self.pool.fetchval(sql, after, upto) or 0.0) if upto > after else 0.0

    async def event_id_at(self, position: int) -> UUID | None:
        """The id of the event at a position; None where there is none."""
        found: UUID | None = await self.pool.fetchval("SELECT event_id FROM events WHERE position = $1", position)
        return found

    async def identity(self) -> UUID:
        """The id of this log; a restored or recreated log has another."""
        return UUID(str(await self.pool.fetchval("SELECT log_id FROM log_identity")))

    def _recorded(self, rows: Iterable[Any]) -> list[RecordedEvent]:
        return [RecordedEvent(*row, types=self.types) for row in rows]


def install_sql() -> str:
    """The SQL that creates the log in an empty database; run it once, as the role that owns the tables."""
    return files("eventlog").joinpath("schema.sql").read_text()

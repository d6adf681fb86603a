"""Writing appends: one as PostgreSQL takes it, and those of concurrent callers in one transaction."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from math import ceil
from struct import Struct

import asyncpg

from eventlog.errors import DuplicateEvent, EventLogError, InvalidEvent, WrongExpectedVersion
from eventlog.events import Metadata, NewEvent
from eventlog.types import EventTypes

ANY = -1
"""Expected version: whatever the stream has."""
NO_STREAM = 0
"""Expected version: the stream must not exist yet."""

MAX_STREAM_BYTES = 500  # it has to travel: as the key of a record, in a header, in a token
COPY_FROM = 200  # events in one append from which COPY beats the function with arrays
COPY_CHUNK = 250  # rows made ready first; then twice as many each time
COPY_ROWS = 5_000  # rows of one COPY: bounds how long the fence is held between two statements
WRITERS = 2  # shared transactions at a time: while one waits for the disk, the other is made ready
WRONG_VERSION = "AN001"  # the SQLSTATE raised by take_streams

_COLUMNS = ("stream", "version", "event_id", "type", "type_version", "data", "metadata", "occurred_at")

# COPY's binary format: each field begins with its size, times are microseconds since 2000.
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COUNT, _SIZE, _INTEGER, _BIGINT = Struct("!h"), Struct("!i"), Struct("!ii"), Struct("!iq")
_UUID_SIZE, _JSONB, _END = _SIZE.pack(16), b"\1", _COUNT.pack(-1)
_EPOCH, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did: the position of its last event and the version each stream has now."""

    position: int
    versions: Mapping[str, int]
    repeated: bool = False
    """Nothing was written: these very events were in the log already."""


class Append:
    """What one caller wants appended: events of some streams, encoded, and the versions expected of these."""

    def __init__(self, events: Sequence[NewEvent], expected: Mapping[str, int], types: EventTypes) -> None:
        self.counts = Counter([event.stream for event in events])
        if strangers := expected.keys() - self.counts.keys():
            raise ValueError(f"append: expected versions of streams without events: {', '.join(sorted(strangers))}")
        if (unzoned := next((event for event in events if event.occurred_at.tzinfo is None), None)) is not None:
            raise InvalidEvent(
                f"{unzoned.stream}: occurred_at: expected a time with its zone, got {unzoned.occurred_at}"
            )
        for stream in self.counts:
            if not 0 < len(stream.encode(errors="replace")) <= MAX_STREAM_BYTES or not stream.isprintable():
                raise InvalidEvent(
                    f"stream {stream[:99]!r}: expected a name of printable characters, at most {MAX_STREAM_BYTES} bytes"
                )
        self.events = events
        self.expected = expected
        self.encoded = types.encode_all([event.event for event in events])


async def write(conn: asyncpg.Connection, appends: Sequence[Append]) -> list[Appended]:
    """Write appends that have no stream in common, all or none; returns what became of each.

    Raises WrongExpectedVersion or DuplicateEvent; a transaction that was open is aborted then.
    """
    try:
        if sum(len(append.events) for append in appends) < COPY_FROM:
            return await _call(conn, appends)  # one statement, so one round trip when it stands alone
        async with nullcontext() if conn.is_in_transaction() else conn.transaction():
            return [await _copy(conn, append) for append in appends]
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name not in ("events_event_id", "events_stream_version"):
            raise
        raise DuplicateEvent(f"append refused: {error.detail}") from error
    except asyncpg.PostgresError as error:
        if error.sqlstate != WRONG_VERSION:
            raise
        raise WrongExpectedVersion(*json.loads(error.detail)) from error


async def commit(pool: asyncpg.Pool, appends: Sequence[Append]) -> list[Appended]:
    """Write appends in a transaction of their own; a single one that was written before gets its first result."""
    async with pool.acquire() as conn:
        return await _commit(conn, appends)


class GroupCommit:
    """Lets the small appends of concurrent callers share round trips and commits.

    Up to WRITERS transactions are under way. While all are, appends gather; the next one takes its part of those that
    wait and have no stream in common. If PostgreSQL refuses what was written together, each is written by itself, so
    that everybody meets their own error and nobody another's.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: deque[tuple[Append, asyncio.Future[Appended]]] = deque()
        self._writers: set[asyncio.Task[None] | None] = set()
        self._writing = 0

    async def append(self, append: Append) -> Appended:
        """Returns when it is committed. Cancelled, it may be written all the same: repeat it to learn what happened."""
        outcome: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._waiting.append((append, outcome))
        if len(self._writers) < WRITERS:
            self._writers.add(asyncio.create_task(self._write_waiting()))
        return await outcome

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                async with self._pool.acquire() as conn:  # kept while there is work
                    while not conn.is_closed() and (together := self._take()):
                        self._writing += 1
                        await self._write(conn, together)
                        self._writing -= 1
        except Exception as error:  # there is no connection to be had
            while self._waiting:
                _fail(self._waiting.popleft()[1], error)
        finally:  # in the same step as the last look at what waits, so that nothing is left waiting
            self._writers.discard(asyncio.current_task())

    def _take(self) -> dict[Append, asyncio.Future[Appended]]:
        """A fair part of those that wait and can be written together."""
        together: dict[Append, asyncio.Future[Appended]] = {}
        behind = []
        streams: set[str] = set()
        room = COPY_FROM - 1
        part = ceil(len(self._waiting) / (WRITERS - self._writing))  # or all callers would wait for the same writer
        while self._waiting and len(together) < part and len(self._waiting[0][0].events) <= room:
            append, outcome = self._waiting.popleft()
            if outcome.done():  # its caller was cancelled
                continue
            if streams.isdisjoint(append.counts):
                together[append] = outcome
                room -= len(append.events)
            else:
                behind.append((append, outcome))
            streams.update(append.counts)
        self._waiting.extendleft(reversed(behind))
        return together

    async def _write(self, conn: asyncpg.Connection, together: Mapping[Append, asyncio.Future[Appended]]) -> None:
        try:
            for outcome, appended in zip(together.values(), await _commit(conn, list(together)), strict=True):
                if not outcome.done():
                    outcome.set_result(appended)
        except Exception as error:
            if len(together) > 1 and isinstance(error, EventLogError | asyncpg.PostgresError):
                for append, outcome in together.items():
                    await self._write(conn, {append: outcome})
            else:
                for outcome in together.values():
                    _fail(outcome, error)


def _fail(outcome: asyncio.Future[Appended], error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)


async def _commit(conn: asyncpg.Connection, appends: Sequence[Append]) -> list[Appended]:
    try:
        return await write(conn, appends)
    except (WrongExpectedVersion, DuplicateEvent):
        if len(appends) > 1 or (first := await _first_result(conn, appends[0].events)) is None:
            raise
        return [first]


async def _call(conn: asyncpg.Connection, appends: Sequence[Append]) -> list[Appended]:
    counts = {stream: count for append in appends for stream, count in append.counts.items()}
    names, expected = sorted(counts), {stream: v for append in appends for stream, v in append.expected.items()}
    index = {name: i for i, name in enumerate(names, 1)}
    events = [event for append in appends for event in append.events]
    types, type_versions, data = zip(*(encoded for append in appends for encoded in append.encoded), strict=True)
    seen: Counter[str] = Counter()
    offsets = []
    for event in events:
        seen[event.stream] += 1
        offsets.append(seen[event.stream])
    row = await conn.fetchrow(
        "SELECT * FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        names,
        [expected.get(name, ANY) for name in names],
        [counts[name] for name in names],
        [index[event.stream] for event in events],
        offsets,
        [event.event_id for event in events],
        types,
        type_versions,
        data,
        [event.metadata.to_json() for event in events],
        [event.occurred_at for event in events],
    )
    versions = dict(zip(names, row["versions"], strict=True))
    ends = accumulate(len(append.events) for append in appends)
    return [
        Appended(row["positions"][end - 1], {stream: versions[stream] for stream in append.counts})
        for append, end in zip(appends, ends, strict=True)
    ]


async def _copy(conn: asyncpg.Connection, append: Append) -> Appended:
    names = sorted(append.counts)
    counts, expected = [append.counts[name] for name in names], [append.expected.get(name, ANY) for name in names]
    after = await conn.fetchval("SELECT take_streams($1, $2, $3)", names, expected, counts)
    reached = {name: version - count for name, version, count in zip(names, after, counts, strict=True)}
    rows = _rows(append, reached)
    for _ in range(0, len(append.events), COPY_ROWS):
        await conn.copy_to_table("events", source=_chunks(islice(rows, COPY_ROWS)), columns=_COLUMNS, format="binary")
    return Appended(await conn.fetchval("SELECT currval('events_position')"), reached)


def _rows(append: Append, reached: dict[str, int]) -> Iterator[bytes]:
    """The events as rows of COPY's binary format, https://www.postgresql.org/docs/current/sql-copy.html.

    Counts on from the versions in `reached`. Packed here, with what many rows share made once, since asyncpg's own way
    takes three times as long.
    """
    begin = {stream: _COUNT.pack(len(_COLUMNS)) + _field(stream.encode()) for stream in reached}
    kinds: dict[tuple[str, int], bytes] = {}
    metadata: Metadata | None = None
    at: datetime | None = None
    end = b""
    for event, (name, type_version, text) in zip(append.events, append.encoded, strict=True):
        version = reached[event.stream] = reached[event.stream] + 1
        if (kind := kinds.get((name, type_version))) is None:
            kind = kinds[name, type_version] = _field(name.encode()) + _INTEGER.pack(4, type_version)
        if event.metadata is not metadata or event.occurred_at is not at:
            metadata, at = event.metadata, event.occurred_at
            end = _field(_JSONB + metadata.to_json().encode()) + _BIGINT.pack(8, (at - _EPOCH) // _MICROSECOND)
        data = text.encode()
        yield b"".join(
            (
                begin[event.stream],
                _BIGINT.pack(8, version),
                _UUID_SIZE,
                event.event_id.bytes,
                kind,
                _SIZE.pack(len(data)),
                data,
                end,
            )
        )


def _field(content: bytes) -> bytes:
    return _SIZE.pack(len(content)) + content


async def _chunks(rows: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Sends the first rows before the last are made, so that PostgreSQL works meanwhile; in few turns of the loop."""
    yield _SIGNATURE
    size = COPY_CHUNK
    while chunk := b"".join(islice(rows, size)):
        yield chunk
        await asyncio.sleep(0)  # the event loop writes it out
        size = COPY_ROWS
    yield _END


async def _first_result(conn: asyncpg.Connection, events: Sequence[NewEvent]) -> Appended | None:
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

"""What of an event is sealed: every column as it is stored, in an encoding that can be read in one way only.

The encoding exists twice, for two purposes. PostgreSQL computes leaves while sealing: 3 µs an event of its time, and
only 32 bytes travel. Python computes them while verifying, from the rows themselves, so that nobody has to believe the
database, and so that each of the two is checked by the other.

Numbers are big-endian: position and version 8 bytes, type_version 4, event_id its 16 bytes, times 8 bytes of
microseconds since 2000-01-01 UTC. Texts are UTF-8 behind 4 bytes of length; data is the JSON as it was
written, metadata what PostgreSQL prints for jsonb.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import BeforeValidator, PlainSerializer

from eventlog import merkle
from eventlog.events import RecordedEvent

MAX_POSITIONS = 65_536  # of one segment; what one seal may ask of a verifier
COLUMNS = (
    "position, stream, version, event_id, type, type_version, data, metadata, "
    "timestamptz_send(occurred_at) AS occurred_at, timestamptz_send(recorded_at) AS recorded_at"
)
"""To be selected from `events`, in the order of SealedEvent. Times come raw: a forged one may fit no datetime."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNREADABLE = bytes(merkle.HASH_BYTES)  # a leaf that nothing hashes to


def raw_time(time: datetime) -> bytes:
    """A time as PostgreSQL sends it: microseconds since 2000-01-01 UTC."""
    return struct.pack(">q", (time - _EPOCH) // _MICROSECOND)


def read_time(raw: bytes) -> datetime:
    """The inverse of `raw_time`. Raises OverflowError for a time outside the years 1 to 9999, such as infinity."""
    return _EPOCH + int.from_bytes(raw, "big", signed=True) * _MICROSECOND


def shown_time(raw: bytes) -> str | int:
    """RFC 3339, or the number of microseconds where no calendar reaches."""
    try:
        return read_time(raw).isoformat()
    except OverflowError:
        return int.from_bytes(raw, "big", signed=True)


def _understood(shown: object) -> object:
    try:
        if isinstance(shown, str):
            return raw_time(datetime.fromisoformat(shown))
        return struct.pack(">q", shown) if isinstance(shown, int) else shown
    except (TypeError, struct.error) as error:  # pydantic makes an error of its own of a ValueError only
        raise ValueError(f"expected a time with its zone, got {shown!r}") from error


RawTime = Annotated[bytes, BeforeValidator(_understood), PlainSerializer(shown_time, when_used="json")]
"""8 bytes as PostgreSQL sends them; JSON has them as `shown_time` says."""


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """A row of `events` to the last bit; times are the 8 bytes that PostgreSQL sends."""

    position: int
    stream: str
    version: int
    event_id: UUID
    type: str
    type_version: int
    data: str
    metadata: str
    occurred_at: RawTime
    recorded_at: RawTime

    def leaf(self) -> bytes:
        return merkle.event_leaf(
            b"".join(
                (
                    struct.pack(">q", self.position),
                    _text(self.stream),
                    struct.pack(">q", self.version),
                    self.event_id.bytes,
                    _text(self.type),
                    struct.pack(">i", self.type_version),
                    _text(self.data),
                    _text(self.metadata),
                    self.occurred_at,
                    self.recorded_at,
                )
            )
        )


def digest(event: RecordedEvent) -> bytes:
    """The leaf of an event as it was read from the log, before anything was decoded."""
    times = raw_time(event.occurred_at), raw_time(event.recorded_at)
    kind = event.type, event.type_version
    place = event.position, event.stream, event.version, event.event_id
    return SealedEvent(*place, *kind, event.data, event.metadata_json, *times).leaf()


def of_rows(rows: Iterable[asyncpg.Record]) -> Iterator[tuple[int, bytes]]:
    """Position and leaf of each row of COLUMNS; a row in which a value is missing, as in no event, fits no seal."""
    for row in rows:
        yield row["position"], _UNREADABLE if None in row.values() else SealedEvent(*row).leaf()


def leaves(events: Iterable[tuple[int, bytes]], first: int, last: int) -> list[bytes]:
    """The leaves of the positions from `first` to `last`, of the events among them in order of position."""
    found: list[bytes] = []
    for position, leaf in events:
        found.extend(merkle.hole_leaf(hole) for hole in range(first + len(found), position))
        found.append(leaf)
    found.extend(merkle.hole_leaf(hole) for hole in range(first + len(found), last + 1))
    return found


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">I", len(encoded)) + encoded


_TEXT = "int4send(octet_length({0})) || convert_to({0}, 'UTF8')"
_EVENT = " || ".join(
    (
        "int8send(e.position)",
        _TEXT.format("e.stream"),
        "int8send(e.version)",
        "uuid_send(e.event_id)",
        _TEXT.format("e.type"),
        "int4send(e.type_version)",
        _TEXT.format("json.data"),
        _TEXT.format("json.metadata"),
        "timestamptz_send(e.occurred_at)",
        "timestamptz_send(e.recorded_at)",
    )
)
# Of the segment from $1 to $2: how many events it has, and its leaves one behind the other. A large event's JSON is
# made into a text only once (hence OFFSET), and only its hash is joined and sorted.
LEAVES_SQL = rf"""
    SELECT count(e.position) AS events,
           string_agg(CASE WHEN e.position IS NULL THEN sha256('\x02'::bytea || int8send(p)) ELSE e.leaf END,
                      ''::bytea ORDER BY p) AS leaves
    FROM generate_series($1::bigint, $2::bigint) AS p
    LEFT JOIN (
        SELECT e.position, sha256('\x00'::bytea || {_EVENT}) AS leaf
        FROM events AS e CROSS JOIN LATERAL (SELECT e.data::text AS data, e.metadata::text AS metadata OFFSET 0) AS json
        WHERE e.position BETWEEN $1 AND $2
    ) AS e ON e.position = p"""  # noqa: S608 - constant columns

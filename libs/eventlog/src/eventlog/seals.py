"""Seals: each is the Merkle root of a segment of the log, chained to the seal before.

Whoever keeps one seal's hash in a place that the database can't reach (a topic, a chain, a newspaper) can prove later
that nothing sealed until then was changed, removed, moved or put in.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import takewhile
from time import monotonic
from typing import Annotated, ClassVar

import asyncpg
from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from eventlog import merkle, metrics
from eventlog.errors import BrokenLog, BrokenSeal
from eventlog.leaves import LEAVES_SQL, MAX_POSITIONS, raw_time, read_time
from eventlog.watermark import Watermark

SEGMENTS_AT_ONCE = 64  # of one transaction while there is a backlog: about 0.2 s of PostgreSQL's time,
SECONDS_AT_ONCE = 1.0  # and fewer of large events, for each is a statement that has to end in time
PAUSE_SECONDS = 0.25  # between two transactions, so that a burst of appends makes few of them
IDLE_SECONDS = 60.0
LOCK = 0x616E6E616C73_02  # "annals" 2: one sealer at a time in a database

_COLUMNS = """number, first_position, last_position, events, root, previous,
              timestamptz_send(sealed_at) AS sealed_at, hash"""

Number = Annotated[int, Field(ge=0, lt=2**63)]
Hash = Annotated[
    bytes,
    Field(min_length=merkle.HASH_BYTES, max_length=merkle.HASH_BYTES),
    WithJsonSchema({"type": "string", "pattern": f"^[0-9a-f]{{{2 * merkle.HASH_BYTES}}}$"}),
]


@dataclass(frozen=True, slots=True)
class Seal:
    """The Merkle root of a segment of a log. Its hash covers the other fields and, by `previous`, all seals before."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex", strict=True)

    number: Number
    first_position: Number
    last_position: Number
    events: Number
    root: Hash
    previous: Hash
    sealed_at: AwareDatetime
    hash: Hash
    """As it was stored or published."""

    def to_json(self) -> str:
        """One JSON object; hashes are hexadecimal, the time is RFC 3339."""
        return _json().dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Seal:
        """The inverse of `to_json`; the hashes are not checked. Raises BrokenSeal."""
        try:
            return _json().validate_json(text)
        except ValidationError as error:
            raise BrokenSeal(f"expected a seal, found {text[:200]!r}: {error.errors()[0]['msg']}") from error

    def computed_hash(self) -> bytes:
        """What the hash must be: all numbers as 8 bytes, big-endian, with root and previous between them."""
        numbers = struct.pack(">4q", self.number, self.first_position, self.last_position, self.events)
        return merkle.seal_hash(numbers + self.root + self.previous + raw_time(self.sealed_at))

    def faults(self, before: Seal | None) -> list[str]:
        """Why this can't be the seal after `before`, in sentences; none if it can."""
        wanted = (before.number + 1, before.last_position + 1, before.hash) if before else (1, 1, GENESIS)
        checks = (
            ("number", wanted[0], self.number),
            ("first position", wanted[1], self.first_position),
            ("previous", wanted[2].hex(), self.previous.hex()),
            ("hash", self.computed_hash().hex(), self.hash.hex()),
        )
        found = [
            f"seal {self.number}: {name}: expected {wish}, found {got}" for name, wish, got in checks if wish != got
        ]
        size = self.last_position - self.first_position + 1
        if not 1 <= size <= MAX_POSITIONS:
            found.append(f"seal {self.number}: expected 1 to {MAX_POSITIONS} positions, found {size}")
        return found


GENESIS = bytes(merkle.HASH_BYTES)
"""What the first seal has as `previous`."""


@cache
def _json() -> TypeAdapter[Seal]:
    return TypeAdapter(Seal)


async def read_seals(conn: asyncpg.Connection | asyncpg.Pool, after: int = 0, limit: int | None = None) -> list[Seal]:
    """Seals with a number above `after`, in order, as they are stored. Raises BrokenSeal for one that is no seal."""
    sql = f"SELECT {_COLUMNS} FROM seals WHERE number > $1 ORDER BY number LIMIT $2"  # noqa: S608 - constant columns
    return [_seal(row) for row in await conn.fetch(sql, after, limit)]


async def last_seal(conn: asyncpg.Connection | asyncpg.Pool) -> Seal | None:
    """The last seal of a log, which stands for all before it; None before the first."""
    seal, _ = await _last(conn)
    return seal


def _seal(row: asyncpg.Record) -> Seal:
    fields = {name: row[name] for name in Seal.__slots__}
    if missing := [name for name, value in fields.items() if value is None]:
        raise BrokenSeal(f"seal {row['number']}: expected every field, found none for {', '.join(missing)}")
    try:
        return Seal(**fields | {"sealed_at": read_time(row["sealed_at"])})
    except OverflowError as error:
        raise BrokenSeal(f"seal {row['number']}: sealed_at: expected a time, found {row['sealed_at']!r}") from error


class Sealer:
    """Seals the log behind its safe horizon; a worker.

    Every `positions` positions become a segment, and after `seconds` whatever there is. Any number of instances may
    run: one at a time seals. Seals are written in one transaction with what they were computed from, so a crash
    leaves either a seal or nothing.
    """

    name = "sealer"

    def __init__(
        self, pool: asyncpg.Pool, watermark: Watermark, *, positions: int = 1_024, seconds: float = IDLE_SECONDS
    ) -> None:
        if not 1 <= positions <= MAX_POSITIONS:
            raise ValueError(f"positions of a segment: expected 1 to {MAX_POSITIONS}, got {positions}")
        self._pool = pool
        self._watermark = watermark
        self._positions = positions
        self._seconds = seconds
        self._at_once = min(SEGMENTS_AT_ONCE, MAX_POSITIONS // positions)

    async def run(self) -> None:
        """Seal until cancelled. Raises BrokenLog, and ConnectionError or PostgresError when the database is away."""
        while True:
            last, age = await _last(self._pool)
            sealed_to = last.last_position if last else 0
            if await self._watermark.beyond(sealed_to, IDLE_SECONDS) <= sealed_to:
                metrics.seal_lag.set(0)
                continue
            metrics.seal_lag.set(self._watermark.position - sealed_to)
            await self._watermark.beyond(sealed_to + self._positions - 1, max(0.0, self._seconds - age))
            await self.seal(self._watermark.position)
            await asyncio.sleep(PAUSE_SECONDS)

    async def seal(self, horizon: int) -> list[Seal]:
        """Seal what is due up to a safe `horizon`, a batch at most; returns the new seals.

        Returns none when nothing is due, another instance is sealing or the log is being restored. Raises BrokenLog
        when the database has drawn fewer positions than the horizon says: then it is not the one that was measured.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            if not await conn.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                return []
            if await conn.fetchval("SELECT EXISTS (SELECT FROM log_restore)"):
                return []  # what is being restored has been sealed already: `restore` puts those seals back
            drawn, now = await conn.fetchrow("SELECT last_value, clock_timestamp() FROM events_position")
            if horizon > drawn:
                raise BrokenLog(f"horizon {horizon}: expected at most the last position drawn, found {drawn}")
            last, age = await _last(conn)
            segments = self._due(last.last_position if last else 0, horizon, age)
            sealed = await _sealed(conn, last, segments, now)
            await _insert(conn, sealed)
        metrics.seals.inc(len(sealed))
        if sealed:
            metrics.seal_lag.set(max(0, self._watermark.position - sealed[-1].last_position))
        return sealed

    def _due(self, sealed_to: int, horizon: int, age: float) -> list[tuple[int, int]]:
        """First and last positions of the segments to seal now: whole ones, or else the rest if it is time."""
        whole = min((horizon - sealed_to) // self._positions, self._at_once)
        if whole:
            starts = range(sealed_to + 1, sealed_to + whole * self._positions, self._positions)
            return [(first, first + self._positions - 1) for first in starts]
        return [(sealed_to + 1, horizon)] if horizon > sealed_to and age >= self._seconds else []


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` did: seals put back, and seals of the table that had to give way to published ones."""

    added: int
    replaced: int


async def restore(conn: asyncpg.Connection, published: Sequence[Seal]) -> Restored:
    """Make the table say what was published, after the events have been recovered; all of it or nothing.

    `published` are all seals of the topic, in order. Each that the table lacks is held against the events first.
    Seals that a restored log has made on its own, beside published ones, give way to those; they were never
    published. Positions that are sealed will not be drawn again. Run it as the owner of the tables, with the service
    stopped. Raises BrokenSeal, naming the seal and what differs, when the seals don't fit each other or the events.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        check_chain(published)
        stored = await read_seals(conn)
        kept = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(stored, published, strict=False))))
        missing = published[kept:]
        if not missing:
            return Restored(0, 0)
        for seal in missing:
            await _check_events(conn, seal)
        if stored[kept:]:
            await conn.execute("ALTER TABLE seals DISABLE TRIGGER seals_append_only")
            await conn.execute("DELETE FROM seals WHERE number > $1", kept)
            await conn.execute("ALTER TABLE seals ENABLE TRIGGER seals_append_only")
        await _insert(conn, missing)
        await conn.execute(
            "SELECT setval('events_position', greatest(last_value, $1)) FROM events_position",
            published[-1].last_position,
        )
        return Restored(len(missing), len(stored) - kept)


def check_chain(seals: Iterable[Seal], before: Seal | None = None) -> None:
    """Raises BrokenSeal, with everything that is wrong, unless each seal follows the one before."""
    faults = []
    for seal in seals:
        faults += seal.faults(before)
        before = seal
    if faults:
        raise BrokenSeal("; ".join(faults))


async def _last(conn: asyncpg.Connection | asyncpg.Pool) -> tuple[Seal | None, float]:
    """The last seal and its age in seconds, by the database's clock."""
    sql = f"""SELECT {_COLUMNS}, extract(epoch FROM clock_timestamp() - seals.sealed_at) AS age
              FROM seals ORDER BY number DESC LIMIT 1"""  # noqa: S608 - constant columns
    row = await conn.fetchrow(sql)
    return (_seal(row), float(row["age"])) if row else (None, math.inf)


async def _sealed(
    conn: asyncpg.Connection, last: Seal | None, segments: Sequence[tuple[int, int]], now: datetime
) -> list[Seal]:
    sealed: list[Seal] = []
    ends = monotonic() + SECONDS_AT_ONCE
    for first, last_position in segments:
        if sealed and monotonic() > ends:
            break
        events, root = await _root(conn, first, last_position)
        number, previous = (last.number + 1, last.hash) if last else (1, GENESIS)
        unsigned = Seal(number, first, last_position, events, root, previous, now, hash=b"")
        last = replace(unsigned, hash=unsigned.computed_hash())
        sealed.append(last)
    return sealed


async def _root(conn: asyncpg.Connection, first: int, last: int) -> tuple[int, bytes]:
    """How many events a segment has, and its root."""
    events, leaves = await conn.fetchrow(LEAVES_SQL, first, last)
    size = merkle.HASH_BYTES
    return events, merkle.root([leaves[i : i + size] for i in range(0, len(leaves), size)])


async def _check_events(conn: asyncpg.Connection, seal: Seal) -> None:
    events, root = await _root(conn, seal.first_position, seal.last_position)
    if (events, root) != (seal.events, seal.root):
        raise BrokenSeal(
            f"seal {seal.number}: expected {seal.events} events with root {seal.root.hex()} at positions "
            f"{seal.first_position} to {seal.last_position}, found {events} with root {root.hex()}"
        )


async def _insert(conn: asyncpg.Connection, seals: Sequence[Seal]) -> None:
    await conn.executemany(
        "INSERT INTO seals (number, first_position, last_position, events, root, previous, sealed_at, hash) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (s.number, s.first_position, s.last_position, s.events, s.root, s.previous, s.sealed_at, s.hash)
            for s in seals
        ],
    )

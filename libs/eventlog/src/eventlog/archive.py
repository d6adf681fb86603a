"""A log, up to a seal, as one compressed file: to keep elsewhere, to hand to somebody, to make the log of again.

    {"format": "annals-archive.v1", "log_id": "…"}      then, for each seal,
    {"event": {…}}                                       its events, as `annals prove` shows them,
    {"seal": {…}}                                        and the seal, which vouches for them

Gzip, one JSON object a line. Whoever knows the hash of the last seal needs nobody to believe the file; without, it is
still known to fit itself. Values of persons stay the boxes that they are in the log.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter, ValidationError

from eventlog import merkle, restore, seals
from eventlog.errors import BrokenSeal, RestoreRefused
from eventlog.leaves import COLUMNS, SealedEvent, leaves, read_time
from eventlog.restore import StoredEvent
from eventlog.seals import Seal, read_seals

FORMAT = "annals-archive.v1"


@dataclass(frozen=True, slots=True)
class Archive:
    """What a file holds: `events` in `seals`; the hash of the last one stands for all of it."""

    log_id: UUID
    events: int
    seals: int
    last_position: int
    last_hash: bytes


async def write(conn: asyncpg.Connection, path: Path, upto_seal: int | None = None) -> Archive:
    """Writes what is sealed, up to a seal, to a new file, which appears when it is complete and on disk.

    Every segment is held against its seal first: raises BrokenSeal where the log is no longer what was sealed,
    LookupError where nothing is sealed, and FileExistsError.
    """
    with _appearing(path) as lines:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            found = await read_seals(conn, limit=upto_seal)
            if not found:
                raise LookupError("the log: expected a seal, found none yet: nothing can be archived")
            seals.check_chain(found)
            log_id = UUID(str(await conn.fetchval("SELECT log_id FROM log_identity")))
            lines.write(json.dumps({"format": FORMAT, "log_id": str(log_id)}).encode() + b"\n")
            for seal in found:
                await _put_segment(conn, lines, seal)
    return Archive(log_id, sum(s.events for s in found), len(found), found[-1].last_position, found[-1].hash)


@contextmanager
def _appearing(path: Path) -> Iterator[gzip.GzipFile]:
    """A file that is there when the block ends well, and before that under another name."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(path))
    incoming = path.with_name(f".{path.name}.incoming")
    try:
        with incoming.open("wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as lines:
                yield lines
            file.flush()
            os.fsync(file.fileno())
        incoming.rename(path)
    finally:
        incoming.unlink(missing_ok=True)


async def _put_segment(conn: asyncpg.Connection, lines: gzip.GzipFile, seal: Seal) -> None:
    sql = f"SELECT {COLUMNS} FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position"  # noqa: S608 - constant
    events = [SealedEvent(*row) for row in await conn.fetch(sql, seal.first_position, seal.last_position)]
    _check(seal, events)
    for event in events:
        lines.write(b'{"event": ' + _json().dump_json(event) + b"}\n")
    lines.write(b'{"seal": ' + seal.to_json().encode() + b"}\n")


def verify(path: Path) -> Archive:
    """Reads a file to its end. Raises BrokenSeal with what doesn't fit, OSError when it is cut off."""
    with gzip.open(path, "rb") as lines:
        log_id = _log_id(path, lines.readline())
        held = [(seal, len(events)) for seal, events in _segments(path, lines)]
    if not held:
        raise BrokenSeal(f"{path}: expected at least one seal, found none")
    last = held[-1][0]
    return Archive(log_id, sum(events for _, events in held), len(held), last.last_position, last.hash)


async def attach(conn: asyncpg.Connection, path: Path) -> int:
    """Writes into a log what a file has behind the log's end, with its seals; returns the number of events.

    One transaction, as the owner of the tables, with the service stopped: all of it or nothing. Raises RestoreRefused
    when the log went on differently, and BrokenSeal when the file doesn't fit itself.
    """
    async with conn.transaction():
        if await conn.fetchval("SELECT EXISTS (SELECT FROM log_restore)"):
            raise RestoreRefused("the log: expected none that is being recovered; finish that first")
        await restore.begin(conn)
        end, written = await restore.end_of_log(conn), 0
        published: list[Seal] = []
        with gzip.open(path, "rb") as lines:
            _log_id(path, lines.readline())
            for seal, events in _segments(path, lines):
                published.append(seal)
                if missing := [_row(event) for event in events if event.position > end]:
                    await restore.write(conn, missing)
                    written += len(missing)
        stored = {seal.number: seal for seal in await read_seals(conn)}
        for seal in published:
            if stored.get(seal.number, seal) != seal:
                raise RestoreRefused(f"seal {seal.number}: the log was sealed with other events than {path} has")
        if len(published) > len(stored):
            await seals.restore(conn, published)
        await restore.finish(conn)
    return written


def _segments(path: Path, lines: gzip.GzipFile) -> Iterator[tuple[Seal, list[SealedEvent]]]:
    """Each seal with the events that it vouches for, in order."""
    before: Seal | None = None
    events: list[SealedEvent] = []
    for number, line in enumerate(lines, 2):
        try:
            match json.loads(line):
                case {"event": event}:
                    events.append(_json().validate_python(event))
                    continue
                case {"seal": stored}:
                    seal = Seal.from_json(json.dumps(stored))
                case _:
                    raise BrokenSeal(f"{path}: line {number}: expected an event or a seal")
        except (ValueError, ValidationError) as error:
            raise BrokenSeal(f"{path}: line {number}: expected an event or a seal: {error}") from error
        seals.check_chain([seal], before)
        _check(seal, events)
        yield seal, events
        before, events = seal, []
    if events:
        raise BrokenSeal(f"{path}: expected a seal behind the last event, found the end")


def _check(seal: Seal, events: list[SealedEvent]) -> None:
    if any(not seal.first_position <= event.position <= seal.last_position for event in events):
        raise BrokenSeal(f"seal {seal.number}: expected events at its positions, found others")
    hashed = [(event.position, event.leaf()) for event in events]
    root = merkle.root(leaves(hashed, seal.first_position, seal.last_position))
    if (len(events), root) != (seal.events, seal.root):
        raise BrokenSeal(
            f"seal {seal.number}: expected {seal.events} events with root {seal.root.hex()}, found {len(events)} with "
            f"root {root.hex()}"
        )


def _log_id(path: Path, line: bytes) -> UUID:
    head = json.loads(line or b"null")
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BrokenSeal(f"{path}: expected an archive of format {FORMAT}")
    return UUID(head["log_id"])


def _row(event: SealedEvent) -> StoredEvent:
    fields = {name: getattr(event, name) for name in SealedEvent.__slots__}
    times = {name: read_time(fields[name]) for name in ("occurred_at", "recorded_at")}
    return StoredEvent(**fields | times)


@cache
def _json() -> TypeAdapter[SealedEvent]:
    return TypeAdapter(SealedEvent)

"""Where backups are: base backups and segments of the write-ahead log, each a sealed file in a folder.

    base/20261122T081200Z.tar   the files of the server      base/20261122T081200Z.json   what it is; written last
    wal/0000000100000000000000A3   a segment of the log      wal/….partial                the one being written

The folder may be a mount of another machine's disk or of an object store; files appear there whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Self

from annals.backup.errors import BackupError
from annals.backup.sealed_file import new_header, opening, read_header, sealing
from privacy import Keks

SEGMENT = re.compile(r"[0-9A-F]{24}")
PARTIAL = ".partial"
KEY_STORE_DAYS = 30
ABANDONED_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Base:
    """A base backup. It exists once this is stored."""

    name: str
    system: str
    """The identifier that PostgreSQL gave its server."""
    version: int
    """The server's major version: no other can run it."""
    first_segment: str
    """The first segment of the log that it needs."""
    begun_at: datetime
    ended_at: datetime
    """It can be restored to any moment from here on."""
    bytes: int
    """Of its sealed file."""
    has_keys: bool
    """Whether a key store is in it, which limits how long it may be kept."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=datetime.isoformat, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        stored: dict[str, Any] = json.loads(text)
        times = {name: datetime.fromisoformat(stored[name]) for name in ("begun_at", "ended_at")}
        return cls(**stored | times)


@dataclass(frozen=True, slots=True)
class Pruned:
    bases: list[str]
    segments: int


class Store:
    """The backups of one server."""

    def __init__(self, folder: Path, keks: Keks) -> None:
        self._folder = folder
        self._keks = keks

    def bases(self) -> list[Base]:
        """All base backups, the oldest first."""
        return [Base.from_json(path.read_text()) for path in sorted((self._folder / "base").glob("*.json"))]

    def base(self, name: str | None = None, *, upto: datetime | None = None) -> Base:
        """The base backup `name`, or the newest, or the newest from which `upto` can be reached. Raises BackupError."""
        found = [
            base
            for base in self.bases()
            if (name is None or base.name == name) and (upto is None or base.ended_at <= upto)
        ]
        if not found:
            wanted = " ".join(filter(None, (name, f"of {upto.isoformat()} or before" if upto else None)))
            raise BackupError(f"{self._folder}: expected a base backup {wanted}".rstrip() + ", found none")
        return found[-1]

    def add(self, base: Base) -> None:
        """Makes a base backup known whose file is written."""
        with self._appearing(f"base/{base.name}.json") as file:
            file.write(base.to_json().encode())

    def segments(self) -> set[str]:
        """Names of all files of the write-ahead log: segments, the partial one, histories of timelines."""
        folder = self._folder / "wal"
        return {path.name for path in folder.iterdir() if path.name[0] != "."} if folder.is_dir() else set()

    def size(self, name: str) -> int:
        """Bytes of a sealed file."""
        return (self._folder / name).stat().st_size

    @asynccontextmanager
    async def writing(self, name: str) -> AsyncIterator[IO[bytes]]:
        """A new sealed file, which appears, on disk, when the block ends well."""
        header, key = await new_header(name, self._keks)
        with self._appearing(name) as file:
            file.write(header)
            with sealing(file, key) as inside:
                yield inside

    @asynccontextmanager
    async def reading(self, name: str) -> AsyncIterator[IO[bytes]]:
        """What a sealed file holds. Raises BackupError and KekError."""
        path = self._folder / name
        if not path.is_file():
            raise BackupError(f"{path}: expected a file of the backup, found none")
        with path.open("rb") as file:
            key = await read_header(name, file, self._keks)
            with opening(name, file, key) as inside:
                yield inside

    def remove_segment(self, name: str) -> None:
        """Removes a file of the log, if it is there."""
        (self._folder / "wal" / name).unlink(missing_ok=True)

    def prune(self, now: datetime, keep: timedelta) -> Pruned:
        """Deletes base backups begun longer ago than `keep`, but never the last one, and what no other needs.

        Killed anywhere, it leaves files that the next run deletes. Raises BackupError where key stores would be kept
        for longer than their erasure certificates promise.
        """
        bases = self.bases()
        if any(base.has_keys for base in bases) and keep > timedelta(days=KEY_STORE_DAYS):
            raise BackupError(f"keep: expected at most {KEY_STORE_DAYS} days where key stores are, got {keep.days}")
        old = [base for base in bases[:-1] if base.begun_at < now - keep]
        for base in old:
            (self._folder / "base" / f"{base.name}.json").unlink()  # first: what it names may go from now on
        kept = self.bases()
        for path in (self._folder / "base").glob("*.tar"):
            abandoned = path.stat().st_mtime < (now - ABANDONED_AFTER).timestamp()  # a younger one may just be made
            if abandoned and path.stem not in {base.name for base in kept}:
                path.unlink()
        unneeded = [
            name
            for name in self.segments()
            if kept and SEGMENT.match(name) and name[8:24] < min(base.first_segment[8:] for base in kept)
        ]
        for name in unneeded:
            self.remove_segment(name)
        return Pruned([base.name for base in old], len(unneeded))

    async def check(self, name: str) -> int:
        """Opens a file to its end; returns the bytes that it holds. Raises BackupError and KekError."""
        async with self.reading(name) as file:
            return await asyncio.to_thread(_length, file)

    @contextmanager
    def _appearing(self, name: str) -> Iterator[IO[bytes]]:
        path = self._folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming = path.with_name(f".{path.name}.incoming")
        try:
            with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            incoming.replace(path)
        finally:
            incoming.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _length(file: IO[bytes]) -> int:
    total = 0
    while part := file.read(1 << 20):
        total += len(part)
    return total

"""A service's log as a file, and a file as its log again."""

from __future__ import annotations

from pathlib import Path

from annals.services import as_itself, as_owner, find
from eventlog import archive
from eventlog.archive import Archive


async def write(name: str, path: Path, upto_seal: int | None) -> Archive:
    """Archives the log of a service. Raises UnknownName, BrokenSeal, LookupError, FileExistsError."""
    async with as_itself(find(name), "annals log archive") as connection:
        return await archive.write(connection, path, upto_seal)


async def attach(name: str, path: Path) -> int:
    """Writes into the log of a service what it lacks of a file; returns how many. Raises RestoreRefused, BrokenSeal."""
    async with as_owner(find(name), "annals log attach") as connection:
        return await archive.attach(connection, path)

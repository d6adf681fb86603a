"""A backup is good when a server restored from it holds logs that are what was sealed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

import eventlog
from annals.backup.errors import BackupError
from annals.backup.restoring import restore
from annals.backup.server import Server, databases, has_table
from annals.backup.store import Base, Store
from local_stack.postgres import find_binaries
from local_stack.process import LocalStackError, ServerProcess, unprivileged_account

START_SECONDS = 3_600.0
"""A long log takes long to recover."""

Connected = Callable[[str], AbstractAsyncContextManager[asyncpg.Connection]]
"""A connection to a database of the restored server."""


@dataclass(slots=True)
class Verified:
    """What a restored server has: events of each log, data keys of each key store, and what is wrong with the logs."""

    name: str
    """Of the base backup, or where the server is."""
    seconds: float | None = None
    """Until the server had recovered, if it was started for this."""
    events: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    latest: datetime | None = None
    """When the last event was recorded."""
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def sentences(self) -> list[str]:
        held = [f"{count:,} events of {name}" for name, count in self.events.items()]
        held += [f"{count:,} keys of {name}" for name, count in self.keys.items()]
        until = f" until {self.latest:%Y-%m-%d %H:%M:%S} UTC" if self.latest else ""
        verdict = "nothing is wrong" if self.ok else f"{len(self.problems)} problems"
        restored = f"restored in {self.seconds:.1f} s, " if self.seconds is not None else ""
        line = f"{self.name}: {restored}{', '.join(held) or 'no log'}{until}: {verdict}"
        return [line, *(f"  {problem}" for problem in self.problems)]

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


async def verify(store: Store, user: str, name: str | None = None) -> Verified:
    """Restores a backup into a scratch folder, starts a server on it and verifies every log there; leaves nothing.

    `user` is a role of the server that may read all. Raises BackupError, also where PostgreSQL's programs are not of
    the backup's version, KekError and LocalStackError.
    """
    begun = time.monotonic()
    base = store.base(name)
    binaries = await _binaries(base)
    async with _scratch() as folder:
        await restore(store, folder / "data", name=base.name)
        async with _serving(folder, binaries, user):
            found = Verified(base.name, time.monotonic() - begun)
            await _look_at_all(partial(_connected, folder, user), found)
    return found


async def verify_restored(server: Server) -> Verified:
    """Verifies every log of a server, of any version, that runs on what was restored. Raises OSError, PostgresError."""
    found = Verified(server.host)
    await _look_at_all(server.connected, found)
    return found


async def _look_at_all(connected: Connected, found: Verified) -> None:
    async with connected("template1") as connection:
        names = await databases(connection)
    for database in names:
        async with connected(database) as connection:
            await _look(connection, database, found)


async def _look(connection: asyncpg.Connection, database: str, found: Verified) -> None:
    if await has_table(connection, "subject_keys"):
        found.keys[database] = await connection.fetchval("SELECT count(*) FROM subject_keys WHERE wrapped IS NOT NULL")
    if not await has_table(connection, "events"):
        return
    verified = await eventlog.verify(connection)
    found.events[database] = verified.events
    found.problems.extend(f"{database}: {problem.sentence}" for problem in verified.problems)
    latest = await connection.fetchval("SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1")
    found.latest = max(filter(None, (found.latest, latest)), default=None)


async def _binaries(base: Base) -> Path:
    """Data of one major version is served by no other."""
    try:
        return await find_binaries(unprivileged_account(), base.version)
    except LocalStackError as error:
        raise BackupError(
            f"{base.name} is of PostgreSQL {base.version}: {error}\n"
            "or `annals restore` it, start such a server on that, and `annals backup verify --on HOST`"
        ) from error


@contextlib.asynccontextmanager
async def _scratch() -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="annals-restored-"))
    account = unprivileged_account()
    try:
        (folder / "data").mkdir(mode=0o700)
        if account is not None:
            for path in (folder, folder / "data"):
                os.chown(path, account.uid, account.gid)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def _serving(folder: Path, binaries: Path, user: str) -> AsyncIterator[None]:
    """A server on the restored data, recovered, at a socket in a private folder: no port, no password."""
    (folder / "pg_hba.conf").write_text("local all all trust\n")
    (folder / "data" / "postgresql.conf").touch()  # some systems keep theirs elsewhere
    options = {
        "hba_file": folder / "pg_hba.conf", "unix_socket_directories": folder, "listen_addresses": "",
        "archive_mode": "off", "hot_standby": "off", "fsync": "off", "ssl": "off",
    }  # fmt: skip
    process = ServerProcess(
        "PostgreSQL",
        [binaries / "postgres", "-D", folder / "data", *(f"--{name}={value}" for name, value in options.items())],
        log=folder / "postgres.log",
        stop_signal=signal.SIGQUIT,
        account=unprivileged_account(),
    )

    async def recovered() -> None:
        async with _connected(folder, user, "template1"):
            pass

    try:
        retry_on = (OSError, asyncpg.CannotConnectNowError)
        await process.until_ready(recovered, retry_on=retry_on, timeout_seconds=START_SECONDS)
        yield
    finally:
        await process.stop()


@contextlib.asynccontextmanager
async def _connected(folder: Path, user: str, database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(host=str(folder), user=user, database=database)
    try:
        yield connection
    finally:
        await connection.close()

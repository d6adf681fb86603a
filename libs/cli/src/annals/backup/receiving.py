"""The write-ahead log of a server, received while it is written and sealed into the store within seconds.

pg_receivewal writes it into the spool and tells the server what is on its disk; the server keeps for it what is not.
From the spool whole segments go into the store and then away; of the last one, a new copy as often as it has grown.

Killed anywhere: what was received is in the spool and goes into the store at the next start; what was not is kept by
the server, for the slot's sake. Only a lost spool makes a gap, which the next base backup ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Self

from annals.backup import metrics
from annals.backup.errors import BackupError
from annals.backup.server import SLOT, Server
from annals.backup.store import PARTIAL, SEGMENT, Store
from local_stack.process import ServerProcess

LOOK_SECONDS = 0.1
LATE_SECONDS = 300.0


class Receiver:
    """`async with Receiver(server, store, spool) as receiver:` receives; `follow` seals what comes."""

    def __init__(self, server: Server, store: Store, spool: Path) -> None:
        self._server = server
        self._store = store
        self._spool = spool
        self._copied: tuple[str, float] | None = None  # the partial segment in the store, and when it was written
        self._process: ServerProcess

    async def __aenter__(self) -> Self:
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self.seal()
        for path in self._files():  # the slot knows where to go on, on another timeline too
            path.unlink()
        async with self._server.connected() as connection:
            await connection.execute(
                """SELECT pg_create_physical_replication_slot($1, true)
                   WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)""",
                SLOT,
            )
        options = [f"--slot={SLOT}", "--synchronous", "--no-loop", "--no-password"]
        self._process = ServerProcess(
            "pg_receivewal",
            [await self._server.program("pg_receivewal"), f"--dbname={self._server.dbname()}",
             f"--directory={self._spool.resolve()}", *options],
            log=self._spool / "pg_receivewal.log",
            env=self._server.environment(),
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.stop()

    async def follow(self, seconds: float) -> None:
        """Seals until cancelled, or until the server is away. Raises BackupError, OSError, PostgresError."""
        while True:
            begun = time.time()
            await self.catch_up()
            metrics.covered.set(begun)
            await asyncio.sleep(seconds)

    async def catch_up(self) -> None:
        """Returns when all is in the store that was committed before the call."""
        async with self._server.connected() as connection:
            reached = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
            late = time.monotonic() + LATE_SECONDS
            while not await connection.fetchval(
                "SELECT restart_lsn >= $2::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $1", SLOT, reached
            ):
                if not self._process.alive:
                    raise BackupError(f"pg_receivewal has ended; it says:\n{self._process.tail()}")
                if time.monotonic() > late:
                    raise BackupError(f"pg_receivewal: expected {reached} within {LATE_SECONDS:.0f} s")
                await asyncio.sleep(LOOK_SECONDS)
        await self.seal()

    async def seal(self) -> None:
        """Brings what the spool holds into the store."""
        for path in self._files():
            try:
                await self._seal(path, path.stat().st_mtime)
            except FileNotFoundError:  # a partial segment that became whole meanwhile: the next look finds it
                continue

    async def _seal(self, path: Path, written: float) -> None:
        if (path.name, written) == self._copied:
            return
        with path.open("rb") as source:
            async with self._store.writing(f"wal/{path.name}") as sealed:
                await asyncio.to_thread(shutil.copyfileobj, source, sealed)
        if path.name.endswith(PARTIAL):
            self._copied = (path.name, written)
        else:
            self._store.remove_segment(f"{path.name}{PARTIAL}")
            os.unlink(path)

    def _files(self) -> list[Path]:
        """Segments, whole ones before the partial one, and histories of timelines."""
        found = sorted(self._spool.iterdir()) if self._spool.is_dir() else []
        return [path for path in found if SEGMENT.match(path.name) or path.suffix == ".history"]

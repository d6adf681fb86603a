"""A base backup: all files of a server while it serves, as one sealed archive."""

from __future__ import annotations

import asyncio
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import IO, Any

from annals.backup.errors import BackupError
from annals.backup.server import Server, databases, has_table
from annals.backup.store import Base, Store

PART_BYTES = 1 << 20


async def take(server: Server, store: Store) -> Base:
    """Takes a base backup and reads it to its end once, as a restore will.

    Killed before its description is stored it is none. Raises BackupError, KekError, OSError, PostgresError.
    """
    begun = datetime.now(UTC)
    name = begun.strftime("%Y%m%dT%H%M%SZ")
    facts = await _facts(server)
    archive = f"base/{name}.tar"
    async with store.writing(archive) as file, _copying(server) as copied:
        async for part in copied:
            await asyncio.to_thread(file.write, part)
    ended = datetime.now(UTC)
    async with store.reading(archive) as file:
        manifest = await asyncio.to_thread(_manifest, file)
    first = _segment(manifest["WAL-Ranges"][0], facts.pop("segment_bytes"))
    base = Base(
        name, first_segment=first, begun_at=begun, ended_at=ended, bytes=store.size(archive), **facts
    )  # fmt: skip
    store.add(base)
    return base


async def _facts(server: Server) -> dict[str, Any]:
    async with server.connected() as connection:
        found = await connection.fetchrow(
            """SELECT system_identifier::text AS system, current_setting('server_version_num')::int / 10000 AS version,
                      (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes
               FROM pg_control_system()"""
        )
        names = await databases(connection)
    return {**found, "has_keys": any([await _has_keys(server, name) for name in names])}


async def _has_keys(server: Server, database: str) -> bool:
    async with server.connected(database) as connection:
        return await has_table(connection, "subject_keys")


@asynccontextmanager
async def _copying(server: Server) -> AsyncIterator[AsyncIterator[bytes]]:
    """The archive that pg_basebackup makes, in parts. With the log that it needs: it can be restored by itself, too."""
    options = ("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-password")
    program = await asyncio.create_subprocess_exec(
        await server.program("pg_basebackup"), f"--dbname={server.dbname()}", *options,
        env={**os.environ, **server.environment()}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stderr is not None
    said = asyncio.create_task(program.stderr.read())
    try:
        yield _parts(program.stdout)
        if status := await program.wait():
            text = (await said).decode(errors="replace").strip()
            raise BackupError(f"pg_basebackup: expected exit status 0, got {status}: {text}")
    finally:
        if program.returncode is None:
            program.kill()
        await asyncio.gather(program.wait(), said)


async def _parts(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while part := await stream.read(PART_BYTES):
        yield part


def _manifest(file: IO[bytes]) -> dict[str, Any]:
    """What the archive says of itself; all of it is read, so that one that can't be is found out now."""
    manifest: dict[str, Any] | None = None
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            if member.name.removeprefix("./") == "backup_manifest" and (inside := archive.extractfile(member)):
                manifest = json.load(inside)
    while file.read(PART_BYTES):
        pass
    if manifest is None:
        raise BackupError("base backup: expected a backup_manifest in it, found none")
    return manifest


def _segment(wal: dict[str, Any], segment_bytes: int) -> str:
    """The name of the segment of the log in which a range begins."""
    high, low = (int(part, 16) for part in wal["Start-LSN"].split("/"))
    return f"{wal['Timeline']:08X}{high:08X}{low // segment_bytes:08X}"

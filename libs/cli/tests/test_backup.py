"""Backups of a real server: taken while it serves, restored after it is gone."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

import eventlog
import privacy
from annals.backup import (
    BackupError,
    BackupSettings,
    Base,
    Server,
    Store,
    restore,
    sealed_file,
    take,
    verify,
    verify_restored,
)
from annals.backup.receiving import Receiver
from eventlog import EventLog
from eventlog.testing import EXAMPLE_TYPES, credited
from local_stack import postgres
from local_stack.postgres import PostgresServer
from local_stack.process import ServerProcess
from local_stack.stack import scratch_folder
from messaging.testing import eventually
from privacy import DEVELOPMENT, Keks
from service.settings import WrongSetting

KEKS = Keks.parse(DEVELOPMENT)
DAY = timedelta(days=1)


@dataclass
class Machine:
    """A server that can be destroyed, and where its backups are."""

    folder: Path
    lock: int
    process: ServerProcess
    server: PostgresServer

    @property
    def backed_up(self) -> Server:
        return Server(self.server.url())

    @property
    def data(self) -> Path:
        return (self.folder / "postgres").resolve() / "data"

    async def destroy(self) -> None:
        self.process.kill()
        await self.process.stop()
        for path in self.data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    async def start(self) -> None:
        self.process, self.server = await postgres.start(
            self.folder, password=self.server.password, durable=False, hold=(self.lock,), port=self.server.port
        )
        await eventually(self._recovered)

    async def _recovered(self) -> bool:
        async with self.backed_up.connected() as connection:
            return not await connection.fetchval("SELECT pg_is_in_recovery()")

    @asynccontextmanager
    async def log(self) -> AsyncIterator[EventLog]:
        async with asyncpg.create_pool(self.server.url("books"), min_size=0, max_size=2) as pool:
            yield EventLog(pool, EXAMPLE_TYPES)

    async def append(self, stream: str, events: int) -> None:
        async with self.log() as log:
            await log.append([credited(stream, number + 1) for number in range(events)])

    async def streams(self) -> dict[str, int]:
        async with self.log() as log:
            return dict(await log.pool.fetch("SELECT stream, version FROM streams"))


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    """A server with a log and a key store."""
    with scratch_folder(f"test-{os.getpid()}-{secrets.token_hex(3)}") as (folder, lock):
        password = secrets.token_hex(8)
        process, server = await postgres.start(folder, password=password, durable=False, hold=(lock,))
        machine = Machine(folder, lock, process, server)
        try:
            for name, script in {"books": eventlog.install_sql(), "books_keys": privacy.install_sql()}.items():
                await execute(server.url(), f"CREATE DATABASE {name}")
                await execute(server.url(name), script)
            yield machine
        finally:
            await machine.process.stop()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def test_a_server_that_is_destroyed_comes_back_with_everything_or_as_it_was_at_a_moment(
    machine: Machine, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", KEKS)
    async with Receiver(machine.backed_up, store, tmp_path / "spool") as receiver:
        await machine.append("before", 3)
        base = await take(machine.backed_up, store)
        assert base.has_keys
        await machine.append("between", 500)
        await execute(machine.server.url(), "SELECT pg_switch_wal()")
        moment = datetime.now(UTC)
        await machine.append("after", 5)
        await receiver.catch_up()
        await machine.destroy()

    found = await verify(store, "postgres")
    assert (found.events, found.keys, found.problems) == ({"books": 508}, {"books_keys": 0}, [])

    await restore(store, machine.data, at=moment)
    await machine.start()
    assert await machine.streams() == {"before": 3, "between": 500}
    await machine.destroy()

    await restore(store, machine.data)
    await machine.start()
    assert await machine.streams() == {"before": 3, "between": 500, "after": 5}
    assert (await verify_restored(machine.backed_up)).sentences()[0].startswith("127.0.0.1: 508 events of books, ")
    assert not (machine.data / "annals_wal").exists(), "what was recovered is in the way no longer"

    async with Receiver(machine.backed_up, store, tmp_path / "spool") as receiver:  # another timeline, without a slot
        await machine.append("afterwards", 1)
        await take(machine.backed_up, store)
        await receiver.catch_up()
    assert (await verify(store, "postgres")).events == {"books": 509}


async def test_nothing_is_missing_after_the_receiver_was_killed_and_nothing_is_stored_in_clear(
    machine: Machine, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", KEKS)
    async with Receiver(machine.backed_up, store, tmp_path / "spool") as receiver:
        await take(machine.backed_up, store)
        await machine.append("a-name-to-look-for", 1)
        await receiver.catch_up()
        receiver._process.kill()
        with pytest.raises(BackupError, match="pg_receivewal has ended"):
            await appending(machine, receiver)
    for _ in range(3):
        await machine.append("a-name-to-look-for", 300)
        await execute(machine.server.url(), "SELECT pg_switch_wal()")
    async with Receiver(machine.backed_up, store, tmp_path / "spool") as receiver:
        await receiver.catch_up()
    clear = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file() and b"a-name" in path.read_bytes()]
    assert clear == []
    async with machine.log() as log:
        events = await log.pool.fetchval("SELECT count(*) FROM events")
    assert (await verify(store, "postgres")).events == {"books": events}


async def appending(machine: Machine, receiver: Receiver) -> None:
    while True:
        await machine.append("a-name-to-look-for", 1)
        await receiver.catch_up()


def base(number: int, now: datetime, age: timedelta, *, has_keys: bool = False, version: int = 16) -> Base:
    at = now - age
    return Base(f"base-{number}", "1", version, f"{1:08X}{0:08X}{number:08X}", at, at, 1, has_keys)


async def stored(store: Store, *bases: Base) -> None:
    for one in bases:
        async with store.writing(f"base/{one.name}.tar") as file:
            file.write(b"files")
        store.add(one)
        async with store.writing(f"wal/{one.first_segment}") as file:
            file.write(b"changes")


async def test_old_backups_go_with_the_log_that_only_they_need_and_the_last_one_stays(tmp_path: Path) -> None:
    store, now = Store(tmp_path, KEKS), datetime.now(UTC)
    await stored(store, base(1, now, 9 * DAY), base(2, now, 5 * DAY), base(3, now, 2 * DAY))
    pruned = store.prune(now, 4 * DAY)
    assert (pruned.bases, pruned.segments) == (["base-1", "base-2"], 2)
    store.prune(now, DAY)
    assert [one.name for one in store.bases()] == ["base-3"]
    assert len(store.segments()) == 1


async def test_a_key_store_is_kept_no_longer_than_an_erasure_certificate_promises(tmp_path: Path) -> None:
    store, now = Store(tmp_path, KEKS), datetime.now(UTC)
    await stored(store, base(1, now, DAY, has_keys=True))
    with pytest.raises(BackupError, match="expected at most 30 days where key stores are, got 31"):
        store.prune(now, 31 * DAY)


async def test_a_moment_before_every_backup_is_refused(tmp_path: Path) -> None:
    store, now = Store(tmp_path, KEKS), datetime.now(UTC)
    await stored(store, base(1, now, DAY))
    with pytest.raises(BackupError, match=r"expected a base backup of .* or before, found none"):
        await restore(store, tmp_path / "data", at=now - 2 * DAY)


async def test_a_backup_of_a_version_that_is_not_here_is_verified_elsewhere(tmp_path: Path) -> None:
    store = Store(tmp_path, KEKS)
    await stored(store, base(1, datetime.now(UTC), DAY, version=99))
    with pytest.raises(BackupError, match=r"base-1 is of PostgreSQL 99: (.|\n)*`annals backup verify --on HOST`"):
        await verify(store, "postgres")


CHUNK = 16


def swapped(content: bytes) -> bytes:
    sealed = CHUNK + sealed_file.TAG_BYTES
    head = len(content) % sealed
    return content[:head] + content[head + sealed : head + 2 * sealed] + content[head : head + sealed]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 1_000])
async def test_a_file_opens_as_it_was_sealed(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", CHUNK)
    store, content = Store(tmp_path, KEKS), os.urandom(size)
    async with store.writing("wal/x") as file:
        file.write(content)
    async with store.reading("wal/x") as file:
        assert file.read() == content


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[: -(CHUNK + sealed_file.TAG_BYTES)],
        lambda sealed: sealed + b"x",
        lambda sealed: sealed[:-40] + bytes([sealed[-40] ^ 1]) + sealed[-39:],
        swapped,
    ],
    ids=["cut", "a chunk missing", "longer", "a bit", "chunks swapped"],
)
def test_a_file_that_was_changed_is_refused(change: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", CHUNK)
    sealed, key = io.BytesIO(), bytes(32)
    with sealed_file.sealing(sealed, key) as file:
        file.write(os.urandom(8 * CHUNK))
    changed = io.BytesIO(change(sealed.getvalue()))
    with (
        pytest.raises(BackupError, match=r"wal/x: chunk .* changed or cut off"),
        sealed_file.opening("wal/x", changed, key) as opened,
    ):
        opened.read()


async def test_a_file_is_not_taken_for_another(tmp_path: Path) -> None:
    store = Store(tmp_path, KEKS)
    async with store.writing("wal/x") as file:
        file.write(b"old")
    (tmp_path / "wal" / "x").rename(tmp_path / "wal" / "y")
    with pytest.raises(privacy.KekError, match="wal/y"):
        async with store.reading("wal/y"):
            raise AssertionError("it was opened")


def test_production_does_not_encrypt_with_a_key_that_everybody_knows() -> None:
    with pytest.raises(WrongSetting, match="expected keys of your own"):
        BackupSettings(environment="production").open_keks()

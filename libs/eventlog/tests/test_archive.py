"""A log as a file, and a file as a log again."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from forgery import fill, seal_all

from eventlog import BrokenSeal, EventLog, archive, install_sql, verify
from eventlog.errors import RestoreRefused
from eventlog.seals import read_seals
from eventlog.testing import EXAMPLE_TYPES, credited
from local_stack.postgres import PostgresServer

ROWS = "SELECT events::text FROM events ORDER BY position"


@pytest.fixture
async def empty(postgres: PostgresServer) -> AsyncIterator[EventLog]:
    """Another log, in which nothing is."""
    url = postgres.create_database()
    async with asyncpg.create_pool(url, min_size=0, max_size=3) as pool:
        await pool.execute(install_sql())
        yield EventLog(pool, EXAMPLE_TYPES)
    postgres.drop_database(url)


@pytest.fixture
async def file(log: EventLog, pool: asyncpg.Pool, tmp_path: Path) -> Path:
    """What is sealed of a log."""
    await fill(log)
    await seal_all(pool)
    await log.append([credited("not sealed yet")])
    async with pool.acquire() as conn:
        await archive.write(conn, tmp_path / "log.gz")
    return tmp_path / "log.gz"


async def attach(log: EventLog, file: Path) -> int:
    async with log.pool.acquire() as conn:
        return await archive.attach(conn, file)


async def test_a_log_that_is_made_of_a_file_is_the_one_that_was_archived(
    log: EventLog, pool: asyncpg.Pool, empty: EventLog, file: Path
) -> None:
    sealed = (await read_seals(pool))[-1]
    held = archive.verify(file)
    assert (held.log_id, held.last_position, held.last_hash) == (
        await log.identity(),
        sealed.last_position,
        sealed.hash,
    )
    assert await attach(empty, file) == held.events
    rows = await pool.fetch(ROWS)
    assert await empty.pool.fetch(ROWS) == rows[:-1]
    assert await read_seals(empty.pool) == await read_seals(pool)
    async with empty.pool.acquire() as conn:
        assert (await verify(conn)).ok
    assert await attach(empty, file) == 0, "again changes nothing"
    appended = await empty.append([credited("not sealed yet")])
    assert appended.position > sealed.last_position


async def test_a_log_that_went_on_differently_is_refused_and_left_as_it_was(empty: EventLog, file: Path) -> None:
    await empty.append([credited("another history")])
    with pytest.raises((BrokenSeal, RestoreRefused)):
        await attach(empty, file)
    assert await empty.pool.fetchval("SELECT count(*) FROM events") == 1
    await empty.append([credited("it is open")])


async def test_an_archive_of_what_was_forged_is_not_written(log: EventLog, pool: asyncpg.Pool, tmp_path: Path) -> None:
    await fill(log)
    await seal_all(pool)
    async with pool.acquire() as conn:
        await conn.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
        await conn.execute("""UPDATE events SET data = '{"amount": 9}' WHERE position = 3""")
        with pytest.raises(BrokenSeal, match="seal 1"):
            await archive.write(conn, tmp_path / "log.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[0], *lines[2:]], "seal 1: expected 16 events"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "root"),
        (lambda lines: [*lines[:1], *[line for line in lines[1:] if b'"seal": {"number":1,' not in line]], "seal 2"),
        (lambda lines: lines[:-1], "expected a seal behind the last event"),
        (lambda lines: lines[1:], "expected an archive of format"),
        (lambda lines: [*lines, b"[]\n"], "expected an event or a seal"),
        (lambda lines: lines[:1], "expected at least one seal"),
    ],
)
async def test_a_file_that_was_changed_is_refused(change, said: str, file: Path, empty: EventLog) -> None:  # type: ignore[no-untyped-def]
    with gzip.open(file) as lines:
        changed = change(lines.readlines())
    with gzip.open(file, "wb") as lines:
        lines.writelines(changed)
    with pytest.raises(BrokenSeal, match=said):
        archive.verify(file)
    assert await empty.pool.fetchval("SELECT count(*) FROM events") == 0

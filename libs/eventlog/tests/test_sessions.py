"""Sessions: only a connection whose session was changed is reset when it goes back to its pool."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from eventlog import reset_session, session


@pytest.fixture
async def one(database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool of one connection."""
    async with asyncpg.create_pool(database, min_size=0, max_size=1, reset=reset_session) as opened:
        yield opened


async def left(pool: asyncpg.Pool) -> tuple[int, str]:
    """How many advisory locks the one session holds, and its time zone."""
    row = await pool.fetchrow(
        """SELECT count(*), current_setting('TimeZone') AS zone FROM pg_locks
           WHERE locktype = 'advisory' AND pid = pg_backend_pid()"""
    )
    return row["count"], row["zone"]


async def test_what_a_session_was_taken_for_is_undone_also_after_an_error(one: asyncpg.Pool) -> None:
    before = await left(one)

    async def changing() -> None:
        async with session(one) as conn:
            await conn.execute("SELECT pg_advisory_lock(1)")
            await conn.execute("SET TimeZone = 'Asia/Tokyo'")
            assert await conn.fetchval("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await changing()
    assert await left(one) == before == (0, "UTC")


async def test_an_open_transaction_is_rolled_back_whatever_the_connection_was_taken_for(one: asyncpg.Pool) -> None:
    async with one.acquire() as conn:
        await conn.execute("BEGIN; CREATE TABLE given_up (number integer)")
    assert await one.fetchval("SELECT to_regclass('given_up')") is None


async def test_a_connection_that_was_taken_for_a_query_goes_back_without_a_word(one: asyncpg.Pool) -> None:
    said: list[str] = []
    async with one.acquire() as conn:
        conn.add_query_logger(lambda record: said.append(record.query))
        await conn.fetchval("SELECT 1")
    assert said == ["SELECT 1"]
    async with one.acquire() as conn:
        await conn.fetchval("SELECT 2")
    assert said == ["SELECT 1", "SELECT 2"]
    async with session(one) as conn:
        await conn.fetchval("SELECT 3")
    assert said[-1] != "SELECT 3"

"""The rows of single keys are rebuilt beside live traffic, whole or not at all, and nobody else's are touched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from bank_sample import (
    Balances,
    Highest,
    MendedStatements,
    Statements,
    accounts,
    caught_up,
    credited,
    entries,
    highest,
    renamed,
    rows_of,
    running,
)

from eventlog import EventLog, RecordedEvent, Watermark
from projections import CannotRebuildKeys, NoGeneration, Runner, audit, dead_letters, discard, rebuild_keys


class ByInitial(Statements):
    """Its key is not the stream: accounts with the same first letter belong together."""

    name = "by_initial"

    def key(self, recorded: RecordedEvent) -> str:
        return recorded.stream[0]


class TooMuch(Statements):
    name = "too_much"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {accounts: {"account": key}, entries: {"amount": 5}}


class TooLittle(Statements):
    name = "too_little"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {accounts: {"account": key}, entries: {"account": key, "amount": 5}}


class Reading(Highest):
    name = "reading"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {highest: {"account": key}}


async def fill(log: EventLog, count: int = 400, accounts: int = 20) -> None:
    events = [credited(f"s{i % accounts}", i) for i in range(count)]
    await log.append([*events, *(renamed(f"s{i}", f"title {i}") for i in range(accounts))])


async def damage(pool: asyncpg.Pool, schema: str = "statements_v1") -> None:
    """Changed, missing, surplus and misplaced rows of accounts s3 and s4, and a changed one of s5."""
    await pool.execute(f"UPDATE {schema}.accounts SET balance = balance + 1 WHERE account IN ('s3', 's5')")
    await pool.execute(f"DELETE FROM {schema}.accounts WHERE account = 's4'")
    await pool.execute(f"INSERT INTO {schema}.entries (account, entry, amount) VALUES ('s3', 'ghost', 7)")
    await pool.execute(f"DELETE FROM {schema}.entries WHERE account = 's4' AND amount > 100")


async def test_damaged_rows_of_the_named_keys_are_mended_and_no_others_are_touched(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log)
    async with running(watermark, Runner(pool, log, watermark, [Statements()])):
        await caught_up(pool, "statements_v1")
        right = await rows_of(pool, Statements)
        await damage(pool)
        done = await rebuild_keys(pool, log, watermark, Statements(), ["s3", "s4"])
        assert [(t.table, t.rows_before, t.rows, t.differing) for t in done.tables] == [
            ("accounts", 1, 2, 2),
            ("entries", 26, 40, 16),
        ]
        assert (done.events, done.parked) == (42, ())
        await pool.execute("UPDATE statements_v1.accounts SET balance = balance - 1 WHERE account = 's5'")
        assert await rows_of(pool, Statements) == right
        assert await pool.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'statements_v1_keys'") == 0
        assert (await audit(pool, log, watermark, Statements())).equal


async def test_readers_see_the_former_rows_of_a_key_or_the_new_ones_while_events_keep_coming(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    """A key's balance is always the sum of its entries, in the damaged rows as in the right ones."""
    await fill(log, 2_000)
    query = """SELECT a.balance - sum(e.amount) FROM statements_v1.accounts AS a
               JOIN statements_v1.entries AS e USING (account) WHERE account = 's3' GROUP BY a.balance"""
    stop = asyncio.Event()
    seen: set[int] = set()

    async def read() -> None:
        while not stop.is_set():
            seen.add(int(await pool.fetchval(query)))

    async def write() -> None:
        while not stop.is_set():
            await log.append([credited("s3", 1), credited("s6", 1)])
            await asyncio.sleep(0.002)

    async with running(watermark, Runner(pool, log, watermark, [Statements()])):
        await caught_up(pool, "statements_v1")
        tasks = [asyncio.create_task(read()) for _ in range(2)] + [asyncio.create_task(write())]
        for _ in range(5):
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute("SELECT FROM checkpoints WHERE subscription = 'statements_v1' FOR UPDATE")
                await conn.execute("UPDATE statements_v1.accounts SET balance = balance + 7 WHERE account = 's3'")
                await conn.execute("INSERT INTO statements_v1.entries VALUES ('s3', 'ghost', 7)")
            done = await rebuild_keys(pool, log, watermark, Statements(), ["s3"])
            assert [table.differing for table in done.tables] == [1, 1]
        stop.set()
        await asyncio.gather(*tasks)
        await caught_up(pool, "statements_v1")
        assert seen == {0}
        assert (await audit(pool, log, watermark, Statements())).equal


async def test_a_key_that_is_no_stream_is_found_by_looking_at_all_events(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    class Initials(ByInitial):
        def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
            return {accounts: {"title": key}, entries: {"entry": key}}

    for letter in "ab":
        await log.append([credited(f"{letter}1", 1, entry=letter), renamed(f"{letter}1", letter)])
    async with running(watermark, Runner(pool, log, watermark, [Initials()])):
        await caught_up(pool, "by_initial_v1")
        right = await rows_of(pool, Initials)
        await pool.execute("UPDATE by_initial_v1.accounts SET balance = 0, title = 'lost' WHERE account = 'a1'")
        done = await rebuild_keys(pool, log, watermark, Initials(), ["a"])
        assert [(t.rows_before, t.rows, t.differing) for t in done.tables] == [(1, 1, 1), (1, 1, 0)]
        assert await rows_of(pool, Initials) == right


async def test_parked_events_are_replayed_and_parked_again_if_they_still_fail_discarded_ones_stay_out(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a", 1), renamed("a", "boom"), credited("a", 10)])
    await log.append([renamed("b", "boom"), credited("b", 5)])
    async with running(watermark, Runner(pool, log, watermark, [Statements()])):
        await caught_up(pool, "statements_v1")
        assert (await rebuild_keys(pool, log, watermark, Statements(), ["a"])).parked == ("a",)
        assert [(letter.key, letter.position, letter.waiting) for letter in await dead_letters(pool)] == [
            ("a", 2, 1),
            ("b", 4, 1),
        ]
        assert (await rebuild_keys(pool, log, watermark, MendedStatements(), ["a"])).parked == ()
        row = await pool.fetchrow("SELECT title, balance FROM statements_v1.accounts WHERE account = 'a'")
        assert row == ("boom", 11)
        assert [letter.key for letter in await dead_letters(pool)] == ["b"]
        await discard(pool, log, Statements(), "b", reason="a prank", by="ann")
        await rebuild_keys(pool, log, watermark, MendedStatements(), ["b"])
        assert await pool.fetchval("SELECT title FROM statements_v1.accounts WHERE account = 'b'") == "unnamed"


async def test_what_cannot_be_rebuilt_by_key_is_refused_with_the_table_and_the_reason(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a", 5, entry="x"), credited("b", 5, entry="y"), credited("c", 6, entry="z")])
    everything = [Statements(), TooMuch(), TooLittle(), ByInitial(), Reading(), Highest(), Balances()]
    with pytest.raises(NoGeneration):
        await rebuild_keys(pool, log, watermark, Statements(), ["a"])
    async with running(watermark, Runner(pool, log, watermark, everything)):
        await caught_up(pool, *(projection.schema for projection in everything))
        await pool.execute("INSERT INTO reading_v1.highest (account, amount) VALUES ('ghost', 7)")
        before = {type(projection): await rows_of(pool, type(projection)) for projection in everything}
        for projection, keys, why in [
            (Balances(), ["a"], r"balances_v1: table currencies holds totals that many keys share"),
            (Highest(), ["a"], r"Highest\.rows_of\('a'\) does not say where its rows are in table highest"),
            (TooMuch(), ["a"], r"table entries: rows_of\(\) also finds row \('b', 'y'\), which belongs to b"),
            (TooMuch(), ["a", "b"], r"rows_of\(\) finds the same rows of entries for several keys"),
            (TooLittle(), ["c"], r"table entries: rows_of\(\) does not find 1 of the rows that the keys' events make"),
            (Reading(), ["ghost"], r"table highest: no event of the keys makes 1 of the rows"),
        ]:
            with pytest.raises(CannotRebuildKeys, match=why):
                await rebuild_keys(pool, log, watermark, projection, keys)
        with pytest.raises(LookupError, match="the log has no event of nobody"):
            await rebuild_keys(pool, log, watermark, Statements(), ["nobody"])
        assert {type(projection): await rows_of(pool, type(projection)) for projection in everything} == before
        done = await rebuild_keys(pool, log, watermark, Reading(), ["a"])
        assert [table.differing for table in done.tables] == [0]

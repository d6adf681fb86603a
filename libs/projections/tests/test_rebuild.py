"""Rows can be built anew while they serve, and come out the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import asyncpg
import pytest
import sqlalchemy as sa
from bank_sample import (
    Balances,
    Highest,
    Mended,
    accounts,
    caught_up,
    credited,
    currencies,
    eventually,
    renamed,
    rows_of,
    running,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from eventlog import EventLog, Watermark
from local_stack.process import blocking
from projections import (
    NoGeneration,
    Progress,
    RebuildRunning,
    Retried,
    Runner,
    SchemaChanged,
    audit,
    clear,
    compare,
    dead_letters,
    discard,
    drop_old,
    rebuild,
    retry,
    rollback,
    status,
)


async def fill(log: EventLog, count: int, streams: int = 50) -> None:
    for start in range(0, count, 1000):
        await log.append(
            [
                renamed(f"s{i % streams}", f"title {i}") if i % 10 == 9 else credited(f"s{i % streams}", 10**30 + i)
                for i in range(start, min(start + 1000, count))
            ]
        )


async def write_until(stop: asyncio.Event, log: EventLog) -> int:
    written = 0
    while not stop.is_set():
        await log.append([credited(f"s{i}", 7) for i in range(5)])
        written += 5
        await asyncio.sleep(0.002)
    return written


async def test_rebuilt_rows_are_the_live_rows_while_events_keep_coming(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 12_000)
    stop = asyncio.Event()
    seen: list[Progress] = []
    async with running(watermark, Runner(pool, log, watermark, [Balances(), Highest()])):
        await caught_up(pool, "balances_v1", "highest_v1")
        writing = asyncio.create_task(write_until(stop, log))
        for projection, accounts_with_rows in ((Balances(), 50), (Highest(), 45)):
            done = await rebuild(pool, log, watermark, projection, compare=True, on_progress=seen.append)
            assert done.swapped
            assert done.comparison is not None
            assert done.comparison.equal, str(done.comparison)
            assert done.comparison.tables[0].first_rows == accounts_with_rows
        stop.set()
        written = await writing
        await caught_up(pool, "balances_v1", "highest_v1")
    assert await pool.fetchval("SELECT sum(credits) FROM balances_v1.currencies") == 12_000 * 9 // 10 + written
    assert {progress.phase for progress in seen} == {"build", "index", "compare", "drop", "swap", "done"}
    assert all(progress.position <= progress.target for progress in seen if progress.phase == "build")
    (balances, _) = await status(pool, log)
    assert balances.generations.keys() == {"balances_v1", "balances_v1_old"}
    index = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'balances_v1' AND indexname = 'entries_by_amount'"
    assert await pool.fetchval(index) == 1


async def test_a_rebuild_repairs_rows_and_says_which_differed(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 500)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        right = await rows_of(pool, Balances)
        await pool.execute("UPDATE balances_v1.accounts SET balance = balance + 1 WHERE account = 's3'")
        await pool.execute("DELETE FROM balances_v1.accounts WHERE account = 's4'")
        await pool.execute("INSERT INTO balances_v1.accounts (account, position) VALUES ('ghost', 1)")
        wrong = await rows_of(pool, Balances)

        kept = await rebuild(pool, log, watermark, Balances(), only_if_equal=True)
        assert not kept.swapped
        assert await rows_of(pool, Balances) == wrong

        done = await rebuild(pool, log, watermark, Balances(), compare=True)
        assert done.comparison is not None
        changed, entries, currencies = done.comparison.tables
        assert {(d.key, d.first is None, d.second is None) for d in changed.examples} == {
            ("(s3)", False, False),
            ("(s4)", True, False),
            ("(ghost)", False, True),
        }
        assert (changed.differing, entries.differing, currencies.differing) == (3, 0, 0)
        assert "(s4): no row" in str(done.comparison)
        assert await rows_of(pool, Balances) == right
        assert await rows_of(pool, Balances, "_old") == wrong


async def test_a_rollback_brings_the_former_rows_back_up_to_date(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await log.append([credited("a", 1)])
        await caught_up(pool, "balances_v1")
        with pytest.raises(NoGeneration):
            await rollback(pool, log, watermark, Balances())
        await pool.execute("UPDATE balances_v1.accounts SET title = 'marked'")
        await rebuild(pool, log, watermark, Balances())
        await fill(log, 3_000)
        await log.append([credited("a", 10)])
        await caught_up(pool, "balances_v1")
        await rollback(pool, log, watermark, Balances())
        await log.append([credited("a", 100)])
        await caught_up(pool, "balances_v1")
        row = await pool.fetchrow("SELECT title, balance FROM balances_v1.accounts WHERE account = 'a'")
        assert row == ("marked", 111)
        assert await pool.fetchval("SELECT title FROM balances_v1_old.accounts WHERE account = 'a'") == "unnamed"
        assert await drop_old(pool, log, Balances())
        assert not await drop_old(pool, log, Balances())


async def test_queries_see_one_generation_or_the_other_through_twenty_swaps(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    """Hundreds of queries of pools, prepared statements and SQLAlchemy around each swap: no error, never a mixture."""
    await fill(log, 300)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        await rebuild(pool, log, watermark, Balances())
        for schema, mark in (("balances_v1", "x"), ("balances_v1_old", "y")):
            await pool.execute(f"UPDATE {schema}.accounts SET title = '{mark}'")
            await pool.execute(f"UPDATE {schema}.currencies SET currency = '{mark}'")
        one = "(SELECT max(title) FROM balances_v1.accounts), (SELECT max(currency) FROM balances_v1.currencies)"
        short = f"SELECT DISTINCT unnest(ARRAY[{one}]) AS mark"
        # Long to parse, so that an exchange falls between its tables if anything lets it.
        long = f"SELECT DISTINCT unnest(ARRAY[{', '.join([one] * 8)}]) AS mark"
        both = sa.union(sa.select(Balances.live(accounts).c.title), sa.select(Balances.live(currencies).c.currency))
        stop, seen, queries = asyncio.Event(), set[str](), 0

        def note(rows: Sequence[Sequence[str]]) -> None:
            nonlocal queries
            ((mark,),) = rows
            seen.add(mark)
            queries += 1

        async def parsing_each(conn: asyncpg.Connection) -> None:
            while not stop.is_set():
                note(await conn.fetch(f"{long} -- {queries}"))

        async def prepared(conn: asyncpg.Connection) -> None:
            statement = await conn.prepare(short)
            while not stop.is_set():
                note(await statement.fetch())

        async def pooled(readers: asyncpg.Pool) -> None:
            while not stop.is_set():
                note(await readers.fetch(short))

        async def by_engine(engine: AsyncEngine) -> None:
            while not stop.is_set():
                async with engine.connect() as conn:
                    note((await conn.execute(both)).all())

        engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"), pool_size=2)
        async with (
            asyncpg.create_pool(database, min_size=2, max_size=6) as readers,
            readers.acquire() as first,
            readers.acquire() as second,
            readers.acquire() as third,
        ):
            tasks = [parsing_each(first), parsing_each(second), prepared(third), pooled(readers), pooled(readers)]
            reading = [asyncio.create_task(task) for task in [*tasks, by_engine(engine), by_engine(engine)]]
            under_load = 0
            while under_load < 20:
                begun, before = time.monotonic(), queries

                async def all_read(upto: int = before + 50) -> bool:
                    return queries >= upto or any(reader.done() for reader in reading)

                await eventually(all_read)
                await rollback(pool, log, watermark, Balances())
                under_load += queries - before >= 200 * (time.monotonic() - begun)
            stop.set()
            await asyncio.gather(*reading)
        await engine.dispose()
    assert seen == {"x", "y"}


async def test_a_long_query_holds_up_the_swap_but_not_the_readers(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 100)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT * FROM balances_v1.currencies")
            rebuilding = asyncio.create_task(rebuild(pool, log, watermark, Balances()))

            async def held_up() -> bool:
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
                return bool(await pool.fetchval(waiting, conn.get_server_pid()))

            for _ in range(3):
                await eventually(held_up)
                async with asyncio.timeout(240):
                    for _ in range(10):  # which end while the long one goes on
                        await pool.fetch("SELECT * FROM balances_v1.accounts WHERE account = 's1'")
            assert not rebuilding.done()
        assert (await rebuilding).swapped


async def test_two_rebuilds_at_once_are_refused(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
    await Runner(pool, log, watermark, [Balances()]).create_missing()
    async with pool.acquire() as reader, reader.transaction():
        await reader.execute("SELECT FROM balances_v1.accounts")  # so that neither is through before the other begins
        both = [asyncio.create_task(rebuild(pool, log, watermark, Balances())) for _ in range(2)]
        [refused], [working] = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(RebuildRunning, match="balances_v1: another process"):
            await refused
    assert (await working).swapped
    assert (await rebuild(pool, log, watermark, Balances())).swapped


async def test_a_rebuild_with_mended_handlers_frees_parked_keys_and_a_rollback_parks_them_again(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a", 1), renamed("a", "boom"), credited("a", 10), credited("b", 5)])
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        assert (await rebuild(pool, log, watermark, Balances(), compare=True)).swapped
        assert [(letter.key, letter.waiting) for letter in await dead_letters(pool, Balances)] == [("a", 1)]
        await rebuild(pool, log, watermark, Mended())
        assert await dead_letters(pool, Balances) == []
        assert await pool.fetchval("SELECT balance FROM balances_v1.accounts WHERE account = 'a'") == 11
        await rollback(pool, log, watermark, Balances())
        assert [(letter.key, letter.waiting) for letter in await dead_letters(pool, Balances)] == [("a", 1)]


async def test_an_event_that_fails_inside_the_swap_is_parked_outside(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await log.append([credited("a", 1)])
        await caught_up(pool, "balances_v1")
        await rebuild(pool, log, watermark, Balances())
        await log.append([renamed("a", "boom"), credited("b", 1), credited("a", 1)])
        await caught_up(pool, "balances_v1")
        await rollback(pool, log, watermark, Balances())
    assert [(letter.key, letter.waiting) for letter in await dead_letters(pool, Balances)] == [("a", 1)]
    assert await rows_of(pool, Balances) == await rows_of(pool, Balances, "_old")


async def test_a_rebuild_installs_changed_tables_and_the_old_release_stops_writing(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture
) -> None:
    class Changed(Balances):
        totals = ()

        def __init__(self) -> None:
            self.handlers = {}

    await log.append([credited("a", 1)])
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        with pytest.raises(SchemaChanged, match="not comparable"):
            await rebuild(pool, log, watermark, Changed(), compare=True)
        await rebuild(pool, log, watermark, Changed())
        await log.append([credited("a", 1)])
        async with asyncio.timeout(240):
            while "not those that Balances declares" not in caplog.text:  # noqa: ASYNC110 - the log has no event to wait for
                await asyncio.sleep(0.02)
        assert await pool.fetchval("SELECT count(*) FROM balances_v1.accounts") == 0


async def test_rows_that_were_cleared_come_back_the_same_when_the_runner_starts(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 1000)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        await rebuild(pool, log, watermark, Balances())
    before = await rows_of(pool, Balances)
    assert await clear(pool, log, Balances())
    assert await pool.fetchval("SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'balances_v1')") == 0
    assert await pool.fetchval("SELECT count(*) FROM events") == 1000
    assert not await clear(pool, log, Balances()), "there is nothing left"
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
    assert await rows_of(pool, Balances) == before


async def test_an_audit_says_what_differs_and_leaves_nothing_behind(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 2_000)
    stop = asyncio.Event()
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        writing = asyncio.create_task(write_until(stop, log))
        assert (await audit(pool, log, watermark, Balances())).equal
        await pool.execute("UPDATE balances_v1.entries SET amount = 0 WHERE account = 's8'")
        found = await audit(pool, log, watermark, Balances())
        stop.set()
        await writing
    assert not found.equal
    assert [table.differing > 0 for table in found.tables] == [False, True, False]
    assert all("s8" in example.key for example in found.tables[1].examples)
    assert [table.first_hash == table.second_hash for table in found.tables] == [True, False, True]
    assert [row.schema for row in await status(pool, log)] == ["balances_v1"]
    assert await pool.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'balances_v1_audit'") == 0
    itself = await compare(pool, "balances_v1", "balances_v1", [accounts])
    assert itself.equal


async def test_an_audit_leaves_out_what_is_parked_or_discarded_even_when_the_handlers_are_mended(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a", 1), renamed("a", "boom"), credited("a", 10)])
    await log.append([renamed("b", "boom"), credited("b", 5)])
    await fill(log, 6_000)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        await discard(pool, log, Balances(), "b", reason="a prank", by="ann")
        for projection in (Balances(), Mended()):
            found = await audit(pool, log, watermark, projection)
            assert found.equal, str(found)
            assert found.parked_keys == 1
            assert "1 keys up to where they are parked" in str(found)
        await pool.execute("UPDATE balances_v1.accounts SET balance = 2 WHERE account = 'a'")
        assert not (await audit(pool, log, watermark, Mended())).equal
        await pool.execute("UPDATE balances_v1.accounts SET balance = 1 WHERE account = 'a'")

        async def retry_elsewhere() -> Retried:
            async with asyncpg.create_pool(database, min_size=1) as other:
                return await retry(other, EventLog(other, log.types), Mended(), "a")

        retries: list[Retried] = []

        def retry_on_the_way(progress: Progress) -> None:
            if not retries:
                retries.append(blocking(retry_elsewhere()))

        assert (await audit(pool, log, watermark, Mended(), on_progress=retry_on_the_way)).equal
        assert retries[0].applied == 2
        found = await audit(pool, log, watermark, Mended())
        assert (found.equal, found.parked_keys) == (True, 0)


async def test_a_rebuild_can_be_throttled(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
    await fill(log, 6_000)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
    assert (await rebuild(pool, log, watermark, Balances(), events_per_second=6_000)).seconds >= 0.9

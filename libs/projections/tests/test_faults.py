"""Whatever the world does to a batch, no event is blamed for it: the batch is tried again until it takes effect."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import asyncpg
import pytest
from bank_sample import Balances, Highest, caught_up, credited, cut_pool, running

from eventlog import EventLog, RecordedEvent, Watermark
from eventlog.testing import at_work, eventually
from projections import Runner, audit, dead_letters, metrics
from projections.control import pause, resume
from projections.errors import InvalidChange, blames_event

TO_BLAME = ("21", "22", "23")  # cardinality violation, data exception, integrity constraint violation
SQLSTATES = sorted(
    {
        (error.sqlstate, error)
        for _, error in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
        if issubclass(error, asyncpg.PostgresError) and getattr(error, "sqlstate", None)
    },
    key=str,
)


def test_of_all_that_postgresql_can_say_only_what_is_wrong_with_the_data_blames_an_event() -> None:
    assert len(SQLSTATES) > 200
    wrong = [
        error.__name__
        for sqlstate, error in SQLSTATES
        if blames_event(error("said")) is not (sqlstate.startswith(TO_BLAME) or sqlstate == "54000")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.exceptions.OutdatedSchemaCacheError("changed"),
        asyncpg.UnknownPostgresError("a code of a newer server"),
        ConnectionResetError(),
        TimeoutError(),
        MemoryError(),
    ],
)
def test_a_lost_connection_blames_no_event(error: Exception) -> None:
    assert not blames_event(error)
    assert blames_event(InvalidChange("no row"))


async def test_a_handler_that_runs_out_of_memory_is_no_event_s_fault_and_one_whose_key_is_too_long_is(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    failures = 2

    class Hungry(Balances):
        def __init__(self) -> None:
            handler = self.handlers[type(credited("a").event)]

            def hungry(*arguments: object) -> None:
                nonlocal failures
                if failures:
                    failures -= 1
                    raise MemoryError
                handler(*arguments)  # type: ignore[arg-type]

            self.handlers = {**self.handlers, type(credited("a").event): hungry}

    entry = "".join(chr(33 + i * 7919 % 40_000) for i in range(9_000))  # more than an index takes, compressed or not
    await log.append([credited("a", 1), credited("b", 1, entry=entry), credited("a", 2)])
    async with running(watermark, Runner(pool, log, watermark, [Hungry()])):
        await caught_up(pool, "balances_v1")
    assert failures == 0
    [letter] = await dead_letters(pool)
    assert (letter.key, letter.error is not None and "index row" in letter.error) == ("b", True)


async def work_through(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    """Nothing was parked, nothing is missing or doubled, and the fault did happen."""
    await caught_up(pool, "balances_v1", "highest_v1")
    assert await dead_letters(pool) == []
    for projection in (Balances(), Highest()):
        comparison = await audit(pool, log, watermark, projection)
        assert comparison.equal, str(comparison)
    assert error in caplog.text


@asynccontextmanager
async def fed(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> AsyncIterator[None]:
    """Runner and watcher, started again when they fail as the supervisor of a service does."""

    async def keep(worker: Runner | Watermark) -> None:
        while True:
            try:
                await worker.run()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.05)

    runner = Runner(pool, log, watermark, [Balances(), Highest()], batch_events=50)
    async with at_work(keep(watermark), keep(runner)):
        yield


async def test_cut_connections_in_the_middle_of_batches(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        cut_pool(database) as cut,
        fed(cut, EventLog(cut, log.types), watermark),
    ):
        await log.append([credited(f"s{i % 9}", i) for i in range(100)])
        await caught_up(pool, "balances_v1", "highest_v1")
        mine = [conn.get_server_pid() for conn in [holder._con for holder in pool._holders] if conn is not None]
        for _ in range(15):
            await log.append([credited(f"s{i % 9}", i) for i in range(200)])
            await pool.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> ALL ($1) AND pid <> pg_backend_pid()
                     AND query LIKE ANY ('{%balances_v1%,%highest_v1%,%checkpoints%,COMMIT%}')""",
                mine,
            )
            await asyncio.sleep(0.02)
        await work_through(pool, log, watermark, caplog, "trying again within")


RAISING = """
    CREATE SEQUENCE attempts;
    CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('attempts') BETWEEN 20 AND 24 THEN
            RAISE EXCEPTION 'not now' USING ERRCODE = '{}';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail_at_first BEFORE INSERT ON balances_v1.entries FOR EACH ROW EXECUTE FUNCTION fail_at_first();
"""


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [("40001", "SerializationError"), ("53100", "DiskFullError"), ("58030", "PostgresIOError"), ("XX000", "Internal")],
)
async def test_a_server_that_cannot_for_now(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture, sqlstate: str, error: str
) -> None:
    await Runner(pool, log, watermark, [Balances(), Highest()]).create_missing()
    await pool.execute(RAISING.format(sqlstate))
    await log.append([credited(f"s{i % 9}", i) for i in range(300)])
    async with fed(pool, log, watermark):
        await work_through(pool, log, watermark, caplog, error)


@pytest.mark.parametrize(
    ("setting", "error"),
    [("lock_timeout", "LockNotAvailableError"), ("statement_timeout", "QueryCanceledError")],
)
async def test_a_row_that_somebody_else_holds_for_too_long(
    database: str,
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    error: str,
) -> None:
    settings = {setting: "300"}
    async with (
        cut_pool(database, server_settings=settings) as hasty,
        fed(hasty, EventLog(hasty, log.types), watermark),
    ):
        await log.append([credited(f"s{i}", i) for i in range(9)])
        await caught_up(pool, "balances_v1", "highest_v1")
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT FROM balances_v1.accounts WHERE account = 's5' FOR UPDATE")
            await log.append([credited(f"s{i}", i) for i in range(9)])
            await eventually(lambda: said(caplog, error))
        await work_through(pool, log, watermark, caplog, error)


async def test_a_deadlock_that_the_batch_loses(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"deadlock_timeout": "4s"}  # it looks once, and by then both must wait
    async with (
        cut_pool(database, server_settings=settings) as patient,
        fed(patient, EventLog(patient, log.types), watermark),
    ):
        await log.append([credited(f"s{i}", i) for i in range(9)])
        await caught_up(pool, "balances_v1", "highest_v1")
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("SET LOCAL deadlock_timeout = '60s'")  # so that it is the batch that finds out
            await conn.execute("SELECT FROM balances_v1.accounts WHERE account = 's7' FOR UPDATE")
            await log.append([credited(f"s{i}", i) for i in range(9)])
            await eventually(lambda: waits(pool))
            await conn.execute("SELECT FROM balances_v1.accounts WHERE account = 's2' FOR UPDATE")
        await work_through(pool, log, watermark, caplog, "DeadlockDetectedError")


async def waits(pool: asyncpg.Pool) -> bool:
    return bool(
        await pool.fetchval(
            """SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
               AND wait_event_type = 'Lock' AND query LIKE '%balances_v1%accounts%'"""
        )
    )


async def said(caplog: pytest.LogCaptureFixture, error: str) -> bool:
    return error in caplog.text


async def test_what_was_read_from_a_server_that_is_lost_takes_no_effect_on_the_one_that_took_over_with_less(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with running(Runner(pool, log, watermark, [Balances()])):
        await log.append([credited("kept")])
        await watermark.measure()
        await caught_up(pool, "balances_v1")
        await pause(pool, "balances_v1", by="test")
        await eventually(runner_has_heard)
        lost = await log.append([credited("lost")])
        await watermark.measure()
        await asyncio.sleep(0.2)  # the batch is read and waits to be written
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica")
            await conn.execute("DELETE FROM events WHERE position = $1", lost.position)
            await conn.execute("DELETE FROM streams WHERE stream = 'lost'")
            await conn.execute("SELECT setval('events_position', $1, false)", lost.position)
        again = await log.append([credited("again")])
        assert again.position == lost.position
        await watermark.measure()
        await resume(pool, "balances_v1")
        await caught_up(pool, "balances_v1")
    assert await pool.fetch("SELECT account FROM balances_v1.accounts ORDER BY 1") == [("again",), ("kept",)]


async def runner_has_heard() -> bool:
    return bool(metrics.PAUSED.labels("balances_v1")._value.get())


@pytest.mark.parametrize("key", [random.Random(7).randbytes(4_000).hex(), "a\0b", 7], ids=["long", "NUL", "a number"])
async def test_a_partition_key_that_cannot_be_kept_parks_the_event_by_its_stream(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, key: object
) -> None:
    class Odd(Balances):
        def key(self, recorded: RecordedEvent) -> str:
            return cast(str, key) if recorded.stream == "odd" else recorded.stream

    await log.append([credited("a"), credited("odd"), credited("odd"), credited("b")])
    async with running(watermark, Runner(pool, log, watermark, [Odd()])):
        await caught_up(pool, "balances_v1")
    [letter] = await dead_letters(pool, Odd)
    assert (letter.key, letter.waiting) == ("odd", 1)
    assert "partition key: expected a text of at most 1000 bytes" in str(letter.error)
    assert await pool.fetch("SELECT account FROM balances_v1.accounts ORDER BY 1") == [("a",), ("b",)]

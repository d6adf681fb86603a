"""Whenever a process dies, no event is lost and none takes effect twice."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable
from pathlib import Path

import asyncpg
import pytest
from bank_sample import Balances, Highest, Statements, caught_up, credited, renamed, rows_of, running

from eventlog import EventLog, Watermark
from eventlog.testing import eventually
from projections import RebuildRunning, Rebuilt, Runner, audit, rebuild, rebuild_keys

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("worker_process.py")


async def start(database: str, *what: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, str(WORKER), database, *what, stdout=PIPE)


async def kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def rebuild_when_free(pool: asyncpg.Pool, log: EventLog, watermark: Watermark, resume: bool) -> Rebuilt:
    """PostgreSQL notices the death of a client only when it next writes to it; until then its lock is held."""
    async with asyncio.timeout(240):
        while True:
            try:
                return await rebuild(pool, log, watermark, Balances(), compare=True, resume=resume)
            except RebuildRunning:
                await asyncio.sleep(0.1)


async def test_a_runner_killed_at_random_moments_applies_each_event_once(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    rng = random.Random(7)
    written = 0
    for _ in range(5):
        process = await start(database, "run")
        assert process.stdout is not None
        assert await process.stdout.readline() == b"started\n"
        try:
            async with asyncio.timeout(240):
                for _ in range(rng.randint(5, 25)):
                    await log.append([credited(f"s{i % 9}", i) for i in range(100)])
                    written += 100
                await asyncio.sleep(rng.random() * 0.2)
        finally:
            await kill(process)
    async with running(watermark, Runner(pool, log, watermark, [Balances(), Highest()])):
        await caught_up(pool, "balances_v1", "highest_v1")
    assert await pool.fetchval("SELECT credits FROM balances_v1.currencies") == written
    assert (await audit(pool, log, watermark, Balances())).equal
    assert (await audit(pool, log, watermark, Highest())).equal


async def fill(log: EventLog) -> None:
    for start_at in range(0, 6_000, 2_000):
        events = [credited(f"s{i % 40}", i) for i in range(start_at, start_at + 1_999)]
        await log.append([*events, renamed("s1", f"t{start_at}")])


async def killed_at(process: Process, phase: str, waiting: Awaitable[object] | None = None) -> None:
    """The process stands still where it reports `phase`, or works on until `waiting` is over; then it is killed."""
    try:
        async with asyncio.timeout(240):
            assert process.stdout is not None
            while not (line := await process.stdout.readline()).startswith(phase.encode()):
                assert line, f"it ended before {phase}"
            if waiting is not None:
                await waiting
    finally:
        await kill(process)


async def blocked(pool: asyncpg.Pool, statement: str) -> None:
    """Until a backend of the killed process waits for a lock inside its transaction."""

    async def waits() -> bool:
        return bool(
            await pool.fetchval(
                """SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
                   AND wait_event_type = 'Lock' AND starts_with(query, $1)""",
                statement,
            )
        )

    await eventually(waits)


@pytest.mark.parametrize(
    ("phase", "resume"),
    [
        ("build", True),
        ("build", False),
        ("index", True),
        ("compare", True),
        ("drop", True),
        ("swap", True),
        ("swap", False),
        ("exchange", True),
        ("done", False),
    ],
)
async def test_a_rebuild_killed_in_any_phase_leaves_one_whole_generation_and_can_be_run_again(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark, phase: str, resume: bool
) -> None:
    await fill(log)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        await rebuild(pool, log, watermark, Balances())  # so that there are former rows to drop
        before = await rows_of(pool, Balances)
        if phase == "exchange":
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute("LOCK TABLE balances_v1.currencies IN ACCESS SHARE MODE")
                await killed_at(await start(database, "rebuild"), "swap", blocked(pool, "LOCK TABLE"))
        else:
            await killed_at(await start(database, "rebuild", "1", phase), phase)
        assert await rows_of(pool, Balances) == before
        await log.append([credited("s1", 5)])
        await caught_up(pool, "balances_v1")
        done = await rebuild_when_free(pool, log, watermark, resume)
        assert done.comparison is not None
        assert done.comparison.equal, str(done.comparison)
        if resume:
            assert done.events < 6_001
        assert await rows_of(pool, Balances) == await rows_of(pool, Balances, "_old")


@pytest.mark.parametrize("phase", ["build", "exchange", "done"])
async def test_a_rebuild_of_single_keys_killed_anywhere_leaves_their_former_rows_or_the_new_ones(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark, phase: str
) -> None:
    await fill(log)
    async with running(watermark, Runner(pool, log, watermark, [Statements()])):
        await caught_up(pool, "statements_v1")
        right = await rows_of(pool, Statements)
        await pool.execute("UPDATE statements_v1.accounts SET balance = 0 WHERE account = 's1'")
        await pool.execute("DELETE FROM statements_v1.entries WHERE account = 's1' AND amount < 3000")
        wrong = await rows_of(pool, Statements)
        if phase == "exchange":
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute("SELECT FROM statements_v1.entries WHERE account = 's1' FOR UPDATE")
                deleting = blocked(pool, "DELETE FROM statements_v1.entries")
                await killed_at(await start(database, "keys"), "build", deleting)
        else:
            await killed_at(await start(database, "keys", "1", phase), phase)
        assert await rows_of(pool, Statements) == (right if phase == "done" else wrong)
        await log.append([credited("s1", 5), credited("s2", 5)])
        await caught_up(pool, "statements_v1")  # the runner does not wait for the dead
        async with asyncio.timeout(240):
            while True:
                try:
                    await rebuild_keys(pool, log, watermark, Statements(), ["s1"])
                    break
                except RebuildRunning:
                    await asyncio.sleep(0.1)
        assert (await audit(pool, log, watermark, Statements())).equal

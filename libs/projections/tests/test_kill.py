"""Whenever a process dies, no event is lost and none takes effect twice."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import asyncpg
import pytest
from bank_sample import Balances, Highest, caught_up, credited, renamed, rows_of, running

from eventlog import EventLog, Watermark
from projections import RebuildRunning, Rebuilt, Runner, audit, rebuild

WORKER = Path(__file__).with_name("worker_process.py")


async def start(database: str, what: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, str(WORKER), database, what, stdout=PIPE)


async def kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def rebuild_when_free(pool: asyncpg.Pool, log: EventLog, watermark: Watermark, resume: bool) -> Rebuilt:
    """PostgreSQL notices the death of a client only when it next writes to it; until then its lock is held."""
    async with asyncio.timeout(20):
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
            async with asyncio.timeout(30):
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


@pytest.mark.parametrize("phase", ["build", "index", "swap"])
@pytest.mark.parametrize("resume", [False, True])
async def test_a_rebuild_killed_in_any_phase_leaves_the_live_rows_and_can_be_run_again(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark, phase: str, resume: bool
) -> None:
    for start_at in range(0, 12_000, 2_000):
        events = [credited(f"s{i % 40}", i) for i in range(start_at, start_at + 1_999)]
        await log.append([*events, renamed("s1", f"t{start_at}")])
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        before = await rows_of(pool, Balances)
        process = await start(database, "rebuild")
        try:
            async with asyncio.timeout(30):
                assert process.stdout is not None
                while not (await process.stdout.readline()).startswith(phase.encode()):
                    pass
        finally:
            await kill(process)
        assert await rows_of(pool, Balances) == before
        await log.append([credited("s1", 5)])
        await caught_up(pool, "balances_v1")
        done = await rebuild_when_free(pool, log, watermark, resume)
        assert done.comparison is not None
        assert done.comparison.equal, str(done.comparison)
        if resume:
            assert done.events < 12_001
        assert await rows_of(pool, Balances) == await rows_of(pool, Balances, "_old")

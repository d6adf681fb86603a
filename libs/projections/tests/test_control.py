"""Projections and rebuilds stand still, go on and go slower when somebody says so, from whatever process."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from bank_sample import Balances, Highest, caught_up, credited, rows_of, running, stands_still

from eventlog import EventLog, Watermark
from eventlog.testing import eventually
from projections import (
    Freshness,
    NoGeneration,
    Progress,
    RebuildRunning,
    Runner,
    audit,
    discard,
    metrics,
    pause,
    rebuild,
    resume,
    status,
    throttle,
)


async def fill(log: EventLog, count: int) -> None:
    for start in range(0, count, 1_000):
        await log.append([credited(f"s{i % 20}", i) for i in range(start, start + 1_000)])


async def test_a_paused_projection_stands_still_in_every_instance_while_the_others_go_on(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    runners = [Runner(pool, log, watermark, [Balances(), Highest()], batch_events=20) for _ in range(2)]
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await log.append([credited(f"s{i}") for i in range(10)])
            await asyncio.sleep(0.005)

    async with running(watermark, *runners):
        await log.append([credited("a")])
        await caught_up(pool, "balances_v1", "highest_v1")
        writing = asyncio.create_task(write())
        await pause(pool, "balances_v1", by="ann", why="the disk is being moved")
        await eventually(lambda: _gauge_is(1))
        await stands_still(Freshness(pool, Balances).position)
        before = await rows_of(pool, Balances)
        stood, went = await Freshness(pool, Balances).position(), await Freshness(pool, Highest).position()

        async def others_went_on() -> bool:
            return await Freshness(pool, Highest).position() > went

        await eventually(others_went_on)
        await asyncio.sleep(0.3)
        assert await rows_of(pool, Balances) == before
        assert await Freshness(pool, Balances).position() == stood

        reason = await Freshness(pool, Balances).paused()
        assert reason is not None
        assert reason.startswith("balances_v1 is paused since ")
        assert reason.endswith(" by ann: the disk is being moved")
        balances, highest = await status(pool, log)
        assert (balances.paused, highest.paused) == (reason, None)

        stop.set()
        await writing
        await resume(pool, "balances_v1")
        await caught_up(pool, "balances_v1", "highest_v1")
        assert await Freshness(pool, Balances).paused() is None
        await eventually(lambda: _gauge_is(0))
    assert (await audit(pool, log, watermark, Balances())).equal


async def _gauge_is(value: int) -> bool:
    return bool(metrics.PAUSED.labels("balances_v1")._value.get() == value)


async def test_a_runner_that_starts_while_its_projection_is_paused_waits(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await Runner(pool, log, watermark, [Balances()]).create_missing()
    await pause(pool, "balances_v1", by="ann")
    await log.append([credited("a")])
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await asyncio.sleep(0.5)
        assert await Freshness(pool, Balances).position() == 0
        await resume(pool, "balances_v1")
        await caught_up(pool, "balances_v1")


async def test_a_running_rebuild_is_paused_and_its_speed_changed_from_outside(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 12_000)
    seen: list[Progress] = []

    async def phase(name: str) -> None:
        await eventually(lambda: _last_is(name))

    async def _last_is(name: str) -> bool:
        return bool(seen) and seen[-1].phase == name

    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        working = asyncio.create_task(
            rebuild(pool, log, watermark, Balances(), on_progress=seen.append, events_per_second=100)
        )
        await phase("build")  # the first batch would now have to wait for a minute
        await pause(pool, "balances_v1_new", by="ann")
        await phase("paused")
        (shown,) = await status(pool, log)
        assert (shown.paused, shown.rebuild_paused is None) == (None, False)
        await log.append([credited("a")])
        await caught_up(pool, "balances_v1")  # the live rows do not wait
        stood = seen[-1].position
        await throttle(pool, "balances_v1_new", None)
        await asyncio.sleep(0.5)
        assert (seen[-1].phase, seen[-1].position) == ("paused", stood)
        await resume(pool, "balances_v1_new")
        async with asyncio.timeout(240):
            assert (await working).swapped
    assert await pool.fetchval("SELECT count(*) FROM controls") == 0
    with pytest.raises(NoGeneration, match="balances_v1_new does not exist"):
        await throttle(pool, "balances_v1_new", 5)


async def test_an_interrupted_rebuild_goes_on_where_it_stopped_and_at_its_former_pace(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 12_000)
    seen: list[Progress] = []
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        working = asyncio.create_task(
            rebuild(pool, log, watermark, Balances(), on_progress=seen.append, events_per_second=100)
        )
        await eventually(lambda: _has_position(seen))
        await pause(pool, "balances_v1_new", by="ann")
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        done = seen[-1].position
        again = asyncio.create_task(rebuild(pool, log, watermark, Balances(), resume=True, compare=True))
        goes_on = "SELECT events_per_second = 100 FROM controls WHERE paused_at IS NULL"
        await eventually(lambda: pool.fetchval(goes_on))
        await throttle(pool, "balances_v1_new", 1_000_000)
        rebuilt = await again
        assert rebuilt.events == 12_000 - done
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.equal


async def _has_position(seen: list[Progress]) -> bool:
    return any(progress.position for progress in seen)


async def test_a_runner_that_starts_during_a_rebuild_feeds_the_live_rows_and_discards_wait(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await fill(log, 6_000)
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
    begun = asyncio.Event()
    working = asyncio.create_task(
        rebuild(pool, log, watermark, Balances(), events_per_second=100, on_progress=lambda _: begun.set())
    )
    try:
        await begun.wait()
        await log.append([credited("a")])
        async with running(watermark, Runner(pool, log, watermark, [Balances()])):
            await caught_up(pool, "balances_v1")
            with pytest.raises(RebuildRunning):
                await discard(pool, log, Balances(), "a", reason="why", by="ann")
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

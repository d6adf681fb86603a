from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import asyncpg
import pytest
from prometheus_client import REGISTRY

from eventlog import BrokenLog, EventLog, Watermark, is_transient
from eventlog.testing import credited

WRITERS, ROUNDS = 16, 40


async def _write(log: EventLog, writer: int, committed: set[str]) -> None:
    """Transactions of random length and size, a tenth of them rolled back."""
    random_ = random.Random(writer)
    for i in range(ROUNDS):
        events = [credited(f"w{writer}/{random_.randrange(3)}", i) for _ in range(random_.choice([1, 2, 5, 250]))]
        async with log.pool.acquire() as conn:
            transaction = conn.transaction()
            await transaction.start()
            await asyncio.sleep(random_.uniform(0, 0.01))
            await log.append(events, conn=conn)
            await asyncio.sleep(random_.uniform(0, 0.02))
            if random_.random() < 0.1:
                await transaction.rollback()
                continue
            await transaction.commit()
        committed.update(str(event.event_id) for event in events)
        log.wake()


async def test_a_tailing_reader_misses_nothing_while_sixteen_writers_commit_late_and_roll_back(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    watermark = Watermark(pool, poll_seconds=0.05)
    watching = asyncio.create_task(watermark.run())
    committed: set[str] = set()
    writing = asyncio.gather(*(_write(log, w, committed) for w in range(WRITERS)))
    seen, versions, checkpoint = [], {}, 0
    try:
        while True:
            done = writing.done()
            horizon = await watermark.measure() if done else await watermark.beyond(checkpoint, 0.1)
            while batch := await log.read(checkpoint, horizon, limit=500):
                assert [e.position for e in batch] == sorted(e.position for e in batch)
                for event in batch:
                    assert event.version == versions.get(event.stream, 0) + 1, "one stream's events come in order"
                    versions[event.stream] = event.version
                    seen.append(str(event.event_id))
                checkpoint = batch[-1].position
            if done:
                break
        await writing
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert len(seen) == len(set(seen))
    assert set(seen) == committed


async def test_the_horizon_waits_for_a_writer_that_holds_a_lower_position(log: EventLog, pool: asyncpg.Pool) -> None:
    watermark = Watermark(pool)
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        held = await log.append([credited("slow")], conn=slow)
        fast = await log.append([credited("fast")])
        assert fast.position > held.position

        measuring = asyncio.create_task(watermark.measure())
        await until_it_waits(measuring)

        await log.append([credited("later")])  # a later writer does not prolong the wait
        await transaction.commit()
        horizon = await asyncio.wait_for(measuring, 240)
    assert horizon == fast.position
    assert [e.stream for e in await log.read(0, horizon)] == ["slow", "fast"]


async def until_it_waits(measuring: asyncio.Task[int]) -> None:
    """Until a measurement knows which writers it has to wait for, and does."""
    async with asyncio.timeout(240):
        while not REGISTRY.get_sample_value("annals_fence_waiting_seconds"):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.005)
    assert not measuring.done()


async def test_writers_in_other_databases_of_the_cluster_do_not_hold_up_the_horizon(
    log: EventLog, pool: asyncpg.Pool, postgres
) -> None:
    other = await asyncpg.connect(postgres.create_database())
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT pg_advisory_xact_lock_shared(1095650892, 1)")
    appended = await log.append([credited("a")])
    assert await asyncio.wait_for(Watermark(pool).measure(), 240) == appended.position
    await transaction.rollback()
    await other.close()


async def test_an_empty_log_has_horizon_zero_and_the_first_event_is_not_skipped(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    watermark = Watermark(pool)
    assert await watermark.measure() == 0
    first = await log.append([credited("a")])
    assert await watermark.measure() == first.position == 1


async def test_the_horizon_ends_at_an_event_for_a_server_that_crashes_may_draw_the_positions_behind_it_again(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    appended = await log.append([credited("a"), credited("b")])
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        drawn = await log.append([credited("c")], conn=conn)
        await transaction.rollback()
    assert drawn.position > appended.position
    assert await Watermark(pool).measure() == appended.position


async def test_a_watcher_goes_back_when_a_server_takes_over_that_has_less(log: EventLog, pool: asyncpg.Pool) -> None:
    watermark = Watermark(pool, poll_seconds=0.05)
    kept = await log.append([credited("a")])
    await log.append([credited("b")])
    await watermark.measure()
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute("DELETE FROM events WHERE position > $1", kept.position)
        await conn.execute("SELECT setval('events_position', $1)", kept.position)
    watching = asyncio.create_task(watermark.run())
    async with asyncio.timeout(240):
        while watermark.position != kept.position:  # noqa: ASYNC110 - it tells nobody that it went back
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_server_that_is_not_promoted_yet_is_asked_again(database: str, log: EventLog) -> None:
    """The function of the database's own stands in for a standby's, for it comes first in the search path."""
    await log.pool.execute("CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    async with asyncpg.create_pool(database, server_settings={"search_path": "public, pg_catalog"}) as standby:
        with pytest.raises(ConnectionError, match="replica") as refused:
            await Watermark(standby).measure()
    assert is_transient(refused.value)


async def test_a_writer_that_keeps_all_readers_waiting_is_named(
    log: EventLog, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("eventlog.watermark.LONG_SECONDS", 0.05)
    async with pool.acquire() as slow:
        await slow.execute("SET application_name = 'sluggard'")
        async with slow.transaction():
            await log.append([credited("slow")], conn=slow)
            measuring = asyncio.create_task(Watermark(pool).measure())
            async with asyncio.timeout(240):
                while "sluggard" not in caplog.text:  # noqa: ASYNC110 - logging has no event to wait for
                    await asyncio.sleep(0.01)
            assert REGISTRY.get_sample_value("annals_fence_waiting_seconds") > 0
    await measuring
    assert REGISTRY.get_sample_value("annals_fence_waiting_seconds") == 0


async def test_another_process_hears_of_an_append_without_waiting_for_the_poll(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    here, there = Watermark(pool, poll_seconds=300), Watermark(pool, poll_seconds=300)
    tasks = [asyncio.create_task(w.run()) for w in (here, there)]
    await asyncio.sleep(0.3)
    appended = await EventLog(pool, log.types, here).append([credited("a")])
    assert await there.beyond(0, 60) == appended.position
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_waiting_in_vain_returns_the_horizon(log: EventLog, pool: asyncpg.Pool) -> None:
    assert await Watermark(pool).beyond(0, 0.05) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("ALTER SEQUENCE events_position CACHE 20", "expected CACHE 1, found 20"),
        ("ALTER TABLE events DISABLE TRIGGER events_fence", "events_fence"),
    ],
)
async def test_a_log_whose_fence_is_broken_is_not_read(
    log: EventLog, pool: asyncpg.Pool, damage: str, message: str
) -> None:
    await pool.execute(damage)
    with pytest.raises(BrokenLog, match=message):
        await Watermark(pool).measure()


async def test_a_watcher_that_loses_its_connection_says_so_and_can_be_run_again(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    watermark = Watermark(pool, poll_seconds=0.05)
    watching = asyncio.create_task(watermark.run())
    before = await log.append([credited("a")])
    assert await watermark.beyond(0, 30) == before.position
    await pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname = current_database()"
    )
    with pytest.raises((ConnectionError, asyncpg.PostgresError)):
        await asyncio.wait_for(watching, 240)

    again = asyncio.create_task(watermark.run())
    appended = await log.append([credited("a")])
    assert await watermark.beyond(before.position, 30) == appended.position
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    assert pool.get_idle_size() == pool.get_size()  # whatever was cut, the pool has all its places back

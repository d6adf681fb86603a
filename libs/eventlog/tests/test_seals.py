"""Sealing: what becomes a segment and when, under crashes, rivals and late commits; seals put back."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from forgery import POSITIONS, fill, problems, seal_all
from hypothesis import given
from hypothesis import strategies as st

from eventlog import BrokenLog, BrokenSeal, EventLog, Sealer, Watermark, merkle
from eventlog.leaves import COLUMNS, LEAVES_SQL, SealedEvent, leaves, of_rows, raw_time, read_time
from eventlog.seals import GENESIS, Restored, Seal, read_seals, restore
from eventlog.testing import NOW, as_superuser, credited, reseal_from


async def test_whole_segments_are_sealed_at_once_and_the_rest_when_it_is_time(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    await fill(log)
    horizon = await Watermark(pool).measure()
    sealed = await Sealer(pool, Watermark(pool), positions=POSITIONS, seconds=3600).seal(horizon)
    assert [(s.number, s.first_position, s.last_position, s.events) for s in sealed] == [
        (1, 1, 16, 16),
        (2, 17, 32, 15),
        (3, 33, 48, 16),
        (4, 49, 64, 16),
    ]
    assert await Sealer(pool, Watermark(pool), positions=POSITIONS, seconds=3600).seal(horizon) == []
    [rest] = await Sealer(pool, Watermark(pool), positions=POSITIONS, seconds=0).seal(horizon)
    assert (rest.number, rest.first_position, rest.last_position, rest.events) == (5, 65, 71, 7)
    assert [rest] == (await read_seals(pool))[4:]


async def test_each_seal_follows_the_one_before(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    seals = await seal_all(pool)
    assert seals[0].previous == GENESIS
    assert [seal.faults(before) for before, seal in zip([None, *seals], seals, strict=False)] == [[]] * 5


async def test_a_running_sealer_follows_the_log_and_seals_an_idle_ones_rest(log: EventLog, pool: asyncpg.Pool) -> None:
    watermark = Watermark(pool, poll_seconds=0.05)
    tasks = [asyncio.create_task(worker.run()) for worker in (watermark, Sealer(pool, watermark, seconds=0.2))]
    for _ in range(3):
        appended = await log.append([credited("a")])
        await sealed_to(pool, appended.position)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await problems(pool) == []


async def test_nothing_is_sealed_that_a_late_commit_could_still_change(log: EventLog, pool: asyncpg.Pool) -> None:
    watermark = Watermark(pool, poll_seconds=0.02)
    sealer = Sealer(pool, watermark, positions=8, seconds=0)
    workers = [asyncio.create_task(worker.run()) for worker in (watermark, sealer)]

    async def write(writer: int) -> None:
        shuffled = random.Random(writer)
        for _ in range(15):
            async with pool.acquire() as conn:
                transaction = conn.transaction()
                await transaction.start()
                await log.append(
                    [credited(f"writer/{writer}", n) for n in range(shuffled.choice([1, 3, 250]))], conn=conn
                )
                await asyncio.sleep(shuffled.uniform(0, 0.03))
                await (transaction.rollback() if shuffled.random() < 0.2 else transaction.commit())

    await asyncio.gather(*(write(writer) for writer in range(8)))
    await sealed_to(pool, await pool.fetchval("SELECT max(position) FROM events"))
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert await problems(pool) == []


async def test_two_sealers_at_once_make_one_chain(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    watermark = Watermark(pool)
    horizon = await watermark.measure()
    sealers = [Sealer(pool, watermark, positions=2, seconds=0) for _ in range(4)]
    sealed: list[Seal] = []
    while len(sealed) < 36:
        for seals in await asyncio.gather(*(sealer.seal(horizon) for sealer in sealers)):
            sealed += seals
    assert sorted(seal.number for seal in sealed) == list(range(1, 37))
    assert await problems(pool, await read_seals(pool)) == []


async def test_a_sealer_cancelled_or_cut_off_at_any_step_leaves_whole_seals_or_nothing(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    await fill(log)
    horizon = await Watermark(pool).measure()
    sealer = Sealer(pool, Watermark(pool), positions=2, seconds=3600)
    for step in itertools.count():
        work = asyncio.create_task(cancelled_at(step, sealer.seal(horizon)))
        await asyncio.wait({work})
        if not work.cancelled():
            break
        assert len(await read_seals(pool)) in (0, 35)
        assert await problems(pool) == []
    assert step > 40, "every word to the server and every root was a step to be cancelled at"
    assert len(await read_seals(pool)) == 35


@types.coroutine
def cancelled_at(step: int, work: Coroutine[Any, Any, object]) -> Generator[Any, Any, None]:
    """Runs `work`, and cancels the task it is in when it waits for the `step`-th time."""
    resume: Callable[[], Any] = functools.partial(work.send, None)
    for number in itertools.count():
        try:
            waits_for = resume()
        except StopIteration:
            return
        if number == step and (task := asyncio.current_task()):
            task.cancel()
        try:
            resume = functools.partial(work.send, (yield waits_for))
        except BaseException as error:
            resume = functools.partial(work.throw, error)


async def test_a_sealer_whose_connection_dies_before_the_commit_leaves_nothing(
    log: EventLog, pool: asyncpg.Pool, database: str
) -> None:
    await fill(log)
    await pool.execute(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF NEW.number = 3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
           CREATE TRIGGER die BEFORE INSERT ON seals FOR EACH ROW EXECUTE FUNCTION die()"""
    )
    horizon = await Watermark(pool).measure()
    with pytest.raises((ConnectionError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await Sealer(pool, Watermark(pool), positions=POSITIONS).seal(horizon)
    await pool.execute("DROP TRIGGER die ON seals")
    assert await read_seals(pool) == []
    assert len(await seal_all(pool)) == 5


async def test_a_horizon_of_another_database_is_refused(log: EventLog, pool: asyncpg.Pool) -> None:
    await log.append([credited("a")])
    with pytest.raises(BrokenLog, match="horizon 900: expected at most the last position drawn, found 1"):
        await Sealer(pool, Watermark(pool)).seal(900)


@pytest.mark.parametrize("positions", [0, 65_537])
def test_segments_that_no_seal_may_cover_are_refused(positions: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 65536, got {positions}"):
        Sealer(None, None, positions=positions)  # type: ignore[arg-type]


async def test_what_postgresql_hashes_is_what_python_hashes(log: EventLog, pool: asyncpg.Pool) -> None:
    await log.append(
        [credited(stream, amount) for stream, amount in [("ä/♪/\U0001f3b5", 1), ('"\\', 10**70), ("b", -1)]]
    )
    await as_superuser(
        pool,
        """INSERT INTO events VALUES (5, 'odd', 1, gen_random_uuid(), E'T\\n', -7, '{"é": [1.50, null, "\\u00e9\\n"]}',
           '[]', 'infinity', '0044-03-15 BC')""",
    )
    rows = await pool.fetch(f"SELECT {COLUMNS} FROM events ORDER BY position")
    events, computed = await pool.fetchrow(LEAVES_SQL, 1, 6)
    assert events == 4
    assert computed == b"".join(leaves(of_rows(rows), 1, 6))
    assert computed[-32:] == merkle.hole_leaf(6)


async def test_a_backlog_of_large_events_is_sealed_by_as_many_segments_as_there_is_time_for(
    log: EventLog, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.seals.SECONDS_AT_ONCE", 0)
    appended = await log.append([credited("a", amount) for amount in range(30)])
    watermark = Watermark(pool)
    sealer = Sealer(pool, watermark, positions=10)
    horizon = await watermark.measure()
    sealed = [[seal.last_position for seal in await sealer.seal(horizon)] for _ in range(3)]
    assert sealed == [[10], [20], [appended.position]]
    assert await problems(pool) == []


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
sealed_events = st.builds(
    SealedEvent,
    st.integers(0, 3), texts, st.integers(0, 3), st.builds(UUID, int=st.integers(0, 3)), texts, st.integers(0, 3),
    texts, texts, st.sampled_from([bytes(8), b"\1" * 8]), st.sampled_from([bytes(8), b"\1" * 8]),
)  # fmt: skip


@given(sealed_events, sealed_events)
def test_different_events_have_different_leaves(one: SealedEvent, other: SealedEvent) -> None:
    assert (one.leaf() == other.leaf()) is (one == other)


def test_times_travel_as_postgresql_sends_them() -> None:
    assert read_time(raw_time(NOW)) == NOW
    assert raw_time(NOW).hex() == "0002ea5dbb151340"


async def test_published_seals_are_put_back_after_a_loss(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    published = await seal_all(pool)
    await as_superuser(pool, "DELETE FROM seals WHERE number > 2")
    await pool.execute("SELECT setval('events_position', 30)")  # as it is in a log restored from a backup
    async with pool.acquire() as conn:
        assert await restore(conn, published) == Restored(added=3, replaced=0)
        assert await restore(conn, published) == Restored(added=0, replaced=0)
    assert await problems(pool, published) == []
    assert (await log.append([credited("a")])).position == 72, "no sealed position is drawn again"


async def test_seals_that_a_restored_log_made_by_itself_give_way_to_published_ones(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    await fill(log)
    published = await seal_all(pool)
    await as_superuser(pool, "DELETE FROM seals WHERE number > 2")
    await Sealer(pool, Watermark(pool), positions=7, seconds=0).seal(60)
    async with pool.acquire() as conn:
        assert await restore(conn, published) == Restored(added=3, replaced=4)
    assert await problems(pool, published) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("DELETE FROM seals")


async def test_seals_not_published_yet_stay(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    seals = await seal_all(pool)
    async with pool.acquire() as conn:
        assert await restore(conn, seals[:3]) == Restored(added=0, replaced=0)
    assert await read_seals(pool) == seals


async def test_seals_that_the_events_contradict_are_not_put_back(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    published = await seal_all(pool)
    await as_superuser(pool, "UPDATE events SET data = '{\"amount\": 7}' WHERE position = 40")
    await reseal_from(pool, 3)
    resealed = await read_seals(pool)
    async with pool.acquire() as conn:
        with pytest.raises(BrokenSeal, match=r"seal 3: expected 16 events with root .* found 16"):
            await restore(conn, published)
        with pytest.raises(BrokenSeal, match="seal 4: number: expected 3, found 4"):
            await restore(conn, [*published[:2], *published[3:]])
    assert await read_seals(pool) == resealed


async def test_while_the_log_is_being_restored_nothing_is_sealed(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    await pool.execute("INSERT INTO log_restore (after_position) VALUES (10)")
    assert await seal_all(pool) == []


async def test_a_seal_travels_as_json(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    [seal, *_] = await seal_all(pool)
    assert Seal.from_json(seal.to_json()) == seal
    for broken in ("{}", "[]", "", seal.to_json().replace(seal.root.hex(), "00")):
        with pytest.raises(BrokenSeal, match="expected a seal, found"):
            Seal.from_json(broken)
    assert replace(seal, events=3).faults(None)[0].startswith("seal 1: hash: expected ")


async def sealed_to(pool: asyncpg.Pool, position: int) -> None:
    async with asyncio.timeout(240):
        while True:
            if await pool.fetchval("SELECT max(last_position) FROM seals") == position:
                return
            await asyncio.sleep(0.02)

"""A failing event stops its own key, in order, and nothing else."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from bank_sample import Balances, Mended, caught_up, credited, renamed, rows_of, running

from eventlog import DeadLetterDiscarded, EventLog, Watermark
from eventlog.testing import eventually
from projections import Freshness, Runner, dead_letters, discard, retry, retry_all, status


class Token:
    def __init__(self, stream: str, position: int) -> None:
        self.stream, self.position = stream, position


async def feed(pool: asyncpg.Pool, log: EventLog, watermark: Watermark, batch_events: int = 5000) -> None:
    async with running(watermark, Runner(pool, log, watermark, [Balances()], batch_events=batch_events)):
        await caught_up(pool, "balances_v1")


async def balances(pool: asyncpg.Pool) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in await pool.fetch("SELECT account, balance FROM balances_v1.accounts")}


@pytest.mark.parametrize("batch_events", [1, 4, 5000])
async def test_a_failing_event_parks_its_key_and_other_keys_flow(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, batch_events: int
) -> None:
    await log.append([credited("a", 1), credited("b", 1), renamed("a", "boom"), credited("a", 10), credited("b", 10)])
    await log.append([credited("c", 1, entry="x"), credited("c", 1, entry="x"), credited("c", 100), credited("b", 100)])
    await feed(pool, log, watermark, batch_events)
    assert await balances(pool) == {"a": 1, "b": 111, "c": 1}
    assert await pool.fetchrow("SELECT * FROM balances_v1.currencies") == ("TRX", 113, 5)
    a, c = await dead_letters(pool, Balances)
    assert (a.key, a.position, a.type, a.error, a.waiting) == ("a", 3, "Renamed", "RuntimeError: boom", 1)
    assert (c.key, c.position, c.waiting) == ("c", 7, 1)
    assert c.error is not None
    assert "UniqueViolation" in c.error or "already a row" in c.error


async def test_many_failing_keys_are_isolated_from_one_large_batch(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    events = []
    for i in range(300):
        events += [credited(f"s{i}", 1, entry="x"), credited(f"s{i}", 1, entry="x" if i % 30 == 0 else "y")]
    await log.append(events)
    await feed(pool, log, watermark)
    assert sorted(letter.key for letter in await dead_letters(pool)) == sorted(f"s{i}" for i in range(0, 300, 30))
    assert await pool.fetchval("SELECT amount FROM balances_v1.currencies") == 590


async def test_a_mended_handler_applies_parked_events_in_order(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a", 1), renamed("a", "boom"), renamed("a", "Ann"), credited("a", 10), credited("b", 5)])
    await feed(pool, log, watermark)
    again = await retry(pool, log, Balances(), "a")
    assert (again.applied, again.failed_at, again.error) == (0, 2, "RuntimeError: boom")
    assert (await dead_letters(pool))[0].attempts == 2

    assert (await retry_all(pool, log, Mended()))["a"].applied == 3
    assert await dead_letters(pool) == []
    assert await balances(pool) == {"a": 11, "b": 5}
    assert await pool.fetchval("SELECT title FROM balances_v1.accounts WHERE account = 'a'") == "Ann"
    expected = await rows_of(pool, Balances)

    await pool.execute("DROP SCHEMA balances_v1 CASCADE")
    await pool.execute("TRUNCATE checkpoints")
    async with running(watermark, Runner(pool, log, watermark, [Mended()])):
        await caught_up(pool, "balances_v1")
    assert await rows_of(pool, Balances) == expected


async def test_a_retry_stops_at_the_next_failure_and_keeps_what_worked(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([renamed("a", "boom"), credited("a", 1, entry="x"), credited("a", 2), credited("a", 4, entry="x")])
    await log.append([credited("a", 8)])
    await feed(pool, log, watermark)
    again = await retry(pool, log, Mended(), "a")
    assert (again.applied, again.failed_at) == (3, 4)
    assert await balances(pool) == {"a": 3}
    assert [(letter.position, letter.waiting) for letter in await dead_letters(pool)] == [(4, 1)]


async def test_a_discarded_event_is_recorded_and_left_out_of_a_replay(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a", 1), renamed("a", "boom"), credited("a", 10)])
    await feed(pool, log, watermark)
    for reason, by in [("", "ann"), ("why", " ")]:
        with pytest.raises(ValueError, match="required"):
            await discard(pool, log, Balances(), "a", reason=reason, by=by)
    assert (await discard(pool, log, Balances(), "a", reason="a prank", by="ann")).applied == 1
    assert await balances(pool) == {"a": 11}
    [decided] = await log.read_stream("dead-letters/balances_v1")
    assert decided.metadata.actor == "ann"
    assert decided.event == DeadLetterDiscarded(
        "balances_v1", 2, "a", (await log.read(1, 2))[0].event_id, "Renamed", "RuntimeError: boom", "a prank", "ann"
    )
    with pytest.raises(LookupError, match="nothing is parked under key a"):
        await discard(pool, log, Balances(), "a", reason="again", by="ann")

    expected = await rows_of(pool, Balances)
    await pool.execute("DROP SCHEMA balances_v1 CASCADE")
    await pool.execute("TRUNCATE checkpoints")
    await feed(pool, log, watermark)
    assert await rows_of(pool, Balances) == expected
    assert await dead_letters(pool) == []


async def test_retries_and_a_live_runner_keep_the_order(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with running(watermark, Runner(pool, log, watermark, [Balances()], batch_events=10)):
        await log.append([renamed("a", "boom")])
        await caught_up(pool, "balances_v1")

        async def write() -> None:
            for i in range(60):
                await log.append([credited("a", 1), renamed("a", f"{i}")])

        writing = asyncio.create_task(write())
        await eventually(lambda: _at_least(pool, 20))
        await asyncio.gather(*(retry(pool, log, Mended(), "a") for _ in range(3)))
        await writing
        await caught_up(pool, "balances_v1")
        await retry(pool, log, Mended(), "a")
    assert await balances(pool) == {"a": 60}
    assert await pool.fetchval("SELECT title FROM balances_v1.accounts") == "59"
    assert await dead_letters(pool) == []


async def _at_least(pool: asyncpg.Pool, waiting: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) > $1 FROM dead_letters", waiting))


async def test_a_reader_of_its_own_write_learns_whether_it_is_shown_or_parked(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    freshness = Freshness(pool, Balances)
    good = Token("b", (await log.append([credited("b")])).position)
    assert await freshness.position() == 0
    assert await freshness.lag() == 1
    await log.append([renamed("a", "boom")])
    behind = Token("a", (await log.append([credited("a")])).position)
    await feed(pool, log, watermark)
    assert await freshness.position() >= behind.position
    assert await freshness.lag() == 0
    assert await freshness.parked(good) is None
    assert await freshness.parked(behind) == "RuntimeError: boom"

    (found,) = await status(pool, log)
    assert (found.name, found.version, found.lag_events, found.lag_seconds) == ("balances", 1, 0, 0.0)
    assert (found.parked_keys, found.parked_events, found.generations) == (1, 2, {"balances_v1": 3})

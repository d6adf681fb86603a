"""A projection as of a point of the log, in a schema of its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from bank_sample import NOW, Balances, caught_up, credited, renamed, rows_of, running

from eventlog import EventLog, NewEvent, Watermark
from projections import (
    InvalidPoint,
    NoGeneration,
    Runner,
    as_of,
    compare,
    dead_letters,
    drop_as_of,
    list_as_of,
    rebuild,
    status,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def record_at(pool: asyncpg.Pool, stream: str, seconds: float) -> None:
    """A credit of 1 with the next position, recorded so many seconds after noon: as if transactions had overlapped."""
    await pool.execute(
        """INSERT INTO events (stream, version, event_id, type, type_version, data, metadata, occurred_at, recorded_at)
           VALUES ($1, 1, $2, 'Credited', 1, $3::json, '{}', $4, $4)""",
        stream,
        uuid4(),
        f'{{"currency": "TRX", "amount": 1, "entry": "{stream}"}}',
        NOON + timedelta(seconds=seconds),
    )


async def accounts_in(pool: asyncpg.Pool, schema: str) -> str:
    return "".join(row[0] for row in await pool.fetch(f"SELECT account FROM {schema}.accounts ORDER BY 1"))


async def test_rows_as_of_a_position_are_those_that_a_rebuild_would_have_made_then_and_live_ones_stay(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited(f"s{i % 7}", i) for i in range(300)] + [renamed("s1", "boom"), credited("s1", 1)])
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
        end = await watermark.measure()
        await rebuild(pool, log, watermark, Balances())
        then = await rows_of(pool, Balances)
        await log.append([credited("s2", 1000), credited("later", 1)])
        await caught_up(pool, "balances_v1")
        live = await rows_of(pool, Balances)

        found = await as_of(pool, log, watermark, Balances(), position=end)
        assert (found.schema, found.position, found.events, found.parked_keys) == (
            f"balances_v1_asof_{end}", end, 302, 1,
        )  # fmt: skip
        assert found.tables == {table: len(rows) for table, rows in then.items()}
        assert await rows_of(pool, Balances, f"_asof_{end}") == then
        assert (await compare(pool, "balances_v1_old", found.schema, Balances.specs)).equal  # retired at that point
        assert await rows_of(pool, Balances) == live
        await log.append([credited("s3", 1)])
        await caught_up(pool, "balances_v1")
        assert await rows_of(pool, Balances, f"_asof_{end}") == then  # nobody feeds it
        assert {letter.subscription for letter in await dead_letters(pool, Balances)} == {"balances_v1"}
        (shown,) = await status(pool, log)
        assert shown.generations[found.schema] == end

        again = await as_of(pool, log, watermark, Balances(), position=0, label="before")
        assert again.tables == {"accounts": 0, "entries": 0, "currencies": 0}
        assert await list_as_of(pool, Balances) == [found.schema, "balances_v1_asof_before"]
        assert await drop_as_of(pool, log, Balances(), "before") == ["balances_v1_asof_before"]
        assert await drop_as_of(pool, log, Balances()) == [found.schema]
        with pytest.raises(NoGeneration, match=r"balances_v1_asof_\* does not exist"):
            await drop_as_of(pool, log, Balances())
    assert await pool.fetchval("SELECT count(*) FROM controls WHERE starts_with(subscription, 'balances_v1_asof')") == 0


async def test_a_time_stands_for_the_last_position_recorded_by_then_whatever_overtook_what(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    for stream, seconds in [("a", 0), ("b", 2), ("c", 1), ("d", 3)]:  # b was overtaken by c
        await record_at(pool, stream, seconds)
    for seconds, expected in [(-1, ""), (0, "a"), (0.999999, "a"), (1, "abc"), (2, "abc"), (2.5, "abc"), (3, "abcd")]:
        found = await as_of(pool, log, watermark, Balances(), recorded=NOON + timedelta(seconds=seconds), label="t")
        assert await accounts_in(pool, found.schema) == expected
        assert found.position == len(expected)


async def test_a_time_waits_for_whoever_is_still_recording_so_that_it_always_means_the_same_position(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with pool.acquire() as conn:
        slow = conn.transaction()
        await slow.start()
        await log.append([credited("slow")], conn=conn)
        await log.append([credited("quick")])
        now = await pool.fetchval("SELECT clock_timestamp()")
        replaying = asyncio.create_task(as_of(pool, log, watermark, Balances(), recorded=now))
        await asyncio.sleep(0.3)
        assert not replaying.done()
        await slow.commit()
    found = await replaying
    assert await pool.fetchval(f"SELECT count(*) FROM {found.schema}.accounts") == 2
    assert (await as_of(pool, log, watermark, Balances(), recorded=now)).position == found.position == 2


async def test_by_time_of_occurrence_late_news_of_the_past_are_in_it(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    past, future = NOW - timedelta(days=1), NOW + timedelta(days=1)
    events = [("a", past), ("b", future), ("c", NOW), ("d", past)]
    await log.append([NewEvent(name, credited(name).event, time) for name, time in events])
    found = await as_of(pool, log, watermark, Balances(), occurred=NOW)
    assert (found.schema, found.position, found.events) == ("balances_v1_asof_o260102030405", 4, 3)
    assert await accounts_in(pool, found.schema) == "acd"


async def test_a_point_that_is_none_or_still_to_come_is_refused(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("a")])
    for point, why in [
        ({}, "expected one of position, recorded and occurred"),
        ({"position": 1, "recorded": NOW}, "expected one of"),
        ({"position": 2}, "expected a position up to the end of the log, 1, found 2"),
        ({"recorded": datetime.now(UTC) + timedelta(hours=1)}, "is still to come"),
        ({"recorded": datetime(2026, 3, 1)}, "with its zone"),  # noqa: DTZ001 - the mistake
        ({"position": 1, "label": "A b"}, "small letters"),
        ({"position": 1, "label": "a" * 50}, "longer than a name"),
    ]:
        with pytest.raises(InvalidPoint, match=why):
            await as_of(pool, log, watermark, Balances(), **point)  # type: ignore[arg-type]


async def test_a_replay_that_is_interrupted_leaves_no_half_of_the_rows(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await log.append([credited("s1", 1), credited("s2", 1)])
    end = await watermark.measure()
    at_work = asyncio.Event()
    replay = asyncio.create_task(
        as_of(pool, log, watermark, Balances(), position=end, events_per_second=1, on_progress=lambda _: at_work.set())
    )
    await at_work.wait()
    assert await list_as_of(pool, Balances) == [f"balances_v1_asof_{end}"]
    replay.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replay
    assert await list_as_of(pool, Balances) == []
    assert (await as_of(pool, log, watermark, Balances(), position=end)).events == 2

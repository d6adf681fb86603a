"""Several instances share the partitions of a projection out, whoever dies, and each event takes effect once."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from bank_sample import TYPES, Parted, PartedByCurrency, caught_up, credited, renamed, running
from prometheus_client import REGISTRY

from eventlog import EventLog, Watermark
from eventlog.testing import eventually
from projections import Freshness, InvalidProjection, Projection, Runner, audit, dead_letters, status
from projections.batch import NOTHING_HELD, prepare, write
from projections.generation import Generation
from projections.measures import Measures
from projections.partitions import Partition, divide, shares

WORKER = Path(__file__).with_name("worker_process.py")


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.crew.LOOK_SECONDS", 0.05)


@dataclass(frozen=True, slots=True)
class Token:
    stream: str
    position: int


async def start(stack: AsyncExitStack, database: str, name: str) -> Process:
    dsn = f"{database}?application_name={name}"
    process = await asyncio.create_subprocess_exec(sys.executable, str(WORKER), dsn, "crew", stdout=PIPE)
    stack.push_async_callback(kill, process)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    return process


async def kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@asynccontextmanager
async def instance(database: str, name: str) -> AsyncIterator[None]:
    """An instance in this process, with sessions of its own."""
    settings = {"application_name": name}
    async with asyncpg.create_pool(database, min_size=1, max_size=8, server_settings=settings) as pool:
        watermark = Watermark(pool, poll_seconds=0.05)
        async with running(watermark, Runner(pool, EventLog(pool, TYPES), watermark, [Parted()])):
            yield


async def shared_out(pool: asyncpg.Pool) -> dict[str, int]:
    """How many partitions each instance feeds, by the name of its sessions."""
    rows = await pool.fetch(
        """SELECT a.application_name, count(*) FROM checkpoints AS c
           CROSS JOIN hashtextextended('feeding ' || c.subscription, 0) AS key
           JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                AND l.classid::bigint = (key >> 32) & 4294967295 AND l.objid::bigint = key & 4294967295
           JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datid = l.database AND a.datname = current_database()
           WHERE starts_with(c.subscription, 'parted_v1#') GROUP BY 1"""
    )
    return {row[0]: row[1] for row in rows}


async def until_shared_out(pool: asyncpg.Pool, **expected: int) -> None:
    async def so() -> bool:
        return await shared_out(pool) == expected

    await eventually(so)


async def until_taken_over(pool: asyncpg.Pool, survivors: Collection[str]) -> None:
    async def so() -> bool:
        found = await shared_out(pool)
        return found.keys() == {*survivors} and sorted(found.values()) == [1, 2]

    await eventually(so)


async def laid_out(pool: asyncpg.Pool) -> list[str]:
    """The checkpoints that say how far the live rows are."""
    rows = await pool.fetch("SELECT subscription FROM checkpoints WHERE position IS NOT NULL ORDER BY 1")
    return [row[0].removeprefix("parted_v1") for row in rows]


async def until_laid_out(pool: asyncpg.Pool, expected: list[str]) -> None:
    async def so() -> bool:
        return await laid_out(pool) == expected

    await eventually(so)


async def bring(pool: asyncpg.Pool, log: EventLog, projection: Projection, indexes: Collection[int]) -> None:
    """Bring some partitions to the end of the log, and the others not."""
    end = await pool.fetchval("SELECT max(position) FROM events")
    async with pool.acquire() as conn:
        for share, position in await shares(conn, Generation(projection, log.types)):
            if share.index in indexes:
                partition = Partition(projection, log.types, "", share)
                batch = await partition.read(log, position, end)
                await write(conn, partition, await prepare(partition, batch, NOTHING_HELD))


def metric(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"annals_projection_{name}", {"projection": "parted_v1"})


async def test_three_instances_killed_under_a_running_writer_make_the_rows_of_the_log(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    rng = random.Random(11)
    stop = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            events = [credited(f"s{rng.randrange(60)}", i, currency=f"c{i % 4}") for i in range(100)]
            title = "boom" if written == 1_000 else f"t{written}"
            await log.append([*events, renamed(f"s{rng.randrange(60)}", title)])
            written += 100
            await asyncio.sleep(0.1)

    async with AsyncExitStack() as stack:
        processes = {name: await start(stack, database, name) for name in ("one", "two", "three")}
        writing = asyncio.create_task(write())
        stack.push_async_callback(asyncio.wait, [writing])
        stack.callback(stop.set)
        await until_shared_out(pool, one=1, two=1, three=1)
        for _ in range(3):
            name = rng.choice([*processes])
            await asyncio.sleep(rng.random() * 0.4)
            await kill(processes.pop(name))
            await until_taken_over(pool, processes)
            processes[name] = await start(stack, database, name)
            await until_shared_out(pool, one=1, two=1, three=1)
        processes["two"].send_signal(signal.SIGSTOP)
        await until_taken_over(pool, {"one", "three"})
        processes["two"].send_signal(signal.SIGCONT)
        await until_shared_out(pool, one=1, two=1, three=1)
        stop.set()
        await writing
        await caught_up(pool, "parted_v1", "parted_by_currency_v1")
        for projection in (Parted(), PartedByCurrency()):
            comparison = await audit(pool, log, watermark, projection)
            assert comparison.equal, str(comparison)
    assert len(await dead_letters(pool, Parted)) == 1
    waiting = await pool.fetchval("SELECT count(*) FROM dead_letters WHERE type = 'Credited'")
    assert await pool.fetchval("SELECT sum(credits) FROM parted_v1.currencies") == written - waiting


async def test_partitions_are_shared_out_fairly_among_those_who_are_there(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(AsyncExitStack())
        await one.enter_async_context(instance(database, "one"))
        await until_shared_out(pool, one=3)
        await stack.enter_async_context(instance(database, "two"))
        await until_shared_out(pool, one=2, two=1)
        await stack.enter_async_context(instance(database, "three"))
        await until_shared_out(pool, one=1, two=1, three=1)
        await stack.enter_async_context(instance(database, "four"))  # stands by
        await log.append([credited(f"s{i}") for i in range(60)])
        await caught_up(pool, "parted_v1")

        await one.aclose()
        await until_shared_out(pool, two=1, three=1, four=1)
        await log.append([credited(f"s{i}") for i in range(60)])
        await caught_up(pool, "parted_v1")
    await until_shared_out(pool)
    assert await pool.fetchval("SELECT credits FROM parted_v1.currencies") == 120
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize("declared", [[1, 2, 3, 1], [3, 1]])
async def test_another_release_may_declare_other_partitions(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, declared: list[int]
) -> None:
    for count in declared:
        release = type("Parted", (Parted,), {"partitions": count})
        expected = [f"#{i}/{count}" for i in range(count)] if count > 1 else [""]
        async with running(watermark, Runner(pool, log, watermark, [release()])):
            await log.append([credited(f"s{i}") for i in range(60)])
            await until_laid_out(pool, expected)
            await log.append([credited(f"s{i}") for i in range(60)])
            await caught_up(pool, "parted_v1")
        assert (await audit(pool, log, watermark, release())).equal
        if count > 1:  # they stop apart
            await log.append([credited(f"s{i}") for i in range(60)])
            await bring(pool, log, release(), [0])
    assert await pool.fetchval("SELECT count(*) FROM checkpoints") == 1


async def test_while_releases_run_side_by_side_the_one_that_started_last_decides(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    one, two, three = (type("Parted", (Parted,), {"partitions": count})() for count in (1, 2, 3))
    async with running(watermark, Runner(pool, log, watermark, [one])), AsyncExitStack() as stack:
        await until_laid_out(pool, [""])
        await stack.enter_async_context(running(Runner(pool, log, watermark, [two])))
        await until_laid_out(pool, ["#0/2", "#1/2"])
        async with running(Runner(pool, log, watermark, [three])):
            await until_laid_out(pool, ["#0/3", "#1/3", "#2/3"])
            await log.append([credited(f"s{i}") for i in range(60)])
            await caught_up(pool, "parted_v1")
        await log.append([credited(f"s{i}") for i in range(60)])
        await caught_up(pool, "parted_v1")  # whoever is left feeds what there is
        assert await laid_out(pool) == ["#0/3", "#1/3", "#2/3"]
        async with running(Runner(pool, log, watermark, [one])):
            await until_laid_out(pool, [""])
            await log.append([credited(f"s{i}") for i in range(60)])
            await caught_up(pool, "parted_v1")
    assert await pool.fetchval("SELECT credits FROM parted_v1.currencies") == 180


async def test_an_instance_whose_tables_are_others_leaves_the_partitions_to_the_rest(
    database: str, pool: asyncpg.Pool, log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    async with instance(database, "one"):
        await until_shared_out(pool, one=3)
        await pool.execute("UPDATE checkpoints SET fingerprint = 'of another release'")
        await until_shared_out(pool)

        async def said() -> bool:
            return "its tables are not those that Parted declares" in caplog.text

        await eventually(said)


async def test_a_reader_of_its_own_write_waits_for_the_partition_of_its_stream(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    appended = {name: (await log.append([credited(name)])).position for name in ("a", "b", "c", "d", "e", "f")}
    tokens = {name: Token(name, position) for name, position in appended.items()}
    for projection in (Parted(), PartedByCurrency()):
        await Runner(pool, log, watermark, [projection]).create_missing()
        async with pool.acquire() as conn:
            await divide(conn, Generation(projection, log.types), projection.partitions)
        await bring(pool, log, projection, [0])
    fresh, end = Freshness(pool, Parted), max(appended.values())
    shown = await pool.fetchval("SELECT array_agg(account) FROM parted_v1.accounts")
    assert 0 < len(shown) < 6
    assert {name: await fresh.position(token) for name, token in tokens.items()} == {
        name: end if name in shown else 0 for name in tokens
    }
    assert (await fresh.position(), await fresh.lag()) == (0, end)
    assert await Freshness(pool, PartedByCurrency()).position(tokens["a"]) == 0  # a token does not tell its currency

    (found, _) = await status(pool, log)
    assert (found.position, found.furthest, found.lag_events, found.partitions) == (0, end, end, 3)
    await watermark.measure()
    await Measures(pool, watermark, ["parted_v1"]).measure()
    metrics = {name: metric(name) for name in ("partitions", "position", "lag_events")}
    assert metrics == {"partitions": 3, "position": 0, "lag_events": end}

    await bring(pool, log, Parted(), [1, 2])
    assert {await fresh.position(token) for token in tokens.values()} == {end}
    assert (await fresh.position(), await fresh.lag()) == (end, 0)


def test_a_projection_has_at_least_one_partition() -> None:
    with pytest.raises(InvalidProjection, match="expected 1 partition or more, found 0"):
        type("None_", (Parted,), {"partitions": 0})

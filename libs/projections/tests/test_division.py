"""Whatever needs one position of the rows has it while several workers feed them; whoever dies at it does no harm."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from bank_sample import (
    MendedParted,
    Parted,
    PartedByCurrency,
    PartedHighest,
    PartedStatements,
    caught_up,
    credited,
    eventually,
    renamed,
    running,
    stands_still,
)

from eventlog import EventLog, Watermark
from projections import (
    Projection,
    Runner,
    SchemaChanged,
    audit,
    dead_letters,
    discard,
    pause,
    rebuild,
    rebuild_keys,
    resume,
    retry,
    rollback,
)
from projections.batch import NOTHING_HELD, prepare
from projections.division import undivided
from projections.follow import deliver
from projections.generation import Generation
from projections.partitions import Partition, divide

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("worker_process.py")


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.crew.LOOK_SECONDS", 0.05)


@asynccontextmanager
async def fed(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, projection: Projection, mended: Projection | None = None
) -> AsyncIterator[None]:
    """Events keep coming and two instances apply them; in the end the rows are those of the log."""
    stop = asyncio.Event()

    async def write() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            await log.append([credited(f"s{i % 40}", count, currency=f"c{i % 3}") for i in range(count, count + 20)])
            await asyncio.sleep(0.01)

    await log.append([credited(f"s{i}") for i in range(40)])
    runners = [Runner(pool, log, watermark, [projection], batch_events=30) for _ in range(2)]
    async with running(watermark, *runners):
        await until_divided(pool, projection)
        await caught_up(pool, projection.schema)
        writing = asyncio.create_task(write())
        try:
            yield
        finally:
            stop.set()
            await writing
        await caught_up(pool, projection.schema)
    comparison = await audit(pool, log, watermark, mended or projection)
    assert comparison.equal, str(comparison)


async def until_divided(pool: asyncpg.Pool, projection: Projection) -> None:
    async def so() -> bool:
        divided = "SELECT count(*) FROM checkpoints WHERE starts_with(subscription, $1 || '#')"
        return bool(await pool.fetchval(divided, projection.schema) == projection.partitions)

    await eventually(so)


@pytest.mark.parametrize("projection", [Parted(), PartedByCurrency(), PartedHighest()], ids=lambda each: each.name)
async def test_divided_rows_are_rebuilt_compared_and_rolled_back_while_they_are_fed(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, projection: Projection
) -> None:
    async with fed(pool, log, watermark, projection):
        for _ in range(2):
            done = await rebuild(pool, log, watermark, projection, compare=True)
            assert done.comparison is not None
            assert done.comparison.equal, str(done.comparison)
            await until_divided(pool, projection)
        assert (await audit(pool, log, watermark, projection)).equal
        await until_divided(pool, projection)
        await rollback(pool, log, watermark, projection)
        await until_divided(pool, projection)


async def test_parked_keys_of_divided_rows_are_retried_and_discarded_while_they_are_fed(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with fed(pool, log, watermark, Parted(), MendedParted()):
        for key in ("s1", "s2", "s3"):
            await log.append([renamed(key, "boom"), renamed(key, f"{key} after")])

        async def parked() -> bool:
            return len(await dead_letters(pool, Parted)) == 3

        await eventually(parked)
        assert (await retry(pool, log, Parted(), "s1")).error == "RuntimeError: boom"
        assert (await retry(pool, log, MendedParted(), "s1")).error is None
        assert (await discard(pool, log, Parted(), "s2", reason="a test", by="ann")).error is None
        await log.append([renamed("s1", "Ann"), renamed("s2", "Ben")])
    assert [letter.key for letter in await dead_letters(pool, Parted)] == ["s3"]
    titles = await pool.fetch("SELECT account, title FROM parted_v1.accounts WHERE account IN ('s1', 's2', 's3')")
    assert {tuple(row) for row in titles} == {("s1", "Ann"), ("s2", "Ben"), ("s3", "unnamed")}


async def test_single_keys_of_divided_rows_are_rebuilt_while_they_are_fed(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with fed(pool, log, watermark, PartedStatements()):
        await pool.execute("UPDATE parted_statements_v1.accounts SET balance = 0 WHERE account IN ('s1', 's2')")
        await pool.execute("DELETE FROM parted_statements_v1.entries WHERE account = 's1'")
        done = await rebuild_keys(pool, log, watermark, PartedStatements(), ["s1", "s2"])
        assert all(table.differing for table in done.tables)


async def apart(pool: asyncpg.Pool, log: EventLog, poisoned: str) -> int:
    """The rows are divided and the partitions at three positions; those that lag meet an event that fails."""
    live = Generation(Parted(), log.types)
    ends = []
    for title in ("mild", "boom", "mild"):
        events = [credited(f"s{i % 40}", i + 1, currency=f"c{i % 3}") for i in range(80)]
        ends.append((await log.append([*events, renamed(poisoned, title), renamed(f"{poisoned}0", title)])).position)
    async with pool.acquire() as conn:
        await live.ensure(conn)
        for (share, position), end in zip(await divide(conn, live, 3), ends, strict=True):
            partition = Partition(Parted(), log.types, "", share)
            batch = await partition.read(log, position, end)
            await deliver(conn, partition, await prepare(partition, batch, NOTHING_HELD))
    return ends[-1]


async def laid_out(pool: asyncpg.Pool) -> dict[str, int]:
    rows = await pool.fetch(
        """SELECT subscription, position FROM checkpoints
           WHERE subscription ~ '^parted_v1(#|$)' AND position IS NOT NULL"""
    )
    return {row[0]: row[1] for row in rows}


async def killed_after(database: str, step: str) -> None:
    """A rebuild is killed when it has executed the statement with `step` in it, to have the rows undivided."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), database, "unite", "1", step, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(240):
            assert await process.stdout.readline() == b"standing\n", f"it ended before {step}"
    finally:
        process.kill()
        await process.wait()


async def test_a_rebuild_killed_at_any_step_of_undividing_leaves_rows_that_all_go_on_from(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    before_the_commit = [
        "pg_advisory_lock_shared",
        "SET position = m.upto",  # everybody else waits, and a partition that lags is moved
        "UPDATE checkpoints SET position = $2",  # all are at one position, and the partitions' checkpoints gone
    ]
    after_it = ["COMMIT;", "ALTER SCHEMA", "pg_advisory_unlock_shared"]  # inside the swap, and behind it
    for number, step in enumerate([*before_the_commit, *after_it]):
        furthest = await apart(pool, log, f"p{number}")
        former = await laid_out(pool)
        assert len({*former.values()}) == 3
        await killed_after(database, step)
        assert await laid_out(pool) == (former if step in before_the_commit else {"parted_v1": furthest})
        async with running(watermark, Runner(pool, log, watermark, [Parted()])):
            await log.append([credited("s1", 5), credited("s2", 5)])
            await until_divided(pool, Parted())
            await caught_up(pool, "parted_v1")
        assert {letter.key for letter in await dead_letters(pool, Parted)} >= {f"p{number}", f"p{number}0"}
    comparison = await audit(pool, log, watermark, Parted())
    assert comparison.equal, str(comparison)


async def test_rows_stay_fed_but_whole_for_as_long_as_somebody_needs_it(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with fed(pool, log, watermark, Parted()), pool.acquire() as first, pool.acquire() as second:
        live = Generation(Parted(), log.types)
        async with undivided(first, log, live):
            async with undivided(second, log, live):
                position = (await laid_out(pool))["parted_v1"]
            for _ in range(5):
                await asyncio.sleep(0.1)
                assert [*await laid_out(pool)] == ["parted_v1"]

            async def moved() -> bool:
                return (await laid_out(pool))["parted_v1"] > position

            await eventually(moved)
        await until_divided(pool, Parted())


async def test_a_pause_holds_every_partition(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
    async with fed(pool, log, watermark, Parted()):
        await pause(pool, "parted_v1", by="ann")
        await stands_still(lambda: laid_out(pool))
        stood = await laid_out(pool)
        await asyncio.sleep(0.3)
        assert await laid_out(pool) == stood
        await resume(pool, "parted_v1")


async def test_divided_rows_of_another_release_are_not_united_by_handlers_that_do_not_fit(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    class Changed(Parted):
        totals = ()

    await apart(pool, log, "p")
    former = await laid_out(pool)
    with pytest.raises(SchemaChanged, match="divided by a release that declares other tables"):
        await rebuild(pool, log, watermark, Changed())
    assert await laid_out(pool) == former

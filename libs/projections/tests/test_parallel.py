"""A rebuild by several processes gives the rows of a rebuild by one, whichever of them dies."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import asyncpg
import psutil
import pytest
from bank_sample import Balances, ByCurrency, Highest, caught_up, credited, renamed, rows_of, running

from eventlog import EventLog, Watermark
from eventlog.testing import eventually
from projections import (
    InvalidProjection,
    Projection,
    RebuildRunning,
    Rebuilt,
    Runner,
    WorkerFailed,
    dead_letters,
    rebuild,
    throttle,
)
from projections.batch import NOTHING_HELD, prepare, write
from projections.errors import Fenced
from projections.generation import Generation, Suffix
from projections.partitions import Partition, divide, unite

pytestmark = pytest.mark.endurance

EVENTS = 12_000
SLOWLY = 200  # events a second: a worker that has applied its first batch is still there when a test is ready for it
WORKER = Path(__file__).with_name("worker_process.py")


@pytest.fixture(autouse=True)
def worth_it_for_few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.job._PARALLEL_FROM", 1_000)


@pytest.fixture
async def filled(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
    """A log of sixty accounts, two of which are parked: one for its handler, one for its rows."""
    for start in range(0, EVENTS, 2_000):
        events = [credited(f"s{i % 60}", 10**30 + i, currency=f"c{i % 3}") for i in range(start, start + 1_996)]
        twice = [credited("s2", 1, entry="twice") for _ in range(2)]
        await log.append([*events, renamed("s3", f"t{start}"), renamed("s1", "boom" if start else "mild"), *twice])
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await caught_up(pool, "balances_v1")
    assert {letter.key for letter in await dead_letters(pool)} == {"s1", "s2"}


def workers(of: psutil.Process | None = None) -> list[psutil.Process]:
    children = (of or psutil.Process()).children(recursive=True)
    return [child for child in children if "projections.worker" in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    """Its command line; nothing when it has ended."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


async def rebuild_when_free(pool: asyncpg.Pool, log: EventLog, watermark: Watermark, resume: bool) -> Rebuilt:
    """PostgreSQL notices the death of a client only when it next writes to it; until then its lock is held."""
    async with asyncio.timeout(240):
        while True:
            try:
                at_once = {"workers": 3, "events_per_second": 1_000_000}
                return await rebuild(pool, log, watermark, Balances(), compare=True, resume=resume, **at_once)
            except RebuildRunning:
                await asyncio.sleep(0.1)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("projection", [Balances(), Highest(), ByCurrency()], ids=lambda projection: projection.name)
async def test_workers_build_the_rows_that_the_runner_keeps(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, projection: Projection
) -> None:
    async with running(watermark, Runner(pool, log, watermark, [projection])):
        await caught_up(pool, projection.schema)
    done = await rebuild(pool, log, watermark, projection, compare=True, workers=3)
    assert done.comparison is not None
    assert done.comparison.equal, str(done.comparison)
    handled = log.types.names(projection.handlers)
    assert done.events == await pool.fetchval("SELECT count(*) FROM events WHERE type = ANY ($1)", handled)
    assert await pool.fetchval("SELECT count(*) FROM checkpoints WHERE subscription LIKE '%#%'") == 0
    if projection.name == "balances":
        assert {(letter.key, letter.waiting > 0) for letter in await dead_letters(pool, projection)} == {
            ("s1", True),
            ("s2", True),
        }
    assert workers() == []


@pytest.mark.usefixtures("filled")
async def test_a_killed_worker_is_started_again_where_it_was(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture
) -> None:
    rebuilding = asyncio.create_task(
        rebuild(pool, log, watermark, Balances(), compare=True, workers=2, events_per_second=SLOWLY)
    )

    async def two_at_work() -> bool:
        moved = "SELECT count(*) FROM checkpoints WHERE subscription LIKE '%#%' AND position > 0"
        return len(workers()) == 2 and bool(await pool.fetchval(moved))

    await eventually(two_at_work)
    workers()[0].kill()
    await throttle(pool, "balances_v1_new", None)
    done = await rebuilding
    assert done.comparison is not None
    assert done.comparison.equal, str(done.comparison)
    assert "ended with code -9, starting another" in caplog.text


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("resume", [False, True])
async def test_workers_die_with_their_parent_and_what_they_did_can_be_taken_over(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark, resume: bool
) -> None:
    before = await rows_of(pool, Balances)
    command = (sys.executable, str(WORKER), database, "rebuild", "2", "", str(SLOWLY))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(240):
        while not (await process.stdout.readline()).startswith(b"build"):
            pass
    orphans = workers(psutil.Process(process.pid))
    process.kill()
    await process.wait()
    assert orphans
    assert psutil.wait_procs(orphans, timeout=240)[1] == []
    assert await rows_of(pool, Balances) == before
    assert await pool.fetchval("SELECT count(*) FROM checkpoints WHERE subscription LIKE 'balances_v1_new#%/2'") == 2
    done = await rebuild_when_free(pool, log, watermark, resume)
    assert done.comparison is not None
    assert done.comparison.equal, str(done.comparison)
    assert await rows_of(pool, Balances, "_old") == before == await rows_of(pool, Balances)


async def test_a_worker_that_outlives_its_run_is_fenced(pool: asyncpg.Pool, log: EventLog) -> None:
    end = (await log.append([credited(f"s{i}") for i in range(20)])).position
    new = Generation(Balances(), log.types, Suffix.NEW)
    async with pool.acquire() as conn:
        await new.ensure(conn)
        shares = await divide(conn, new, 2, "first")
        assert await divide(conn, new, 5, "second") == shares  # taken over as they are

        async def feed(run: str) -> None:
            for share, _ in shares:
                partition = Partition(Balances(), log.types, Suffix.NEW, share, run)
                batch = await partition.read(log, 0, end, 100)
                await write(conn, partition, await prepare(partition, batch, NOTHING_HELD))

        with pytest.raises(Fenced, match=r"balances_v1_new#0/2"):
            await feed("first")
        with pytest.raises(Fenced, match=f"expected all partitions at {end}"):
            await unite(conn, new, end, "second")
        await feed("second")
        with pytest.raises(Fenced):
            await unite(conn, new, end, "first")
        await unite(conn, new, end, "second")
        assert await new.position(conn) == end
    assert await pool.fetchval("SELECT credits FROM balances_v1_new.currencies") == 20


@pytest.mark.usefixtures("filled")
async def test_a_worker_that_fails_says_why_and_its_work_is_kept(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    known = {row["pid"] for row in await pool.fetch("SELECT pid FROM pg_stat_activity")}
    sessions = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> ALL ($1)"
    rebuilding = asyncio.create_task(
        rebuild(
            pool, log, watermark, Balances(), workers=2, events_per_second=SLOWLY, on_progress=lambda _: begun.set()
        )
    )
    begun = asyncio.Event()
    await begun.wait()
    mine = {row["pid"] for row in await pool.fetch("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")}
    await pool.fetch(f"SELECT pg_terminate_backend(pid) {sessions}", list(known | mine))
    with pytest.raises(WorkerFailed, match=r"balances_v1_new: worker \d: \w+"):
        await rebuilding
    assert workers() == []
    at_once = {"compare": True, "resume": True, "events_per_second": 1_000_000}
    done = await rebuild(pool, log, watermark, Balances(), **at_once)
    assert done.comparison is not None
    assert done.comparison.equal, str(done.comparison)
    assert done.events < EVENTS


@pytest.mark.usefixtures("filled")
async def test_a_projection_that_workers_cannot_import_is_refused(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    class Local(Balances):
        pass

    with pytest.raises(InvalidProjection, match="Local: its class, events and upcasters must be importable by name"):
        await rebuild(pool, log, watermark, Local(), workers=2)

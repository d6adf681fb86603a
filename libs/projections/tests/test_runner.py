"""The live runner: fresh, exactly once, and stopped by nothing but its database."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
import sqlalchemy as sa
from bank_sample import (
    NOW,
    Balances,
    Highest,
    Ignored,
    accounts,
    caught_up,
    credited,
    cut_pool,
    eventually,
    renamed,
    rows_of,
    running,
)
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import create_async_engine

from eventlog import EventLog, NewEvent, Watermark
from projections import InvalidProjection, Projection, Runner, SchemaChanged, on
from projections.measures import Measures


async def test_rows_follow_the_log_with_totals_across_streams(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with running(watermark, Runner(pool, log, watermark, [Balances(), Highest()])):
        await log.append([credited("a", 2**255), credited("b", 5), renamed("a", "Ann")])
        await log.append([credited("a", 3, currency="TRX"), NewEvent("c", Ignored(), NOW)])
        await caught_up(pool, "balances_v1", "highest_v1")
    table = Balances.live(accounts)
    rows = await pool.fetch(str(sa.select(table.c.account, table.c.title, table.c.balance).order_by(table.c.account)))
    assert [tuple(row) for row in rows] == [("a", "Ann", 2**255 + 3), ("b", "unnamed", 5)]
    assert await pool.fetchrow("SELECT * FROM balances_v1.currencies") == ("TRX", 2**255 + 8, 3)
    assert [row[:2] for row in await pool.fetch("SELECT * FROM highest_v1.highest ORDER BY 1")] == [
        ("a", 2**255),
        ("b", 5),
    ]


async def test_queries_are_plain_sqlalchemy_and_amounts_are_integers(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with running(watermark, Runner(pool, log, watermark, [Balances()])):
        await log.append([credited("a", 2**255), credited("b", 5)])
        await caught_up(pool, "balances_v1")
    table = Balances.live(accounts)
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.connect() as conn:
        query = sa.select(table.c.account, table.c.balance).where(table.c.balance > 2**254)
        (row,) = (await conn.execute(query)).all()
    await engine.dispose()
    assert tuple(row) == ("a", 2**255)
    assert type(row.balance) is int


async def test_lag_and_throughput_are_measured(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
    def metric(name: str) -> float:
        return REGISTRY.get_sample_value(f"annals_projection_{name}", {"projection": "highest_v1"}) or 0.0

    events, batches = metric("events_total"), metric("batch_seconds_count")
    await log.append([credited("a") for _ in range(30)])

    async def all_counted() -> bool:  # which is after they can be seen
        return metric("events_total") - events >= 30

    async with running(watermark, Runner(pool, log, watermark, [Highest()], batch_events=10)):
        await eventually(all_counted)
    assert metric("events_total") - events == 30
    assert metric("batch_seconds_count") - batches == 3


async def test_lag_dead_letters_and_a_rebuild_elsewhere_are_measured_while_nothing_moves(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    def metric(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"annals_{name}", {"projection": "highest_v1"})

    await Runner(pool, log, watermark, [Highest()]).create_missing()
    await log.append([credited("a") for _ in range(30)])
    horizon = await watermark.measure()
    measures = Measures(pool, watermark, ["highest_v1"])
    await pool.execute(
        """INSERT INTO dead_letters (subscription, position, key, event_id, type, attempts)
           SELECT 'highest_v1', n, 'a', gen_random_uuid(), 'Credited', 1 FROM generate_series(1, 2) AS n"""
    )
    await measures.measure()
    assert (metric("projection_lag_events"), metric("projection_position")) == (horizon, 0)
    assert (metric("projection_lag_seconds") or 0) > 0
    assert metric("projection_dead_letters") == 2
    assert metric("rebuild_position") is None

    checkpoints = [("highest_v1_new", None), ("highest_v1_new#0/2", 20), ("highest_v1_new#1/2", 10)]
    await pool.executemany(
        "INSERT INTO checkpoints (subscription, position, fingerprint) VALUES ($1, $2, '')", checkpoints
    )
    await pool.execute("UPDATE checkpoints SET position = $1 WHERE subscription = 'highest_v1'", horizon)
    await measures.measure()
    assert (metric("projection_lag_events"), metric("projection_lag_seconds")) == (0, 0)
    assert (metric("rebuild_position"), metric("rebuild_target_position")) == (10, horizon)

    await pool.execute("DELETE FROM checkpoints WHERE subscription <> 'highest_v1'")
    await measures.measure()
    assert metric("rebuild_position") is None


@pytest.mark.endurance
async def test_any_size_of_batch_gives_the_same_rows(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
    events = [credited(f"s{i % 17}", i % 100 + 1) for i in range(500)] + [renamed(f"s{i}", f"n{i}") for i in range(30)]
    await log.append(events)
    contents = []
    for size in (1, 7, 500, 5000):
        await pool.execute("DROP SCHEMA IF EXISTS balances_v1, highest_v1 CASCADE")
        await pool.execute("TRUNCATE checkpoints")
        async with running(watermark, Runner(pool, log, watermark, [Balances(), Highest()], batch_events=size)):
            await caught_up(pool, "balances_v1", "highest_v1")
        contents.append((await rows_of(pool, Balances), await rows_of(pool, Highest)))
    assert all(content == contents[0] for content in contents)


async def test_one_read_of_the_log_feeds_all_projections(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    reads = 0

    class Counting(EventLog):
        async def read(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal reads
            reads += 1
            return await super().read(*args, **kwargs)

    await log.append([credited("a") for _ in range(50)])
    await watermark.measure()
    counting = Counting(pool, log.types)
    async with running(watermark, Runner(pool, counting, watermark, [Balances(), Highest()], batch_events=10)):
        await caught_up(pool, "balances_v1", "highest_v1")
    assert reads == 5  # one of each batch: the feed remembers as many


async def test_two_runners_at_once_apply_each_event_once(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    runners = [Runner(pool, log, watermark, [Balances()], batch_events=3) for _ in range(2)]
    async with running(watermark, *runners):
        for _ in range(40):
            await log.append([credited("a"), credited("b")])
            await asyncio.sleep(0.005)
        await caught_up(pool, "balances_v1")
    assert await pool.fetchrow("SELECT * FROM balances_v1.currencies") == ("TRX", 80, 80)


async def test_a_lost_connection_is_retried_and_parks_nothing(
    database: str, pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    settings = {"application_name": "victim"}
    async with cut_pool(database, server_settings=settings) as victims:
        runner = Runner(victims, EventLog(victims, log.types), watermark, [Balances()], batch_events=5)
        async with running(watermark, runner):
            for _ in range(20):
                await log.append([credited("a") for _ in range(5)])
                await asyncio.sleep(0.005)
                await pool.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name = 'victim'"""
                )
            await caught_up(pool, "balances_v1")
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await pool.fetchrow("SELECT * FROM balances_v1.currencies") == ("TRX", 100, 100)


async def test_a_missing_table_is_no_events_fault(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner(pool, log, watermark, [Balances()])
    async with running(watermark, runner):
        await log.append([credited("a")])
        await caught_up(pool, "balances_v1")
        await pool.execute("ALTER TABLE balances_v1.entries RENAME TO elsewhere")
        await log.append([credited("a")])
        async with asyncio.timeout(240):
            while "trying again" not in caplog.text:  # noqa: ASYNC110 - the log has no event to wait for
                await asyncio.sleep(0.02)
        await pool.execute("ALTER TABLE balances_v1.elsewhere RENAME TO entries")
        await caught_up(pool, "balances_v1")
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await pool.fetchval("SELECT balance FROM balances_v1.accounts") == 2


async def test_changed_tables_under_the_same_version_are_refused(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    await Runner(pool, log, watermark, [Balances()]).create_missing()

    class Changed(Balances):
        totals = ()

    with pytest.raises(SchemaChanged, match="raise the projection's version"):
        await Runner(pool, log, watermark, [Changed()]).run()


def _projection(*columns: sa.schema.SchemaItem, **attributes: object) -> type[Projection]:
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), *columns)
    return type("Bad", (Projection,), {"name": "bad", "tables": (table,), **attributes})


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([sa.Column("n", sa.Numeric)], "without loss"),
        ([sa.Column("n", sa.DateTime)], "without loss"),
        ([sa.Column("n", sa.JSON)], "without loss"),
        ([sa.Column("n", sa.Text, server_default="x")], "the server would choose"),
        ([sa.Column("n", sa.Text, default=lambda: "x")], "constant"),
        ([sa.Column("n", sa.Text, unique=True)], "batches end"),
        ([sa.Column("n", sa.Text), sa.Index("u", "n", unique=True)], "batches end"),
        ([sa.Column("n", sa.BigInteger), sa.CheckConstraint("n > 0")], "batches end"),
        ([sa.Column("n", sa.Text, sa.ForeignKey("t.id"))], "batches end"),
    ],
)
def test_what_could_not_be_replayed_is_refused_when_it_is_declared(items: list[sa.Column], message: str) -> None:
    with pytest.raises(InvalidProjection, match=message):
        _projection(*items)


@pytest.mark.parametrize("name", ["Bad", "a_v2", "pg_x", "x" * 41, "a-b"])
def test_a_name_that_cannot_be_a_schema_is_refused(name: str) -> None:
    with pytest.raises(InvalidProjection, match="cannot name a schema"):
        _projection(name=name)


def test_a_handler_must_not_be_async() -> None:
    @on(Ignored)
    async def handler(self, event, recorded, rows):  # type: ignore[no-untyped-def]
        raise AssertionError

    with pytest.raises(InvalidProjection, match="must not be async"):
        _projection(handler=handler)


def test_totals_have_exact_numbers_only() -> None:
    key = sa.Column("id", sa.Text, primary_key=True)
    table = sa.Table("t", sa.MetaData(), key, sa.Column("n", sa.Text))
    with pytest.raises(InvalidProjection, match="exact numbers"):
        _projection(totals=(table,), tables=())

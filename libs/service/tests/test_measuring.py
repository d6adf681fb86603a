"""What a process measures by itself, of real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from prometheus_client import REGISTRY
from tiny.app import TinySettings

from eventlog.testing import eventually
from service.health import Check, Health
from service.kafka import kafka_check
from service.measuring import keep_measuring, measure_database


def value(metric: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(metric, labels)


async def test_a_database_is_measured_with_its_server_and_each_of_its_tables(pool: asyncpg.Pool) -> None:
    await pool.execute("CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes SELECT generate_series(1, 1000)")
    await pool.execute("ANALYZE notes")
    async with pool.acquire() as writer, writer.transaction():
        await writer.execute("SELECT 1")
        await measure_database(pool)
    assert (value("annals_database_bytes") or 0) > 1_000_000
    assert 2 <= (value("annals_database_connections") or 0) <= (value("annals_database_connections_limit") or 0)
    assert (value("annals_database_oldest_transaction_seconds") or 0) > 0
    assert (value("annals_database_blocks", source="cache") or 0) > 0
    assert (value("annals_database_age_transactions") or 0) > 0
    assert (value("annals_table_bytes", table="public.notes", part="rows") or 0) >= 4 * 8192
    assert (value("annals_table_bytes", table="public.notes", part="indexes") or 0) >= 4 * 8192


async def test_a_table_that_is_gone_is_not_told_of(pool: asyncpg.Pool) -> None:
    await pool.execute("CREATE TABLE passing (id int)")
    await measure_database(pool)
    assert value("annals_table_bytes", table="public.passing", part="rows") is not None
    await pool.execute("DROP TABLE passing")
    await measure_database(pool)
    assert value("annals_table_bytes", table="public.passing", part="rows") is None


async def test_a_slot_says_how_much_of_the_log_is_kept_for_it(pool: asyncpg.Pool) -> None:
    await pool.execute("SELECT pg_create_physical_replication_slot('measured', true)")
    try:
        await pool.execute("CREATE TABLE written AS SELECT generate_series(1, 10000)")
        await measure_database(pool)
        assert (value("annals_database_slot_bytes", slot="measured") or 0) > 100_000
    finally:
        await pool.execute("SELECT pg_drop_replication_slot('measured')")


async def test_kafka_is_measured_by_the_check_that_asks_it(
    kafka: str, create_topic: Callable[..., Awaitable[str]]
) -> None:
    topic = await create_topic("measured.events", partitions=3)
    settings = TinySettings(kafka_bootstrap=kafka)
    assert await kafka_check(settings, [topic]).probe() == "1 brokers"
    assert value("annals_kafka_brokers") == 1
    states = {
        state: value("annals_kafka_partitions", state=state) for state in ("all", "leaderless", "under-replicated")
    }
    assert [value("annals_kafka_partitions", state=state) for state in states] == [3, 0, 0]


async def test_readiness_is_true_in_the_metrics_although_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.measuring.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("service.health._CACHE_SECONDS", 0)
    away = True

    async def probe() -> str:
        if away:
            raise ConnectionError("the server is away")
        return "fine"

    async def measure() -> None:
        await probe()

    async def told(expected: float) -> bool:
        return value("annals_ready") == value("annals_check_passed", check="server") == expected

    measuring = asyncio.create_task(keep_measuring([measure], Health("shop", "1", [Check("server", probe)])))
    await eventually(lambda: told(0))
    away = False
    await eventually(lambda: told(1))
    measuring.cancel()
    await asyncio.wait({measuring})


async def test_a_measure_with_a_mistake_ends_the_process_as_a_worker_does() -> None:
    async def mistaken() -> None:
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column"):
        await keep_measuring([mistaken], Health("shop", "1", []))

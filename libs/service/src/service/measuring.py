"""What a process measures by itself, whether or not anybody asks: its database, and what services add as `measures`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NoReturn

import asyncpg

from service import metrics
from service.database import is_not_made, is_transient
from service.health import Health
from service.logs import get_logger

LOOK_SECONDS = 15.0
log = get_logger("service.measuring")

Measure = Callable[[], Awaitable[None]]
"""Asks something, and sets metrics by the answer."""


async def keep_measuring(measures: Sequence[Measure], health: Health) -> NoReturn:
    """Runs all `measures`, then the checks of `health`, again and again; what is away is measured when it is back."""
    while True:
        for measure in measures:
            try:
                await measure()
            except Exception as error:
                if not (is_transient(error) or is_not_made(error)):
                    raise
                say = log.info if is_not_made(error) else log.warning  # read models are made as the process starts
                say("not measured for now", reason=f"{type(error).__name__}: {error}")
        await asyncio.sleep(LOOK_SECONDS)
        await health.ready()  # whose metrics are to be true although nobody asks /ready


# Any role may see all of it but the transactions of other roles, and none of it waits for a lock of ours.
_DATABASE = """
    SELECT pg_database_size(d.oid) AS bytes, age(d.datfrozenxid) AS age, s.*,
           current_setting('max_connections')::int AS connections_limit,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8
            FROM pg_stat_activity AS a WHERE a.datid = d.oid AND a.pid <> pg_backend_pid()) AS oldest_seconds
    FROM pg_database AS d JOIN pg_stat_database AS s ON s.datid = d.oid WHERE d.datname = current_database()"""
_SLOTS = """
    SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 AS bytes
    FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND NOT pg_is_in_recovery()"""
_TABLES = """
    SELECT schemaname || '.' || s.relname AS name, c.relpages * current_setting('block_size')::float8 AS bytes,
           (SELECT coalesce(sum(i.relpages), 0) * current_setting('block_size')::float8
            FROM pg_index JOIN pg_class AS i ON i.oid = indexrelid WHERE indrelid = relid) AS index_bytes,
           n_live_tup, n_dead_tup, coalesce(seq_scan, 0) AS seq_scan, coalesce(idx_scan, 0) AS idx_scan
    FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = relid"""


async def measure_database(pool: asyncpg.Pool) -> None:
    """Sets the metrics of the database of `pool`, its server and its tables."""
    async with pool.acquire(timeout=LOOK_SECONDS) as connection:
        database, slots, tables = [await connection.fetch(query) for query in (_DATABASE, _SLOTS, _TABLES)]
    _show_database(database[0])
    metrics.SLOT_BYTES.clear()  # a slot that was dropped holds nothing
    for slot in slots:
        metrics.SLOT_BYTES.labels(slot["slot_name"]).set(slot["bytes"])
    _show_tables(tables)


def _show_database(row: asyncpg.Record) -> None:
    metrics.DATABASE_BYTES.set(row["bytes"])
    metrics.DATABASE_AGE.set(row["age"])
    metrics.DATABASE_CONNECTIONS.set(row["connections"])
    metrics.DATABASE_CONNECTIONS_LIMIT.set(row["connections_limit"])
    metrics.DATABASE_OLDEST_SECONDS.set(row["oldest_seconds"])
    metrics.DATABASE_DEADLOCKS.set(row["deadlocks"])
    metrics.DATABASE_BLOCKS.labels("cache").set(row["blks_hit"])
    metrics.DATABASE_BLOCKS.labels("disk").set(row["blks_read"])
    metrics.DATABASE_TRANSACTIONS.labels("committed").set(row["xact_commit"])
    metrics.DATABASE_TRANSACTIONS.labels("rolled-back").set(row["xact_rollback"])


def _show_tables(rows: Iterable[asyncpg.Record]) -> None:
    for metric in (metrics.TABLE_BYTES, metrics.TABLE_ROWS, metrics.TABLE_SCANS):
        metric.clear()  # generations of read models come and go
    for row in rows:
        metrics.TABLE_BYTES.labels(row["name"], "rows").set(row["bytes"])
        metrics.TABLE_BYTES.labels(row["name"], "indexes").set(row["index_bytes"])
        metrics.TABLE_ROWS.labels(row["name"], "live").set(row["n_live_tup"])
        metrics.TABLE_ROWS.labels(row["name"], "dead").set(row["n_dead_tup"])
        metrics.TABLE_SCANS.labels(row["name"], "index").set(row["idx_scan"])
        metrics.TABLE_SCANS.labels(row["name"], "sequential").set(row["seq_scan"])

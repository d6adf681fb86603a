"""Comparing two generations row by row, inside PostgreSQL: hashes of buckets first, then the rows that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import asyncpg
import sqlalchemy as sa

from projections.columns import quote
from projections.generation import LONG_SECONDS

_BUCKETS = 1024
_BUCKETS_SHOWN = 32
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that differs, as text; None where there is no such row."""

    key: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True)
class TableComparison:
    """How the rows of one table compare."""

    table: str
    first_rows: int
    second_rows: int
    differing: int
    """Rows found different, missing or surplus: all of them, or at least so many if most of the table differs."""
    first_hash: str
    """Of all its rows, whatever their order: equal contents have equal hashes."""
    second_hash: str
    examples: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two generations compare, at the same position of the log."""

    first: str
    second: str
    tables: tuple[TableComparison, ...]
    position: int | None = None
    parked_keys: int = 0
    """Keys with an event that was put aside: their rows are compared as of the event before it."""

    @property
    def equal(self) -> bool:
        return not any(table.differing for table in self.tables)

    def __str__(self) -> str:
        lines = [f"{self.first} and {self.second}" + (f" at {self.position}" if self.position is not None else "")]
        if self.parked_keys:
            lines[0] += f", {self.parked_keys} keys up to where they are parked"
        for table in self.tables:
            verdict = f"{table.differing} differ" if table.differing else "equal"
            rows = f"{table.first_rows} and {table.second_rows} rows"
            lines.append(f"  {table.table}: {rows}, hashes {table.first_hash} and {table.second_hash}: {verdict}")
            for example in table.examples:
                lines.append(f"    {example.key}: {example.first or 'no row'} | {example.second or 'no row'}")
        return "\n".join(lines)


async def compare(pool: asyncpg.Pool, first: str, second: str, tables: Iterable[sa.Table]) -> Comparison:
    """Compare `tables` in two schemas as one snapshot shows them; both should stand at the same position."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        return await compare_on(conn, first, conn, second, tables)


async def compare_on(
    first_conn: asyncpg.Connection,
    first: str,
    second_conn: asyncpg.Connection,
    second: str,
    tables: Iterable[sa.Table],
    position: int | None = None,
) -> Comparison:
    """As `compare`, each schema as its connection's transaction sees it."""
    for conn in (first_conn, second_conn):
        await conn.execute("SET LOCAL statement_timeout = 0; SET LOCAL TimeZone = 'UTC'")
    compared = [await _compare(first_conn, first, second_conn, second, table) for table in tables]
    return Comparison(first, second, tuple(compared), position)


async def _compare(
    first_conn: asyncpg.Connection, first: str, second_conn: asyncpg.Connection, second: str, table: sa.Table
) -> TableComparison:
    ours, theirs = await _hashes(first_conn, first, table), await _hashes(second_conn, second, table)
    counts = sum(count for count, _ in ours.values()), sum(count for count, _ in theirs.values())
    hashes = _hash_of(ours), _hash_of(theirs)
    suspects = sorted(bucket for bucket in ours.keys() | theirs.keys() if ours.get(bucket) != theirs.get(bucket))
    if not suspects:
        return TableComparison(table.name, *counts, 0, *hashes)
    shown = suspects[:_BUCKETS_SHOWN]
    our_rows, their_rows = await _rows(first_conn, first, table, shown), await _rows(second_conn, second, table, shown)
    differences = [
        Difference(key, our_rows.get(key), their_rows.get(key))
        for key in sorted(our_rows.keys() | their_rows.keys())
        if our_rows.get(key) != their_rows.get(key)
    ]
    differing = len(differences) + len(suspects) - len(shown)  # at least one in each bucket not looked at
    return TableComparison(table.name, *counts, differing, *hashes, tuple(differences[:_EXAMPLES]))


def _hash_of(buckets: Mapping[int, tuple[int, int]]) -> str:
    return f"{sum(hashes for _, hashes in buckets.values()) % 2**64:016x}"


def key_text(table: sa.Table) -> str:
    """The primary key of row `t` as one text."""
    return f"ROW({', '.join(f't.{quote(column.name)}' for column in table.primary_key.columns)})::text"


async def _hashes(conn: asyncpg.Connection, schema: str, table: sa.Table) -> dict[int, tuple[int, int]]:
    """Number of rows and sum of their hashes, by bucket of the key's hash."""
    sql = f"""SELECT (hashtextextended({key_text(table)}, 0) & {_BUCKETS - 1})::integer AS bucket, count(*),
                     sum(hashtextextended(({row_text(table)})::text, 1)::numeric)
              FROM {quote(schema)}.{quote(table.name)} AS t GROUP BY 1"""  # noqa: S608 - quoted identifiers
    rows = await conn.fetch(sql, timeout=LONG_SECONDS)
    return {row[0]: (row[1], int(row[2])) for row in rows}


async def _rows(conn: asyncpg.Connection, schema: str, table: sa.Table, buckets: list[int]) -> dict[str, str]:
    """The rows of some buckets as text, by key."""
    sql = f"""SELECT {key_text(table)}, ({row_text(table)})::text FROM {quote(schema)}.{quote(table.name)} AS t
              WHERE hashtextextended({key_text(table)}, 0) & {_BUCKETS - 1} = ANY ($1::bigint[])"""  # noqa: S608 - quoted identifiers
    return {row[0]: row[1] for row in await conn.fetch(sql, buckets, timeout=LONG_SECONDS)}


def row_text(table: sa.Table) -> str:
    """All columns of row `t` as a record."""
    return f"ROW({', '.join(f't.{quote(column.name)}' for column in table.columns)})"

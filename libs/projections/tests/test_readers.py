"""A reader sees the rows of those whom its session may see, and changes nothing; who feeds the rows sees all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from bank_sample import Balances, accounts, caught_up, credited, entries, renamed, rows_of, running

from eventlog import EventLog, Watermark
from projections import (
    InvalidProjection,
    Projection,
    Runner,
    SchemaChanged,
    as_of,
    audit,
    drop_as_of,
    drop_old,
    read_by,
    rebuild,
    rollback,
    see,
)

READER = "annals_test_reader"


class Private(Balances):
    """Accounts are their holders' own; what is in a currency is everybody's business."""

    about = {accounts: "account"}  # noqa: RUF012 - a ClassVar of the base
    personal = {entries: "account"}  # noqa: RUF012 - a ClassVar of the base


@pytest.fixture
async def reader(pool: asyncpg.Pool, log: EventLog, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as a role that was made a reader before there were any rows."""
    await pool.execute(
        f"""DO $$ BEGIN CREATE ROLE {READER}; EXCEPTION WHEN duplicate_object THEN NULL; END $$; {read_by(READER)}"""
    )
    connection = await asyncpg.connect(database, server_settings={"role": READER})
    yield connection
    await connection.close()


@asynccontextmanager
async def bank(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> AsyncIterator[None]:
    """Ada's and Eve's accounts, fed meanwhile."""
    await log.append([credited("ada", 5), credited("eve", 7), renamed("eve", "it's {mine}"), credited("ada", 1)])
    async with running(watermark, Runner(pool, log, watermark, [Private()])):
        await caught_up(pool, Private.schema)
        yield


async def seen(
    reader: asyncpg.Connection, subjects: Sequence[str] | None, schema: str = Private.schema
) -> list[list[str]]:
    """Whose rows of each table about somebody a session sees."""
    await see(reader, subjects)
    return [
        [row["account"] for row in await reader.fetch(f"SELECT DISTINCT account FROM {schema}.{table} ORDER BY 1")]
        for table in (accounts, entries)
    ]


async def test_a_session_sees_nobody_until_it_is_told_whom(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, reader: asyncpg.Connection
) -> None:
    async with bank(pool, log, watermark):
        assert await reader.fetch(f"SELECT * FROM {Private.schema}.accounts") == []
        assert await seen(reader, []) == [[], []]
        assert await seen(reader, ["ada"]) == [["ada"], ["ada"]]
        assert await seen(reader, ["eve", "it's {mine}", 'a,"b"', "NULL", ""]) == [["eve"], ["eve"]]
        assert await seen(reader, None) == [["ada", "eve"], ["ada", "eve"]]
        assert await seen(reader, ["true"]) == [[], []]
        assert await reader.fetchval(f"SELECT sum(amount) FROM {Private.schema}.currencies") == 13


async def test_a_reader_changes_nothing_and_sees_no_log(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, reader: asyncpg.Connection
) -> None:
    async with bank(pool, log, watermark):
        await see(reader, None)
        for forbidden in (
            f"INSERT INTO {Private.schema}.currencies VALUES ('x', 1, 1)",
            f"UPDATE {Private.schema}.accounts SET balance = 0",
            f"DELETE FROM {Private.schema}.entries",
            f"TRUNCATE {Private.schema}.currencies",
            f"CREATE TABLE {Private.schema}.mine (n int)",
            f"DROP POLICY whose ON {Private.schema}.accounts",
            f"ALTER TABLE {Private.schema}.accounts DISABLE ROW LEVEL SECURITY",
            "SELECT * FROM events",
            "UPDATE checkpoints SET position = 0",
            f"INSERT INTO readers VALUES ('{READER}')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(forbidden)


async def test_rows_keep_their_walls_when_they_are_rebuilt_rolled_back_or_replayed(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, reader: asyncpg.Connection
) -> None:
    walls = [["ada"], ["ada"]]
    async with bank(pool, log, watermark):
        before = await rows_of(pool, Private)
        assert (await audit(pool, log, watermark, Private())).equal
        await rebuild(pool, log, watermark, Private())
        assert await seen(reader, ["ada"]) == walls
        await rollback(pool, log, watermark, Private())
        assert await seen(reader, ["ada"]) == walls
        await drop_old(pool, log, Private())
        replayed = await as_of(pool, log, watermark, Private(), position=4)
        assert await seen(reader, ["ada"], replayed.schema) == walls
        await drop_as_of(pool, log, Private())
        assert await rows_of(pool, Private) == before


async def test_a_change_of_whose_rows_they_are_is_a_change_of_the_tables(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark
) -> None:
    async with bank(pool, log, watermark):
        with pytest.raises(SchemaChanged):
            await Runner(pool, log, watermark, [Balances()]).create_missing()


async def test_a_row_that_names_two_is_seen_by_either(
    pool: asyncpg.Pool, log: EventLog, watermark: Watermark, reader: asyncpg.Connection
) -> None:
    class Joint(Balances):
        name = "joint"
        about = {accounts: ("account", "title")}  # noqa: RUF012 - a ClassVar of the base

    await log.append([credited("ada", 5), credited("eve", 7), renamed("eve", "tim")])
    async with running(watermark, Runner(pool, log, watermark, [Joint()])):
        await caught_up(pool, Joint.schema)
    for subject, expected in (("ada", ["ada"]), ("eve", ["eve"]), ("tim", ["eve"]), ("bob", [])):
        await see(reader, [subject])
        found = await reader.fetch(f"SELECT account FROM {Joint.schema}.accounts")
        assert [row["account"] for row in found] == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {accounts: "holder"},
        {accounts: ("account", "holder")},
        {accounts: ()},
        {sa.Table("others", sa.MetaData()): "account"},
    ],
)
def test_whose_rows_they_are_is_told_by_a_column_of_the_tables(wrong: dict[sa.Table, Any]) -> None:
    with pytest.raises(InvalidProjection, match="is no column of its tables"):
        type("Wrong", (Projection,), {"name": "wrong", "tables": (accounts,), "about": wrong})

"""What counts as passing, and how readiness is asked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
import sqlalchemy
from pydantic import SecretStr
from tiny.app import TinySettings

from service import Check, connect_pool, connect_queries, find_migrations, is_transient, migrate
from service.health import CHECK_SECONDS_LIMIT, Health, lag_check, queries_check


async def test_a_lag_above_the_limit_is_not_ready() -> None:
    behind = 10

    async def lag() -> int:
        return behind

    health = Health("shop", "1", [lag_check("totals", lag, limit=10)])
    assert (await health.ready()).checks["lag:totals"].detail == "10 events behind"
    behind = 11
    found = await health.ready(fresh=True)
    assert not found.ready
    assert "11 events behind, expected at most 10" in found.checks["lag:totals"].detail


async def test_a_check_that_hangs_or_fails_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs() -> str:
        await asyncio.sleep(60)
        return "never"

    async def fails() -> str:
        raise RuntimeError("no postgresql://a:hunter2@b/c")

    async def passes() -> str:
        return "fine"

    monkeypatch.setattr("service.health.CHECK_SECONDS_LIMIT", 0.05)
    found = await Health("shop", "1", [Check("a", hangs), Check("b", fails), Check("c", passes)]).ready()
    assert [(name, result.ok) for name, result in found.checks.items()] == [("a", False), ("b", False), ("c", True)]
    assert found.checks["a"].detail == "no answer within 0.05 s"
    assert "hunter2" not in found.checks["b"].detail


async def test_a_check_that_is_not_vital_is_shown_and_leaves_the_service_ready() -> None:
    async def fails() -> str:
        raise RuntimeError("a person has to act")

    found = await Health("shop", "1", [Check("a", fails, vital=False)]).ready()
    assert (found.ready, found.checks["a"].ok, found.checks["a"].vital) == (True, False, False)


async def test_many_probes_at_once_ask_once_however_long_the_answer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, now = 0, 100.0
    monkeypatch.setattr("service.health.monotonic", lambda: now)

    async def probe() -> str:
        nonlocal asked, now
        asked += 1
        await asyncio.sleep(0.01)
        now += CHECK_SECONDS_LIMIT
        return "fine"

    health = Health("shop", "1", [Check("a", probe)])
    await asyncio.gather(*(health.ready() for _ in range(50)))
    assert asked == 1


def test_checks_have_distinct_names() -> None:
    async def probe() -> str:
        return "fine"

    with pytest.raises(ValueError, match="distinct"):
        Health("shop", "1", [Check("a", probe), Check("a", probe)])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.DeadlockDetectedError(), True),
        (asyncpg.SerializationError(), True),
        (asyncpg.TooManyConnectionsError(), True),
        (asyncpg.AdminShutdownError(), True),
        (asyncpg.CannotConnectNowError(), True),
        (asyncpg.QueryCanceledError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("cannot call execute(): connection has been released back to the pool"), True),
        (asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"), True),
        (ExceptionGroup("both", [TimeoutError(), ConnectionResetError()]), True),
        (ExceptionGroup("one", [TimeoutError(), KeyError()]), False),
        (asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"), False),
        (asyncpg.UndefinedTableError(), False),
        (asyncpg.UniqueViolationError(), False),
        (asyncpg.InvalidPasswordError(), False),
        (json.JSONDecodeError("x", "y", 0), False),
        (KeyError("x"), False),
    ],
)
def test_what_passes_is_told_from_what_does_not(error: BaseException, expected: bool) -> None:
    assert is_transient(error) is expected


async def test_a_real_statement_timeout_is_transient_and_a_real_mistake_is_not_in_either_pool(database: str) -> None:
    await migrate("tiny", find_migrations("tiny"), database)
    async with connect_pool(TinySettings(database_url=SecretStr(database))) as pool:
        await pool.execute("ALTER ROLE tiny_query LOGIN PASSWORD 'tiny'")
    own = re.sub("//.*@", "//tiny_query:tiny@", database)  # nobody may end a superuser's connection
    settings = TinySettings(database_url=SecretStr(database), query_database_url=SecretStr(own), statement_seconds=0.05)
    queries = connect_queries(settings)

    async def by_pool(sql: str) -> None:
        async with connect_pool(settings) as pool:
            await pool.execute(sql)

    async def by_engine(sql: str) -> None:
        async with queries.connect() as connection:
            await connection.execute(sqlalchemy.text(sql))

    async def error_of(run: Callable[[str], Awaitable[None]], sql: str) -> BaseException:
        try:
            await run(sql)
        except (asyncpg.PostgresError, sqlalchemy.exc.DBAPIError) as error:
            return error
        raise AssertionError(f"no error: {sql}")

    for run in (by_pool, by_engine):
        assert is_transient(await error_of(run, "SELECT pg_sleep(5)"))
        assert not is_transient(await error_of(run, "SELECT nonsense"))
        assert is_transient(await error_of(run, "SELECT pg_terminate_backend(pg_backend_pid())"))
    await queries.dispose()


async def test_a_service_is_ready_again_with_its_database_and_not_one_look_later(database: str) -> None:
    await migrate("tiny", find_migrations("tiny"), database)
    settings = TinySettings(database_url=SecretStr(database))
    queries = connect_queries(settings)
    check = queries_check(queries)
    assert await check.probe() == "as tiny_query"
    async with connect_pool(settings) as pool:  # what a restart does to the connections that are kept
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await check.probe() == "as tiny_query"
    await queries.dispose()


async def test_connections_say_who_they_are_and_carry_their_limits(database: str) -> None:
    settings = TinySettings(database_url=SecretStr(database))
    async with connect_pool(settings) as pool:
        row = await pool.fetchrow(
            """SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS statement,
                      current_setting('idle_in_transaction_session_timeout') AS idle"""
        )
        assert tuple(row) == ("tiny", "30s", "1min")

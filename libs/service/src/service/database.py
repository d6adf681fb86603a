"""Connections to PostgreSQL for commands and workers, and what their errors mean. Those of queries: queries.py."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg
import sqlalchemy.exc
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

import eventlog
from service.settings import ServiceSettings

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0

# Text that PostgreSQL cannot store: U+0000, or a character outside the database's encoding.
_UNSTORABLE_TEXT = frozenset({"22021", "22P05"})
_NOT_MADE = frozenset({"42P01", "3F000"})  # undefined table, invalid schema name


class RoleMissing(Exception):
    """The role that queries run as is not there: a migration makes it."""


def connect_pool(settings: ServiceSettings) -> asyncpg.Pool:
    """A pool for commands and workers of up to `pool_max` connections; call it inside the event loop.

    It isn't open yet: `Service` opens it. Opening doesn't connect, so a process starts and answers `/ready` with the
    reason while its database is away.
    """
    return asyncpg.create_pool(
        min_size=0, max_size=settings.pool_max, reset=eventlog.reset_session, **connect_options(settings)
    )


def connect_options(settings: ServiceSettings) -> dict[str, Any]:
    """Keyword arguments of `asyncpg.connect` with the service's name and its time limits.

    A longer statement raises its limits itself: `SET LOCAL statement_timeout` and asyncpg's `timeout=`.
    """
    return {
        "dsn": plain_dsn(settings.database_url),
        "timeout": CONNECT_SECONDS,
        # Also when the server no longer answers at all, so a little after the server's own limit.
        "command_timeout": settings.statement_seconds + 5,
        "server_settings": {
            "application_name": settings.name,
            "statement_timeout": _milliseconds(settings.statement_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(settings.idle_transaction_seconds),
        },
    }


def query_role(service: str) -> str:
    """The role that the queries of a service run as."""
    return f"{service}_query"


def plain_dsn(url: SecretStr | str) -> str:
    """A DSN that asyncpg takes, also from one written for SQLAlchemy (`postgresql+asyncpg://`)."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    scheme, separator, rest = text.partition("://")
    return scheme.partition("+")[0] + separator + rest


async def close_pool(pool: asyncpg.Pool) -> None:
    """Closes `pool`; connections that are still busy after CLOSE_SECONDS are cut."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def close_engine(engine: AsyncEngine) -> None:
    """Closes the connections of `engine`; after CLOSE_SECONDS they are left to their end with the process."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await engine.dispose()


def is_transient(error: BaseException) -> bool:
    """As `eventlog.is_transient`, also for what SQLAlchemy has wrapped.

    Not for a refused write of the query engine, which is read only on purpose: that is an error of the program.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        read_only = isinstance(cause, asyncpg.ReadOnlySQLTransactionError)
        return not read_only and (error.connection_invalidated or (cause is not None and eventlog.is_transient(cause)))
    return isinstance(error, sqlalchemy.exc.TimeoutError) or eventlog.is_transient(error)


def is_unstorable_text(error: BaseException) -> bool:
    """Whether PostgreSQL refused a text for a character it can't store, such as U+0000."""
    return any(code in _UNSTORABLE_TEXT for code in _sqlstates(error))


def is_not_made(error: BaseException) -> bool:
    """Whether a role or a table is not there: a read model is made by its worker, a moment after HTTP listens."""
    return isinstance(error, RoleMissing) or any(code in _NOT_MADE for code in _sqlstates(error))


def _sqlstates(error: BaseException) -> Iterator[str]:
    """The SQLSTATE of an asyncpg error, also inside SQLAlchemy's wrapping."""
    inner = getattr(error, "orig", None)
    for candidate in (error, inner, getattr(inner, "__cause__", None)):
        code = getattr(candidate, "sqlstate", None)
        if isinstance(code, str):
            yield code


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))

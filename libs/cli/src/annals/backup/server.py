"""The PostgreSQL server that is backed up, and the programs that speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from local_stack.postgres import find_binaries
from service.database import CONNECT_SECONDS, plain_dsn

SLOT = "annals_backup"
"""Keeps the server from forgetting what was not received yet: max_slot_wal_keep_size bounds it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server and the role by which it is read: one with REPLICATION, and the right to read all databases."""

    url: str = field(repr=False)

    @asynccontextmanager
    async def connected(self, database: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        options = {} if database is None else {"database": database}
        connection = await asyncpg.connect(
            plain_dsn(self.url),
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "annals backup"},
            **options,
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    async def program(self, name: str) -> Path:
        """One of PostgreSQL's programs, such as pg_basebackup. Raises LocalStackError where there are none."""
        return await find_binaries() / name

    @property
    def user(self) -> str:
        return unquote(urlsplit(self.url).username or "postgres")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def at(self, host: str) -> Server:
        """The same role at another host, `name` or `name:port`."""
        parts = urlsplit(self.url)
        role, at, _ = parts.netloc.rpartition("@")
        return Server(urlunsplit(parts._replace(netloc=f"{role}{at}{host}")))

    def dbname(self) -> str:
        """The address as an argument: without the password, for all users of a machine can read those."""
        parts = urlsplit(plain_dsn(self.url))
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}"))

    def environment(self) -> dict[str, str]:
        """The password, as PostgreSQL's programs read it."""
        return {"PGPASSWORD": unquote(urlsplit(self.url).password or ""), "LC_ALL": "C"}


async def databases(connection: asyncpg.Connection) -> list[str]:
    """The names of all databases that can be connected to."""
    rows = await connection.fetch("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1")
    return [row["datname"] for row in rows]


async def has_table(connection: asyncpg.Connection, table: str) -> bool:
    return bool(await connection.fetchval("SELECT to_regclass('public.' || $1) IS NOT NULL", table))

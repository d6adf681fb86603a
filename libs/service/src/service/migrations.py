"""Schema migrations: Alembic, run from here, one process at a time, by the database's owner.

A service's `migrations/env.py` is two lines: `from service.migrations import run_env` and `run_env()`. Each script is
named by its migration: `versions/0002_ticks.py` is 0002 and follows 0001. So what a release knows can be told without
Alembic, which is a tenth of what a process would import: only who migrates does so.
"""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from service.database import CONNECT_SECONDS, plain_dsn
from service.logs import get_logger

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATED_SQL = "SELECT version_num FROM alembic_version"
# One key for all: a database belongs to one service. Any constant that nobody else takes will do.
_LOCK_KEY = 0x616E6E616C73  # "annals"
LOCK_SECONDS = 300.0
log = get_logger("service.migrations")


async def migrate(service_name: str, script_location: Path, dsn: str, target: str = "head") -> str | None:
    """Brings the database of `dsn` (its owner's) to `target` and returns the migration it is at afterwards.

    Several processes may call it at once: the first takes an advisory lock and works, the others wait up to 5 minutes
    (TimeoutError) and find nothing left to do. All migrations run in one transaction: all or nothing.
    """
    lock = await asyncpg.connect(plain_dsn(dsn), timeout=CONNECT_SECONDS, server_settings=_as(service_name))
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY, timeout=LOCK_SECONDS)
        await _upgrade(service_name, script_location, dsn, target)
        # Read over the lock's connection: it is released when that closes.
        found: str | None = await lock.fetchval(_MIGRATED_SQL)
    finally:
        await lock.close(timeout=CONNECT_SECONDS)
    log.info("migrated", database_of=service_name, migration=found)
    return found


async def _upgrade(service_name: str, script_location: Path, dsn: str, target: str) -> None:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(plain_dsn(dsn), timeout=CONNECT_SECONDS, server_settings=_as(service_name))

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run_alembic, _config(script_location, service_name), target)
    finally:
        await engine.dispose()


def _run_alembic(connection: Connection, config: Config, target: str) -> None:
    from alembic import command

    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _as(service_name: str) -> dict[str, str]:
    return {"application_name": f"{service_name} migrate"}


def _config(script_location: Path, service_name: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["service_name"] = service_name
    return config


@dataclass(frozen=True, slots=True)
class Release:
    """The migrations that this release of a service knows."""

    head: str | None
    known: frozenset[str]

    @classmethod
    def of(cls, script_location: Path) -> Release:
        """By the names of the scripts. Raises ValueError for one that has no number, or another's."""
        known: set[str] = set()
        for script in (script_location / "versions").glob("*.py"):
            number = script.stem.partition("_")[0]
            if not number.isdecimal() or number in known:
                raise ValueError(f"{script}: expected the name NNNN_what.py, with a number of its own")
            known.add(number)
        return cls(max(known, key=int, default=None), frozenset(known))

    def shortfall(self, found: str | None) -> str | None:
        """What is wrong with a database at the migration `found`; None if this release can work with it.

        A migration that this release doesn't know is a newer release's: migrations only add, so that the release before
        goes on working while the new one is rolled out, and can be rolled back to.
        """
        if found == self.head or (found is not None and found not in self.known):
            return None
        return f"the database is at migration {found or 'none'}, expected {self.head}"


async def migrated_to(pool: asyncpg.Pool, seconds: float) -> str | None:
    """The migration the database is at, within `seconds` (TimeoutError); None for one that was never migrated."""
    async with asyncio.timeout(seconds), pool.acquire() as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        found: str | None = await connection.fetchval(_MIGRATED_SQL)
        return found


def find_migrations(package: str) -> Path:
    """Where the migrations of an installed service are: in its wheel, or beside `src` in a working copy.

    Raises FileNotFoundError naming both places.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"package {package}: not installed")
    home = Path(spec.origin).parent
    places = [home / "migrations", home.parent.parent / "migrations"]
    for place in places:
        if (place / "env.py").is_file():
            return place
    raise FileNotFoundError(f"migrations of {package}: expected env.py in {places[0]} or {places[1]}")


def run_env() -> None:
    """The body of every service's `env.py`: runs the migrations over the connection that `migrate` made."""
    from alembic import context

    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("run migrations by `python -m <service> migrate`, not by alembic itself")
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


def run_sql(script: str) -> None:
    """In a migration: runs a script of many statements, such as a library's `install_sql()`."""
    from alembic import op

    bind = op.get_bind()
    bind.exec_driver_sql("SELECT 1")  # begins the transaction, if nothing has yet
    driver = cast(Any, bind.connection.driver_connection)  # asyncpg's: its simple protocol takes several statements
    await_only(driver.execute(script))

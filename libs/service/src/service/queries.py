"""From a GET to the read models: rows as dictionaries, one statement each, after the caller's own writes if asked.

Queries run as a role of their own, which changes nothing and sees of rows about somebody only what the request at hand
may show: what `access` says at the door holds in the database, too, should a query be wrong.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from projections import NOBODY, Freshness, Projection, see
from service.access import shown
from service.consistency import Token, await_position
from service.database import RoleMissing, connect_options, plain_dsn, query_role
from service.problems import Problem
from service.settings import ServiceSettings

Row = dict[str, Any]


def connect_queries(settings: ServiceSettings) -> AsyncEngine:
    """A SQLAlchemy engine for queries: `query_pool` connections, read only, each statement its own transaction."""
    options = connect_options(settings)
    options["dsn"] = plain_dsn(settings.query_database_url or settings.database_url)
    options["server_settings"] |= {"role": query_role(settings.name), "default_transaction_read_only": "on"}

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(**options)
        except asyncpg.InvalidParameterValueError as error:
            raise RoleMissing(str(error)) from error

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=settings.query_pool,
        max_overflow=0,
        pool_timeout=settings.http_request_seconds / 2,
        pool_recycle=1800,
        isolation_level="AUTOCOMMIT",
    )

    # However a query comes by its connection, that has been told. If it can't be, SQLAlchemy throws it away.
    @sa.event.listens_for(engine.sync_engine, "checkout")
    def tell(connection: Any, record: Any, _: Any) -> None:
        subjects = shown()
        if record.info.get("shows", NOBODY) != subjects:  # `info` is as old as the connection
            connection.run_async(lambda driver: see(driver, subjects))
            record.info["shows"] = subjects

    return engine


class Queries:
    """The queries of one service, over its read-only engine."""

    def __init__(self, service: str, engine: AsyncEngine, pool: asyncpg.Pool) -> None:
        self.engine = engine
        self._service = service
        self._pool = pool

    async def all(self, query: sa.Select[Any], **parameters: Any) -> list[Row]:
        """All rows; `parameters` are those that a query names which is made once, for the sake of its speed."""
        async with self.engine.connect() as connection:
            result = await connection.execute(query, parameters)
            names = tuple(map(str, result.keys()))  # SQLAlchemy's own kind of str is slow, and no key to orjson
            return [dict(zip(names, row, strict=True)) for row in result]  # in half the time of its mappings

    async def first(self, query: sa.Select[Any]) -> Row:
        """The first row, empty if there is none."""
        return next(iter(await self.all(query)), {})

    async def one(self, query: sa.Select[Any], what: str, name: str) -> Row:
        """The first row. Raises Problem 404 that names what there isn't."""
        if not (row := await self.first(query)):
            raise not_found(what, name)
        return row

    async def caught_up(self, after: Token | None, *projections: type[Projection]) -> None:
        """Return once these projections show what `after` stands for; at once without a token.

        Raises Problem: see `await_position`.
        """
        for projection in projections if after is not None else ():
            fresh = Freshness(self._pool, projection)
            await await_position(
                after, log=self._service, checkpoint=fresh.position, parked=fresh.parked, paused=fresh.paused
            )


def not_found(what: str, name: str) -> Problem:
    """The 404 that names what there isn't."""
    return Problem(404, "not-found", f"There is no such {what}.", f"{what} {name[:100]}")

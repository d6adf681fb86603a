"""From a GET to the read models: rows as dictionaries, one statement each, after the caller's own writes if asked."""

from __future__ import annotations

from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from projections import Freshness, Projection
from service.consistency import Token, await_position
from service.problems import Problem

Row = dict[str, Any]


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

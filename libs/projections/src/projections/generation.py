"""A generation: the rows of one projection in one schema, with its checkpoint.

The live generation is `<projection>_v<version>`; `_new` is being built beside it, `_old` is the one before the last
swap, `_audit` is recomputed only to be compared, `_keys` holds the rows of single keys for a moment, and
`_asof_<label>` is the log replayed to a point.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files

import asyncpg

from eventlog import EventTypes
from projections.columns import quote
from projections.ddl import ddl
from projections.errors import InvalidProjection, NoGeneration, SchemaChanged
from projections.projection import Projection
from projections.readers import admit
from projections.rows import TableSpec
from projections.writer import TableWriter

LONG_SECONDS = 24 * 3600.0
"""Time limit of a statement whose duration grows with the data: an index, a comparison."""


class Suffix(StrEnum):
    """Which generation of a projection a schema holds."""

    LIVE = ""
    NEW = "_new"
    OLD = "_old"
    AUDIT = "_audit"
    KEYS = "_keys"


class Generation:
    """One projection's tables in one schema; the schema's name is also that of its checkpoint."""

    checkpoint: str
    """The subscription whose position says what has taken effect."""

    def __init__(self, projection: Projection, types: EventTypes, suffix: str = Suffix.LIVE) -> None:
        if not projection.name:
            raise InvalidProjection(f"{type(projection).__name__} has no name")
        self.projection = projection
        self.suffix = suffix
        self.schema = self.checkpoint = projection.schema + suffix
        self.handlers = {types.name(event): handler for event, handler in projection.handlers.items()}
        self.writers = {table: TableWriter(spec, self.schema) for table, spec in projection.specs.items()}
        self._ddl = ddl(type(projection))  # type: ignore[arg-type]  # a class is hashable
        self.fingerprint = self._ddl.fingerprint
        self.fetches = type(projection).prefetch is not Projection.prefetch
        self.by_stream = type(projection).key is Projection.key

    async def position(self, conn: asyncpg.Connection | asyncpg.Pool) -> int | None:
        """Everything up to here has taken effect; None if this generation does not exist."""
        position: int | None = await conn.fetchval(
            "SELECT position FROM progress WHERE subscription = $1", self.checkpoint
        )
        return position

    async def lock(self, conn: asyncpg.Connection) -> asyncpg.Record:
        """Keep the runners away until the caller's transaction ends; returns the checkpoint's row.

        Raises NoGeneration, or SchemaChanged if this code and the generation don't fit.
        """
        row = await conn.fetchrow("SELECT * FROM checkpoints WHERE subscription = $1 FOR UPDATE", self.schema)
        if row is None:
            raise NoGeneration(f"{self.schema} does not exist")
        self.check(row["fingerprint"])
        await conn.execute(  # nobody divides or unites it now
            "SELECT FROM checkpoints WHERE starts_with(subscription, $1 || '#') ORDER BY subscription FOR UPDATE",
            self.schema,
        )
        return row

    async def ensure(self, conn: asyncpg.Connection, *, indexes: bool = True) -> int:
        """Create schema, tables and checkpoint if they are missing; returns the position.

        Raises SchemaChanged if the schema was made from other declarations.
        """
        async with conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"projections {self.schema}")
            fingerprint = await conn.fetchval(
                "SELECT fingerprint FROM checkpoints WHERE subscription = $1", self.schema
            )
            if fingerprint is None:
                await self._create(conn, indexes=indexes)
                return 0
            self.check(fingerprint)
            return await require(self, conn)

    def check(self, fingerprint: str) -> None:
        """Raises SchemaChanged if a checkpoint's fingerprint is that of other declarations."""
        if fingerprint != self.fingerprint:
            raise SchemaChanged(
                f"{self.schema}: its tables are not those that {type(self.projection).__name__} declares: "
                "raise the projection's version, or rebuild it"
            )

    async def drop(self, conn: asyncpg.Connection) -> bool:
        """Remove schema, checkpoints, dead letters and controls; returns whether there was one."""
        async with conn.transaction():
            await conn.execute(f"DROP SCHEMA IF EXISTS {quote(self.schema)} CASCADE", timeout=LONG_SECONDS)
            for table in ("dead_letters", "controls"):
                await conn.execute(f"DELETE FROM {table} WHERE subscription = $1", self.schema)  # noqa: S608 - constant
            await conn.execute("DELETE FROM checkpoints WHERE starts_with(subscription, $1)", f"{self.schema}#")
            status = await conn.execute("DELETE FROM checkpoints WHERE subscription = $1", self.schema)
        return str(status) != "DELETE 0"

    async def build_indexes(self, conn: asyncpg.Connection) -> None:
        """The indexes beside the primary keys, if they are missing, and statistics for the planner."""
        async with conn.transaction():
            await conn.execute("SET LOCAL statement_timeout = 0")
            for statement in self._ddl.indexes(self.schema, if_not_exists=True):
                await conn.execute(statement, timeout=LONG_SECONDS)
            for spec in self.specs:
                await conn.execute(f"ANALYZE {quote(self.schema)}.{quote(spec.name)}", timeout=LONG_SECONDS)

    @property
    def specs(self) -> list[TableSpec]:
        return [writer.spec for writer in self.writers.values()]

    async def _create(self, conn: asyncpg.Connection, *, indexes: bool) -> None:
        await conn.execute(f"CREATE SCHEMA {quote(self.schema)}")
        for statement in (*self._ddl.tables(self.schema), *self._ddl.policies(self.schema)):
            await conn.execute(statement)
        await admit(conn, self.schema)
        if indexes:
            for statement in self._ddl.indexes(self.schema):
                await conn.execute(statement)
        await conn.execute(
            "INSERT INTO checkpoints (subscription, position, fingerprint, partitions) VALUES ($1, 0, $2, $3)",
            self.schema,
            self.fingerprint,
            self.projection.partitions,
        )


async def existing(conn: asyncpg.Connection | asyncpg.Pool, projection: type[Projection] | Projection) -> list[str]:
    """The generations of a projection that exist, by name of their schema."""
    names = [projection.schema + suffix for suffix in Suffix]
    rows = await conn.fetch("SELECT subscription FROM checkpoints WHERE subscription = ANY ($1) ORDER BY 1", names)
    return [row["subscription"] for row in rows]


async def require(generation: Generation, conn: asyncpg.Connection | asyncpg.Pool) -> int:
    """The position of a generation. Raises NoGeneration if it does not exist."""
    position = await generation.position(conn)
    if position is None:
        raise NoGeneration(f"{generation.checkpoint} does not exist")
    return position


def install_sql() -> str:
    """The SQL that creates the checkpoints and dead letters in the database of the log; run it once."""
    return files("projections").joinpath("schema.sql").read_text()

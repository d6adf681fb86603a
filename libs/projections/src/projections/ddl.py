"""The SQL that creates a projection's tables, in whatever schema."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from projections.projection import Projection
from projections.readers import policy_sql
from projections.rows import TableSpec

_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects are untyped
_SCHEMA = "generation"


class Ddl:
    """What one class of projections declares. `fingerprint` is another when its tables are."""

    def __init__(self, projection: type[Projection]) -> None:
        metadata = sa.MetaData()
        self._whose = projection.whose
        self._tables = [
            _with_defaults(spec, spec.table.to_metadata(metadata, schema=_SCHEMA)) for spec in projection.specs.values()
        ]
        sql = [*self.tables(_SCHEMA), *self.indexes(_SCHEMA), *self.policies(_SCHEMA)]
        self.fingerprint = hashlib.sha256("\n".join(sql).encode()).hexdigest()

    def tables(self, schema: str) -> list[str]:
        return [_sql(CreateTable(table), schema) for table in self._tables]

    def indexes(self, schema: str, *, if_not_exists: bool = False) -> list[str]:
        """All but the primary keys."""
        return [
            _sql(CreateIndex(index, if_not_exists=if_not_exists), schema)
            for table in self._tables
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]

    def policies(self, schema: str) -> list[str]:
        """Who may see which rows."""
        return [policy_sql(schema, table.name, columns) for table, columns in self._whose.items()]


@cache  # SQLAlchemy copies a table for each schema; that of a dozen tables took longer than to create them
def ddl(projection: type[Projection]) -> Ddl:
    return Ddl(projection)


def _sql(statement: ExecutableDDLElement, schema: str) -> str:
    translated: dict[str, Any] = {"schema_translate_map": {_SCHEMA: schema}, "render_schema_translate": True}
    return str(statement.compile(dialect=_DIALECT, **translated))


def _with_defaults(spec: TableSpec, table: sa.Table) -> sa.Table:
    """The copy of a table as it is created: the declared defaults are the database's, and no number is generated.

    Totals, whose rows are changed again and again, get room for it beside them, so that no index needs a new entry.
    """
    if spec.shared:
        table.dialect_options["postgresql"]["with"] = {"fillfactor": 50}
    for column in table.columns:
        column.autoincrement = False
        described = spec.columns[column.name]
        column.nullable = described.nullable
        if described.default is not None:
            column.server_default = sa.DefaultClause(described.text(described.default))
    return table

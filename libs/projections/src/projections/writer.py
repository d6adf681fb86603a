"""Writing the combined changes of a batch set-wise: one statement per table and kind of change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from operator import itemgetter
from typing import Any

import asyncpg
import sqlalchemy as sa

from projections.bulk import BulkRows, Sums
from projections.columns import quote
from projections.errors import InvalidChange
from projections.rows import Change, Found, Key, Shape, TableSpec
from projections.texts import array_literal, copy_texts

_COPY_FROM = 100  # rows from which COPY beats INSERT … SELECT unnest
_ByKey = list[tuple[Key, Change]]
_Kind = tuple[Found, Shape, frozenset[str], frozenset[str]]  # set columns, columns added to
_NONE: frozenset[str] = frozenset()


class TableWriter:
    """Writes changes to one table of one generation, and reads rows of it. Keys are written in sorted order."""

    def __init__(self, spec: TableSpec, schema: str) -> None:
        self.spec = spec
        self.schema = schema
        self._target = f"{quote(schema)}.{quote(spec.name)}"
        self._statements: dict[Any, str] = {}

    async def write(self, conn: asyncpg.Connection, changes: dict[Key, Change]) -> None:
        """Writes each change. Raises InvalidChange or asyncpg's error if one of the rows refuses its change."""
        for kind, rows in self._kinds(changes).items():
            found, shape, _, _ = kind
            rows.sort(key=itemgetter(0))
            if shape is Shape.WHOLE and found is Found.ABSENT and len(rows) >= _COPY_FROM:
                await self.copy(conn, [[change.values[name] for _, change in rows] for name in self.spec.columns])
                continue
            status = await conn.execute(self._statement(kind), *self._parameters(kind, rows))
            expected = {Found.PRESENT: len(rows), Found.ABSENT: 0 if shape is Shape.GONE else len(rows)}.get(found)
            touched = int(status.rpartition(" ")[2])
            if expected is not None and touched != expected:
                self._refuse(found, rows, touched)

    async def copy(self, conn: asyncpg.Connection, columns: Sequence[list[Any]]) -> None:
        """Writes rows that must be new, given by column."""
        texts = [
            copy_texts(column.texts(values), escape=column.has_specials)
            for column, values in zip(self.spec.columns.values(), columns, strict=True)
        ]
        lines = "\n".join(["\t".join(row) for row in zip(*texts, strict=True)])
        await conn.copy_to_table(
            self.spec.name,
            schema_name=self.schema,
            columns=list(self.spec.columns),
            source=BytesIO(lines.encode()),
            format="text",
            encoding="utf-8",
        )

    async def add(self, conn: asyncpg.Connection, sums: Sums) -> None:
        """Adds to totals, making those that are missing."""
        keys = list(sums.places)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        names = sorted(sums.columns)
        columns = [*zip(*keys, strict=True), *(sums.columns[name] for name in names)]
        kind = (Found.ANYTHING, Shape.PART, _NONE, frozenset(names))
        given = self._columns(self._names(kind), [[column[place] for place in order] for column in columns])
        await conn.execute(self._statement(kind), *given)

    async def read(self, conn: asyncpg.Connection, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """The rows with these keys, in kept values."""
        spec = self.spec
        sql = self._cached("read", self._select)
        columns = [[key[i] for key in keys] for i in range(len(spec.key))]
        records = await conn.fetch(sql, *self._columns(spec.key, columns))
        rows = {}
        for record in records:
            row = {
                name: None if value is None else column.decode(value)
                for (name, column), value in zip(spec.columns.items(), record, strict=True)
            }
            rows[spec.key_in(row)] = row
        return rows

    def matching(self, values: Mapping[str, Sequence[Any]]) -> tuple[str, list[str]]:
        """A condition on `t` for the rows that have one of these combinations of kept values, and its parameters."""
        same = " AND ".join(f"t.{quote(name)} = {self._given(name)}" for name in values)
        return f"EXISTS (SELECT FROM {self._source(list(values))} WHERE {same})", self._columns(
            values, [list(given) for given in values.values()]
        )

    def _kinds(self, changes: dict[Key, Change]) -> dict[_Kind, _ByKey]:
        if self.spec.shared:  # one statement, so that concurrent writers lock all rows in one order
            touched = frozenset(name for change in changes.values() for name in change.added)
            return {(Found.ANYTHING, Shape.PART, _NONE, touched): list(changes.items())}
        kinds: dict[_Kind, _ByKey] = {}
        for key, change in changes.items():
            part = change.shape is Shape.PART
            kind = (
                change.found,
                change.shape,
                frozenset(change.values) if part else _NONE,
                frozenset(change.added) if part else _NONE,
            )
            kinds.setdefault(kind, []).append((key, change))
        return kinds

    def _names(self, kind: _Kind) -> tuple[str, ...]:
        _, shape, values, added = kind
        return tuple(self.spec.columns) if shape is Shape.WHOLE else (*self.spec.key, *sorted(values), *sorted(added))

    def _parameters(self, kind: _Kind, rows: _ByKey) -> list[str]:
        _, shape, values, added = kind
        if shape is Shape.WHOLE:
            names: tuple[str, ...] = tuple(self.spec.columns)
            return self._columns(names, [[change.values[name] for _, change in rows] for name in names])
        keys = [[key[i] for key, _ in rows] for i in range(len(self.spec.key))]
        sets = [[change.values[name] for _, change in rows] for name in sorted(values)]
        adds = [[change.added.get(name, 0) for _, change in rows] for name in sorted(added)]
        return self._columns(self._names(kind), [*keys, *sets, *adds])

    def _columns(self, names: Iterable[str], columns: Sequence[Sequence[Any]]) -> list[str]:
        return [
            array_literal(self.spec.columns[name].texts(values)) for name, values in zip(names, columns, strict=True)
        ]

    def _statement(self, kind: _Kind) -> str:
        return self._cached(kind, lambda: self._build(kind))

    def _cached(self, name: Any, build: Callable[[], str]) -> str:
        if name not in self._statements:
            self._statements[name] = build()
        return self._statements[name]

    def _source(self, names: Sequence[str]) -> str:
        arrays = ", ".join(f"${i}::text::{self.spec.columns[name].wire_type}[]" for i, name in enumerate(names, 1))
        return f"unnest({arrays}) AS u({', '.join(quote(name) for name in names)})"

    def _given(self, name: str) -> str:
        return f"u.{quote(name)}{self.spec.columns[name].cast}"

    def _same_key(self) -> str:
        return " AND ".join(f"t.{quote(name)} = {self._given(name)}" for name in self.spec.key)

    def _select(self) -> str:
        columns = ", ".join(column.selected for column in self.spec.columns.values())
        return f"SELECT {columns} FROM {self._target} AS t JOIN {self._source(self.spec.key)} ON {self._same_key()}"  # noqa: S608 - quoted identifiers

    def _build(self, kind: _Kind) -> str:
        """The statement of one kind of change; see `Found` for what it has to check by the number of rows."""
        found, shape, _, added = kind
        names = self._names(kind)
        source = self._source(names)
        if shape is Shape.GONE and found is Found.ABSENT:
            return f"SELECT FROM {self._target} AS t JOIN {source} ON {self._same_key()}"
        if shape is Shape.GONE:
            return f"DELETE FROM {self._target} AS t USING {source} WHERE {self._same_key()}"  # noqa: S608
        sets = [name for name in names if name not in self.spec.key and name not in added]
        if found is Found.PRESENT:
            assign = [f"{quote(n)} = {self._given(n)}" for n in sets]
            assign += [f"{quote(n)} = coalesce(t.{quote(n)}, 0) + {self._given(n)}" for n in sorted(added)]
            if not assign:
                return f"SELECT FROM {self._target} AS t JOIN {source} ON {self._same_key()}"
            return f"UPDATE {self._target} AS t SET {', '.join(assign)} FROM {source} WHERE {self._same_key()}"  # noqa: S608
        columns = ", ".join(quote(name) for name in names)
        given = ", ".join(self._given(name) for name in names)
        insert = f"INSERT INTO {self._target} AS t ({columns}) SELECT {given} FROM {source}"  # noqa: S608
        if found is Found.ABSENT:
            return insert
        assign = [f"{quote(n)} = excluded.{quote(n)}" for n in sets]
        assign += [f"{quote(n)} = coalesce(t.{quote(n)}, 0) + excluded.{quote(n)}" for n in sorted(added)]
        keys = ", ".join(quote(name) for name in self.spec.key)
        return f"{insert} ON CONFLICT ({keys}) DO {'UPDATE SET ' + ', '.join(assign) if assign else 'NOTHING'}"

    def _refuse(self, found: Found, rows: _ByKey, touched: int) -> None:
        which = f"key {rows[0][0]}" if len(rows) == 1 else f"one of {len(rows)} keys"
        if found is Found.PRESENT:
            raise InvalidChange(f"{self.spec.name}: no row with {which} ({touched} of {len(rows)} found)")
        raise InvalidChange(f"{self.spec.name}: there is already a row with {which}")


async def write_all(conn: asyncpg.Connection, writers: Mapping[sa.Table, TableWriter], rows: BulkRows) -> None:
    """Writes all changes: totals last, so that those who share them wait for each other as briefly as can be."""
    for table, columns in rows.inserted.items():
        await writers[table].copy(conn, columns)
    summed = rows.summed  # takes in what is pending of these tables
    for table, changes in rows.pending.items():
        if changes:
            await writers[table].write(conn, changes)
    for table, sums in summed.items():
        await writers[table].add(conn, sums)

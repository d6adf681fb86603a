"""Row changes, described by handlers and combined per key: however many events touch a row, it is written once.

A `Change` is what a sequence of changes to one row comes to. It keeps what the first of them needed to find in the
database (`found`), so that combining never hides an error that writing one by one would have raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from projections.columns import EXACT, Column, describe
from projections.errors import InvalidChange, InvalidProjection

Key = tuple[Any, ...]


class Found(StrEnum):
    """What the first change of a row in this batch requires of the database."""

    ANYTHING = "anything"
    ABSENT = "absent"
    PRESENT = "present"


class Shape(StrEnum):
    """What the changes of a row come to."""

    WHOLE = "whole"  # the row is `values`, every column of it
    PART = "part"  # columns in `values` are set, amounts in `added` are added, the rest stays
    GONE = "gone"


@dataclass(slots=True, eq=False)
class Change:
    """What is to be written for one row; `owner` is the partition key whose events changed it."""

    found: Found
    shape: Shape
    values: dict[str, Any]
    added: dict[str, Any]
    owner: str


class TableSpec:
    """A read table as the runner needs it: its columns in order, its key, and whether many keys share its rows."""

    def __init__(self, table: sa.Table, shared: bool) -> None:
        _refuse_what_cannot_be_replayed(table)
        self.table = table
        self.name = table.name
        self.shared = shared
        self.columns: dict[str, Column] = {column.name: describe(column, shared) for column in table.columns}
        self.key = tuple(column.name for column in table.primary_key.columns)
        self.key_names = frozenset(self.key)
        self.required = frozenset(name for name, column in self.columns.items() if column.required)
        self._defaults = {name: column.default for name, column in self.columns.items()}
        self._key_admits = [(name, self.columns[name].admit) for name in self.key]
        self._admits = {name: column.admit for name, column in self.columns.items()}
        self._adds = {name: _amount(column) for name, column in self.columns.items()}

    def exact_key(self, key: Mapping[str, Any]) -> Key:
        """A primary key, checked: `key` names its columns and no others."""
        admits = self._key_admits
        try:
            if len(key) == len(admits):
                if len(admits) == 1:
                    ((name, admit),) = admits
                    return (admit(key[name]),)
                return tuple([admit(key[name]) for name, admit in admits])
        except KeyError:
            pass  # said below
        raise InvalidChange(f"{self.name}: expected the key {', '.join(self.key)}, got {', '.join(key)}")

    def key_in(self, admitted: Mapping[str, Any]) -> Key:
        """The primary key in values that were admitted."""
        try:
            return tuple([admitted[name] for name in self.key])
        except KeyError as error:
            raise InvalidChange(f"{self.name}: a new row needs its key {', '.join(self.key)}: no {error}") from None

    def admit(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as they are kept. Raises InvalidChange for an unknown column or a value that does not fit."""
        admits = self._admits
        try:
            return {name: admits[name](value) for name, value in values.items()}
        except KeyError as error:
            raise InvalidChange(f"{self.name}: no column {error}") from None

    def whole(self, key: Key, values: Mapping[str, Any]) -> dict[str, Any]:
        """A new row: the key, the given values, defaults for the rest."""
        if len(values) == len(self.columns):
            return dict(values)
        row = {**self._defaults, **values}
        row.update(zip(self.key, key, strict=True))
        for name in self.required:
            if row[name] is None:
                raise InvalidChange(f"{self.name}: a new row needs {name}")
        return row

    def amounts(self, amounts: Mapping[str, Any]) -> dict[str, Any]:
        """As `admit`, for amounts to be added."""
        adds = self._adds
        try:
            return {name: adds[name](value) for name, value in amounts.items()}
        except KeyError as error:
            raise InvalidChange(f"{self.name}: no column {error}") from None

    def __repr__(self) -> str:
        return f"TableSpec({self.name})"


class Rows:
    """The changes that a batch of events makes to the tables of one projection.

    A handler calls these methods; nothing is written before the whole batch is known. `key` names the columns of the
    primary key. Values are checked at once and raise InvalidChange.
    """

    __slots__ = ("_found", "_owner", "_specs", "pending")

    def __init__(self, specs: Mapping[sa.Table, TableSpec]) -> None:
        self._specs = specs
        self._owner = ""
        self._found: dict[tuple[sa.Table, Key], dict[str, Any] | None] = {}
        self.pending: dict[sa.Table, dict[Key, Change]] = {table: {} for table in specs}

    def insert(self, table: sa.Table, /, **values: Any) -> None:
        """A new row. The event fails if there is one with this key already."""
        spec = self._owned(table, "insert")
        admitted = spec.admit(values)
        key = spec.key_in(admitted)
        row = spec.whole(key, admitted)
        change = self._change(table, spec, key)
        if change is None:
            self.pending[table][key] = Change(Found.ABSENT, Shape.WHOLE, row, {}, self._owner)
        elif change.shape is Shape.GONE:
            change.shape, change.values, change.added = Shape.WHOLE, row, {}
        else:
            raise InvalidChange(f"{spec.name}: there is already a row with key {key}")

    def upsert(self, table: sa.Table, key: Mapping[str, Any], /, **values: Any) -> None:
        """Set `values` in the row with this key; make it, with defaults for the rest, if there is none."""
        spec = self._owned(table, "upsert")
        self._set(table, spec, spec.exact_key(key), spec.admit(values), must_exist=False)

    def update(self, table: sa.Table, key: Mapping[str, Any], /, **values: Any) -> None:
        """Set `values` in the row with this key. The event fails if there is none."""
        spec = self._owned(table, "update")
        self._set(table, spec, spec.exact_key(key), spec.admit(values), must_exist=True)

    def increment(self, table: sa.Table, key: Mapping[str, Any], /, **amounts: int | Decimal) -> None:
        """Add `amounts` (negative ones too) to the row with this key; a missing row, and NULL, start at 0."""
        spec = self._specs[table]
        pk = spec.exact_key(key)
        admitted = spec.amounts(amounts)
        change = self._change(table, spec, pk)
        if change is None:
            found = Found.ANYTHING if spec.required <= admitted.keys() else Found.PRESENT
            self.pending[table][pk] = Change(found, Shape.PART, {}, admitted, self._owner)
            return
        if change.shape is Shape.GONE:
            change.shape, change.values, change.added = Shape.WHOLE, spec.whole(pk, admitted), {}
            return
        for name, amount in admitted.items():
            if change.shape is Shape.WHOLE or name in change.values:
                change.values[name] = _sum(change.values[name], amount)
            else:
                change.added[name] = _sum(change.added.get(name), amount)

    def delete(self, table: sa.Table, key: Mapping[str, Any], /) -> None:
        """Remove the row with this key, if there is one."""
        spec = self._owned(table, "delete")
        pk = spec.exact_key(key)
        change = self._change(table, spec, pk)
        if change is None:
            self.pending[table][pk] = Change(Found.ANYTHING, Shape.GONE, {}, {}, self._owner)
        else:
            change.shape, change.values, change.added = Shape.GONE, {}, {}

    def get(self, table: sa.Table, key: Mapping[str, Any], /) -> dict[str, Any] | None:
        """The row with this key as of this event, or None. Its key must have been named by `prefetch`."""
        spec = self._owned(table, "get")
        pk = spec.exact_key(key)
        change = self._change(table, spec, pk)
        if change is not None and change.shape is Shape.GONE:
            return None
        if change is None or change.shape is Shape.PART:
            if (table, pk) not in self._found:
                raise InvalidChange(f"{spec.name}: key {pk} was not named by prefetch()")
            row = self._found[table, pk]
            if change is not None:
                row = _patched(spec, pk, row, change)
        else:
            row = change.values
        return None if row is None else {name: _reveal(spec.columns[name], value) for name, value in row.items()}

    def owned_by(self, key: str) -> None:
        """The partition key of the event whose handler runs next."""
        self._owner = key

    def found(self, table: sa.Table, key: Key, row: dict[str, Any] | None) -> None:
        """What a prefetch found: the row before this batch, in kept values."""
        self._found[table, key] = row

    def _set(self, table: sa.Table, spec: TableSpec, key: Key, values: dict[str, Any], *, must_exist: bool) -> None:
        if not spec.key_names.isdisjoint(values):
            raise InvalidChange(f"{spec.name}: the key of a row cannot be changed; delete and insert")
        change = self._change(table, spec, key)
        if change is None:
            found = Found.PRESENT if must_exist or not spec.required <= values.keys() else Found.ANYTHING
            self.pending[table][key] = Change(found, Shape.PART, values, {}, self._owner)
        elif change.shape is not Shape.GONE:
            change.values.update(values)
            for name in values:
                change.added.pop(name, None)
        elif must_exist:
            raise InvalidChange(f"{spec.name}: no row with key {key}")
        else:
            change.shape, change.values = Shape.WHOLE, spec.whole(key, values)

    def _owned(self, table: sa.Table, operation: str) -> TableSpec:
        spec = self._specs[table]
        if spec.shared:
            raise InvalidChange(f"{spec.name} holds totals shared by many keys: increment only, got {operation}")
        return spec

    def _change(self, table: sa.Table, spec: TableSpec, key: Key) -> Change | None:
        change = self.pending[table].get(key)
        if change is not None and change.owner != self._owner and not spec.shared:
            raise InvalidChange(
                f"{spec.name}: row {key} belongs to {change.owner} but an event of {self._owner} changes it; "
                "name a coarser key() or declare the table under totals"
            )
        return change


def _amount(column: Column) -> Callable[[Any], Any]:
    """What checks an amount to be added to a column."""
    admit = column.admit

    def checked(value: Any) -> Any:
        if column.zero is None:
            raise InvalidChange(f"{column.name}: only exact numbers that start at 0 are incremented")
        if value is None:
            raise InvalidChange(f"{column.name}: expected an amount, got None")
        return admit(value)

    return checked if column.zero is None or column.nullable else admit


def _sum(value: Any, amount: Any) -> Any:
    if value is None:
        return amount
    return EXACT.add(value, amount) if isinstance(amount, Decimal) else value + amount


def _patched(spec: TableSpec, key: Key, row: dict[str, Any] | None, change: Change) -> dict[str, Any]:
    """The row with a change of some of its columns applied."""
    if row is None:
        if change.found is Found.PRESENT:
            raise InvalidChange(f"{spec.name}: no row with key {key}")
        return spec.whole(key, {**change.values, **change.added})
    added = {name: _sum(row[name], amount) for name, amount in change.added.items()}
    return {**row, **change.values, **added}


def _reveal(column: Column, value: Any) -> Any:
    return None if value is None else column.reveal(value)


def _refuse_what_cannot_be_replayed(table: sa.Table) -> None:
    if table.schema is not None:
        raise InvalidProjection(f"{table.fullname}: declare it without a schema; each generation has its own")
    if not table.primary_key.columns:
        raise InvalidProjection(f"{table.name}: a read table needs a primary key")
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint | sa.CheckConstraint | sa.ForeignKeyConstraint):
            raise InvalidProjection(
                f"{table.name}: {type(constraint).__name__} would be checked against combined rows, so its verdict "
                "would depend on where batches end; rules belong to the domain"
            )
    if any(index.unique for index in table.indexes):
        raise InvalidProjection(f"{table.name}: a unique index would make the rows depend on where batches end")
    for column in table.primary_key.columns:
        kind = column.type.impl_instance if isinstance(column.type, sa.types.TypeDecorator) else column.type
        if isinstance(kind, sa.Float | sa.JSON | sa.ARRAY):
            raise InvalidProjection(f"{table.name}.{column.name}: {kind!r} cannot be part of a key")


class Specs(dict[sa.Table, TableSpec]):
    """The tables of a projection; asking for another one is a handler's mistake."""

    def __missing__(self, table: sa.Table) -> TableSpec:
        raise InvalidChange(f"{table.name} is not a table of this projection")


def specs_of(tables: Iterable[sa.Table], totals: Iterable[sa.Table]) -> Specs:
    """The specifications of a projection's tables. Raises InvalidProjection."""
    specs = Specs({table: TableSpec(table, shared=False) for table in tables})
    for table in totals:
        if table in specs:
            raise InvalidProjection(f"{table.name} is declared both as a table and as totals")
        specs[table] = TableSpec(table, shared=True)
    if len({spec.name for spec in specs.values()}) < len(specs):
        raise InvalidProjection("two tables of one projection have the same name")
    return specs

"""Row changes, described by handlers and combined per key: however many events touch a row, it is written once.

A `Change` is what a sequence of changes to one row comes to. It keeps what the first of them needed to find in the
database (`found`), so that combining never hides an error that writing one by one would have raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from operator import itemgetter
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


ANYTHING, ABSENT, PRESENT = Found  # under names of their own: asking an enum for a member takes as long as a small dict
WHOLE, PART, GONE = Shape


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
        self._key_of = _picker(self.key)
        self._admit_key = _key_admission([(name, self.columns[name].admit) for name in self.key])
        self._admits = {name: column.admit for name, column in self.columns.items()}
        self._adds = {name: _amount(column) for name, column in self.columns.items()}

    def exact_key(self, key: Mapping[str, Any]) -> Key:
        """A primary key, checked: `key` names its columns and no others."""
        try:
            if len(key) == len(self.key):
                return self._admit_key(key)
        except KeyError:
            pass  # said below
        raise InvalidChange(f"{self.name}: expected the key {', '.join(self.key)}, got {', '.join(key)}")

    def key_in(self, admitted: Mapping[str, Any]) -> Key:
        """The primary key in values that were admitted."""
        try:
            return self._key_of(admitted)
        except KeyError as error:
            raise InvalidChange(f"{self.name}: a new row needs its key {', '.join(self.key)}: no {error}") from None

    def admit(self, values: dict[str, Any], *, amounts: bool = False) -> dict[str, Any]:
        """The same dict, with values as they are kept; `amounts` are to be added.

        Raises InvalidChange for an unknown column or a value that does not fit.
        """
        admits = self._adds if amounts else self._admits
        try:
            for name, value in values.items():
                admitted = admits[name](value)
                if admitted is not value:  # in place: making another dict takes longer than all the checks
                    values[name] = admitted
            return values
        except KeyError as error:
            raise InvalidChange(f"{self.name}: no column {error}") from None

    def whole(self, key: Key, values: dict[str, Any]) -> dict[str, Any]:
        """A new row: the key, the given values, defaults for the rest."""
        if len(values) == len(self.columns):
            return values
        row = {**self._defaults, **values}
        row.update(zip(self.key, key, strict=True))
        for name in self.required:
            if row[name] is None:
                raise InvalidChange(f"{self.name}: a new row needs {name}")
        return row

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
        key = spec.key_in(spec.admit(values))
        row = spec.whole(key, values)
        change = self.pending[table].get(key)
        if change is None:
            self.pending[table][key] = Change(ABSENT, WHOLE, row, {}, self._owner)
            return
        self._check_owner(spec, key, change)
        if change.shape is not GONE:
            raise InvalidChange(f"{spec.name}: there is already a row with key {key}")
        change.shape, change.values, change.added = WHOLE, row, {}

    def insert_all(self, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """A new row for each tuple of values, which stand in the order of `names`: many rows of one event at once."""
        for values in rows:
            self.insert(table, **dict(zip(names, values, strict=True)))

    def upsert(self, table: sa.Table, key: Mapping[str, Any], /, **values: Any) -> None:
        """Set `values` in the row with this key; make it, with defaults for the rest, if there is none."""
        spec = self._owned(table, "upsert")
        self._set(table, spec, spec.exact_key(key), values, must_exist=False)

    def update(self, table: sa.Table, key: Mapping[str, Any], /, **values: Any) -> None:
        """Set `values` in the row with this key. The event fails if there is none."""
        spec = self._owned(table, "update")
        self._set(table, spec, spec.exact_key(key), values, must_exist=True)

    def increment(self, table: sa.Table, key: Mapping[str, Any], /, **amounts: int | Decimal) -> None:
        """Add `amounts` (negative ones too) to the row with this key; a missing row, and NULL, start at 0."""
        spec = self._specs[table]
        pk = spec.exact_key(key)
        spec.admit(amounts, amounts=True)
        change = self.pending[table].get(pk)
        if change is None:
            found = ANYTHING if spec.required <= amounts.keys() else PRESENT
            self.pending[table][pk] = Change(found, PART, {}, amounts, self._owner)
            return
        if not spec.shared:
            self._check_owner(spec, pk, change)
        if change.shape is GONE:
            change.shape, change.values, change.added = WHOLE, spec.whole(pk, amounts), {}
            return
        values = change.values
        for name, amount in amounts.items():
            sums = values if name in values or change.shape is WHOLE else change.added
            before = sums.get(name)
            if type(before) is int and type(amount) is int:
                sums[name] = before + amount
            else:
                sums[name] = _sum(before, amount)

    def increment_all(self, table: sa.Table, keys: Sequence[Key], /, **amounts: Sequence[int | Decimal]) -> None:
        """Add to each row of `keys`, tuples in the order of the primary key, what stands at its place in `amounts`."""
        names = self._specs[table].key
        for key, values in zip(keys, zip(*amounts.values(), strict=True), strict=True):
            self.increment(table, dict(zip(names, key, strict=True)), **dict(zip(amounts, values, strict=True)))

    def delete(self, table: sa.Table, key: Mapping[str, Any], /) -> None:
        """Remove the row with this key, if there is one."""
        spec = self._owned(table, "delete")
        pk = spec.exact_key(key)
        change = self._change(table, spec, pk)
        if change is None:
            self.pending[table][pk] = Change(ANYTHING, GONE, {}, {}, self._owner)
        else:
            change.shape, change.values, change.added = GONE, {}, {}

    def get(self, table: sa.Table, key: Mapping[str, Any], /) -> dict[str, Any] | None:
        """The row with this key as of this event, or None. Its key must have been named by `prefetch`."""
        spec = self._owned(table, "get")
        pk = spec.exact_key(key)
        change = self._change(table, spec, pk)
        if change is not None and change.shape is GONE:
            return None
        if change is None or change.shape is PART:
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
        spec.admit(values)
        if not spec.key_names.isdisjoint(values):
            raise InvalidChange(f"{spec.name}: the key of a row cannot be changed; delete and insert")
        change = self._change(table, spec, key)
        if change is None:
            found = PRESENT if must_exist or not spec.required <= values.keys() else ANYTHING
            self.pending[table][key] = Change(found, PART, values, {}, self._owner)
        elif change.shape is not GONE:
            change.values.update(values)
            for name in values:
                change.added.pop(name, None)
        elif must_exist:
            raise InvalidChange(f"{spec.name}: no row with key {key}")
        else:
            change.shape, change.values = WHOLE, spec.whole(key, values)

    def _owned(self, table: sa.Table, operation: str) -> TableSpec:
        spec = self._specs[table]
        if spec.shared:
            raise InvalidChange(f"{spec.name} holds totals shared by many keys: increment only, got {operation}")
        return spec

    def _change(self, table: sa.Table, spec: TableSpec, key: Key) -> Change | None:
        change = self.pending[table].get(key)
        if change is not None:
            self._check_owner(spec, key, change)
        return change

    def _check_owner(self, spec: TableSpec, key: Key, change: Change) -> None:
        if change.owner != self._owner:
            raise InvalidChange(
                f"{spec.name}: row {key} belongs to {change.owner} but an event of {self._owner} changes it; "
                "name a coarser key() or declare the table under totals"
            )


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Key]:
    """What takes the values of a key out of a mapping."""
    first = names[0]
    return itemgetter(*names) if len(names) > 1 else lambda values: (values[first],)


def _key_admission(columns: Sequence[tuple[str, Callable[[Any], Any]]]) -> Callable[[Mapping[str, Any]], Key]:
    """What takes a key out of a mapping, checked. Every change needs one, so the usual lengths are spelled out."""
    match columns:
        case [(name, admit)]:
            return lambda key: (admit(key[name]),)
        case [(name, admit), (name_2, admit_2)]:
            return lambda key: (admit(key[name]), admit_2(key[name_2]))
        case _:
            return lambda key: tuple([admit(key[name]) for name, admit in columns])


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
        if change.found is PRESENT:
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

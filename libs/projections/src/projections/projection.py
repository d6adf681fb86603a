"""What the author of a read model writes: a class with its tables and one function per event type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections.errors import InvalidProjection
from projections.rows import Rows, TableSpec, specs_of

Names = str | Sequence[str]
"""A column, or several."""
Handler = Callable[[Any, Any, RecordedEvent, Rows], None]
_F = TypeVar("_F", bound=Callable[..., None])
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")  # with _v<version>_audit it stays below PostgreSQL's 63 bytes
_RESERVED = re.compile(r"_v\d+|^pg_")


def on(*events: type) -> Callable[[_F], _F]:
    """Marks the function of a projection that handles these event classes."""

    def mark(function: _F) -> _F:
        function.__handles__ = events  # type: ignore[attr-defined]  # read back by Projection.__init_subclass__
        return function

    return mark


class Projection:
    """A read model: `tables` whose rows belong to one partition key each, `totals` whose rows many keys share.

    Handlers describe row changes and do nothing else: no clock, no randomness, no I/O, no state in the object.
    Event types without a handler only move the checkpoint.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    tables: ClassVar[Sequence[sa.Table]] = ()
    totals: ClassVar[Sequence[sa.Table]] = ()
    about: ClassVar[Mapping[sa.Table, Names]] = {}
    """The tables whose rows are about somebody, each with the column that names whom, or with several that each name
    one; a reader sees of them the rows of those whom it may see."""
    personal: ClassVar[Mapping[sa.Table, str]] = {}
    """Such tables that hold sealed values. When a subject is erased, its handler empties the subject's rows and leaves
    them: they are counted."""
    partitions: ClassVar[int] = 1
    """So many workers at once feed the live rows, in one process or several; each has one share of the keys."""

    schema: ClassVar[str]
    """Where its live rows are; also the name of its checkpoint: `<name>_v<version>`."""
    whose: ClassVar[Mapping[sa.Table, Sequence[str]]]
    """The tables of `about` and `personal`, each with its columns."""
    handlers: ClassVar[Mapping[type, Handler]] = {}
    specs: ClassVar[Mapping[sa.Table, TableSpec]]
    _live: ClassVar[dict[sa.Table, sa.Table]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handlers = dict(cls.handlers)
        for function in vars(cls).values():
            for event in getattr(function, "__handles__", ()):
                if inspect.iscoroutinefunction(function):
                    raise InvalidProjection(f"{cls.__name__}.{function.__name__}: a handler must not be async")
                handlers[event] = function
        cls.handlers = handlers
        if not cls.name:
            return  # a base for several projections
        if not _NAME.match(cls.name) or _RESERVED.search(cls.name) or cls.version < 1:
            raise InvalidProjection(f"{cls.__name__}: {cls.name!r} v{cls.version} cannot name a schema")
        if cls.partitions < 1:
            raise InvalidProjection(f"{cls.__name__}: expected 1 partition or more, found {cls.partitions}")
        cls.schema = f"{cls.name}_v{cls.version}"
        cls.specs = specs_of(cls.tables, cls.totals)
        declared = {**cls.about, **cls.personal}
        cls.whose = {table: (names,) if isinstance(names, str) else tuple(names) for table, names in declared.items()}
        for table, columns in cls.whose.items():
            if table not in cls.specs or not columns or not set(columns) <= {*table.columns.keys()}:
                named = ", ".join(columns)
                raise InvalidProjection(f"{cls.__name__}: {table.name}.{named} is no column of its tables")
        metadata = sa.MetaData()
        cls._live = {table: table.to_metadata(metadata, schema=cls.schema) for table in cls.specs}

    def key(self, recorded: RecordedEvent) -> str:
        """The partition key whose rows an event changes: what is parked, replayed and sharded together."""
        return recorded.stream

    def prefetch(self, recorded: RecordedEvent) -> Iterable[tuple[sa.Table, Mapping[str, Any]]]:
        """The (table, key) of the rows that the handler of this event will `get`."""
        return ()

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        """Where the rows of a partition key are: for each table, columns with the values that only they have.

        Needed to rebuild single keys, for instance `{accounts: {"account": key}}`. The columns of a row never change.
        """
        return {}

    @classmethod
    def live(cls, table: sa.Table) -> sa.Table:
        """`table` in the schema that serves queries, for SQLAlchemy Core."""
        try:
            return cls._live[table]
        except KeyError:
            raise InvalidProjection(f"{cls.__name__} has no table {table.name}") from None

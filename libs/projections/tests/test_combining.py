"""Combined writes come to the same rows as writing one by one, and fail exactly when one of them would."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from zlib import crc32

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from eventlog import EventTypes
from projections import Amount, InvalidChange, Projection, Rows, install_sql
from projections.bulk import BulkRows
from projections.errors import EventFailed
from projections.generation import Generation
from projections.writer import write_all

metadata = sa.MetaData()
things = sa.Table(
    "things",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("amount", Amount, nullable=False, default=0),
    sa.Column("tokens", sa.Numeric(36, 18)),
    sa.Column("count", sa.Integer),
    sa.Column("state", sa.Text, default="it's: \\new %s"),
    sa.Column("open", sa.Boolean, default=True),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("day", sa.Date),
    sa.Column("ref", sa.Uuid),
    sa.Column("hash", sa.LargeBinary, default=b"\x00\xff"),
    sa.Column("data", JSONB),
    sa.Column("tags", ARRAY(sa.Text)),
    sa.Column("amounts", ARRAY(sa.Numeric(78, 0))),
    sa.Index("things_by_kind", "kind", "at"),
)
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", sa.Numeric(78, 0)),
    sa.Column("tokens", sa.Numeric(36, 18), nullable=False),
    sa.Column("count", sa.BigInteger),
)
counters = sa.Table(
    "counters",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True),
    sa.Column("amount", Amount, nullable=False, default=0),
    sa.Column("count", sa.Integer),
    sa.Column("state", sa.Text, default="new"),
)
tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", sa.Numeric(78, 0)),
    sa.Column("count", sa.BigInteger),
)
keyless = sa.Table("keyless", metadata, sa.Column("id", sa.SmallInteger, primary_key=True))


class Everything(Projection):
    name = "everything"
    tables = (things, counters, keyless)
    totals = (totals, tallies)


@dataclass(frozen=True)
class Op:
    name: str
    table: sa.Table
    key: dict[str, Any]
    values: dict[str, Any]

    def describe_to(self, rows: Rows) -> None:
        match self.name:
            case "insert":
                rows.insert(self.table, **self.key, **self.values)
            case "delete":
                rows.delete(self.table, self.key)
            case _:
                getattr(rows, self.name)(self.table, self.key, **self.values)


text = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=8)
uint256 = st.integers(0, 2**256 - 1) | st.integers(-5, 5)
tokens = st.decimals(-(10**9), 10**9, places=18) | st.sampled_from([Decimal("0.000000000000000001"), Decimal(7)])
json = st.recursive(text | st.integers() | st.booleans(), lambda v: st.dictionaries(text, v) | st.lists(v))
values = st.fixed_dictionaries(
    {},
    optional={
        "kind": text,
        "amount": uint256,
        "tokens": st.none() | tokens,
        "count": st.none() | st.integers(-1000, 1000),
        "state": st.none() | text,
        "open": st.none() | st.booleans(),
        "at": st.none() | st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware by timezones
        "day": st.none() | st.dates(),
        "ref": st.none() | st.uuids(),
        "hash": st.none() | st.binary(max_size=8),
        "data": st.none() | json,
        "tags": st.none() | st.lists(st.none() | text, max_size=3),
        "amounts": st.none() | st.lists(st.none() | uint256, max_size=3),
    },
)

# For combining, few columns, keys and values: what matters is that changes meet in one row.
few = st.integers(-3, 3)
kinds = st.fixed_dictionaries({}, optional={"kind": st.sampled_from("xy"), "amount": few, "count": st.none() | few})
states = st.fixed_dictionaries({}, optional={"state": st.sampled_from(["old", None]), "count": st.none() | few})
sums = st.fixed_dictionaries({}, optional={"amount": few | uint256, "count": few})
shares = st.fixed_dictionaries({}, optional={"amount": few, "count": few, "tokens": tokens})
thing = st.fixed_dictionaries({"owner": st.sampled_from(["a", "b"]), "number": st.just(1)})
number = st.fixed_dictionaries({"id": st.integers(0, 1)})
kind = st.fixed_dictionaries({"kind": st.sampled_from("xy")})
named = st.sampled_from(["insert", "upsert", "update", "delete"])
ops = st.one_of(
    st.builds(Op, named, st.just(things), thing, kinds),
    st.builds(Op, st.just("increment"), st.just(things), thing, sums),
    st.builds(Op, named, st.just(counters), number, states),
    st.builds(Op, st.just("increment"), st.just(counters), number, sums),
    st.builds(Op, named | st.just("increment"), st.just(keyless), number, st.just({})),
    st.builds(Op, st.just("increment"), st.just(totals), kind, shares),
    st.builds(Op, st.just("increment"), st.just(tallies), kind, sums),
)


UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


class Refused(Exception):
    pass


class Model:
    """What each change means, said as plainly as possible."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table.name: {} for table in Everything.specs}

    def apply(self, op: Op) -> None:
        rows = self.tables[op.table.name]
        pk = tuple(op.key[column.name] for column in op.table.primary_key.columns)
        row = rows.get(pk)
        if op.name == "delete":
            rows.pop(pk, None)
            return
        if (op.name == "insert" and row is not None) or (op.name == "update" and row is None):
            raise Refused
        if row is None:
            row = {c.name: c.default.arg if c.default is not None else None for c in op.table.columns} | op.key
            if op.table in Everything.totals:
                row |= {column.name: 0 for column in op.table.columns if not column.primary_key}
        values = op.values
        if op.name == "increment":
            values = {name: (row[name] or 0) + amount for name, amount in op.values.items()}
        if op.table is things and (row | values)["kind"] is None:
            raise Refused
        rows[pk] = row | values


@pytest.fixture
async def generation(pool: asyncpg.Pool) -> Generation:
    await pool.execute(install_sql())
    generation = Generation(Everything(), EventTypes({}))
    async with pool.acquire() as conn:
        await generation.ensure(conn)
    return generation


@pytest.fixture(autouse=True)
def in_bulk_from_one_change_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.bulk.BULK_FROM", 1)


async def write(conn: asyncpg.Connection, generation: Generation, batch: list[Op]) -> None:
    rows = BulkRows(Everything.specs)
    for event, op in enumerate(batch):
        rows.starts(event, "")
        op.describe_to(rows)
        if event % 3 == 2:
            rows.combine()
    rows.combine()
    async with conn.transaction():
        await write_all(conn, generation.writers, rows)


async def contents(conn: asyncpg.Connection) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    return {
        table.name: {
            tuple(row[column.name] for column in table.primary_key.columns): dict(row)
            for row in await conn.fetch(f"SELECT * FROM everything_v1.{table.name}")
        }
        for table in Everything.specs
    }


async def clear(conn: asyncpg.Connection) -> None:
    await conn.execute(f"TRUNCATE {', '.join(f'everything_v1.{table.name}' for table in Everything.specs)}")


@pytest.mark.endurance
@settings(max_examples=200, deadline=None, suppress_health_check=UNCHECKED)
@given(sequence=st.lists(ops, max_size=20), cuts=st.sets(st.integers(1, 19), max_size=3))
async def test_combined_writes_equal_writes_one_by_one(
    pool: asyncpg.Pool, generation: Generation, sequence: list[Op], cuts: set[int]
) -> None:
    model = Model()
    good: list[Op] = []
    for op in sequence:
        try:
            model.apply(op)
        except Refused:
            continue
        good.append(op)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(good)), len(good)]
    async with pool.acquire() as conn:
        for batches in ([[op] for op in good], [good[start:end] for start, end in pairwise(bounds)]):
            await clear(conn)
            for batch in batches:
                await write(conn, generation, batch)
            assert await contents(conn) == model.tables
        if len(good) < len(sequence):
            await clear(conn)
            with pytest.raises((EventFailed, InvalidChange, asyncpg.PostgresError)):
                await write(conn, generation, sequence)


@settings(max_examples=60, deadline=None, suppress_health_check=UNCHECKED)
@given(sequence=st.lists(ops, max_size=30), size=st.integers(1, 5), order=st.randoms(use_true_random=False))
async def test_partitions_written_in_any_order_or_at_once_come_to_the_same_rows(
    pool: asyncpg.Pool, generation: Generation, sequence: list[Op], size: int, order: Random
) -> None:
    model = Model()
    partitions: dict[int, list[Op]] = {0: [], 1: [], 2: []}
    for op in sequence:
        with contextlib.suppress(Refused):
            model.apply(op)
            shared = op.table in Everything.totals  # rows of many keys: any partition may add to them
            key = order.random() if shared else op.key.get("owner", op.key.get("id"))
            partitions[crc32(str(key).encode()) % 3].append(op)
    batches = {
        index: [changes[start : start + size] for start in range(0, len(changes), size)]
        for index, changes in partitions.items()
    }

    async def feed(index: int) -> None:
        async with pool.acquire() as conn:
            for batch in batches[index]:
                await write(conn, generation, batch)

    turns = [index for index in batches for _ in batches[index]]
    order.shuffle(turns)
    upcoming = {index: iter(changes) for index, changes in batches.items()}
    async with pool.acquire() as conn:
        await clear(conn)
        for index in turns:
            await write(conn, generation, next(upcoming[index]))
        assert await contents(conn) == model.tables
        await clear(conn)
        await asyncio.gather(*(feed(index) for index in batches))
        assert await contents(conn) == model.tables


def test_a_mistake_found_in_bulk_is_the_same_events() -> None:
    described = [("a", 1), ("b", 2), ("a", 3)]
    for change in ("insert", "increment"):
        rows = BulkRows(Everything.specs)
        for event, (kind, number) in enumerate(described):
            rows.starts(event, kind)
            if change == "insert":
                rows.insert(keyless, id=number % 2)
            else:
                rows.increment(tallies, {"kind": kind}, count="many" if event == 2 else 1)
        with pytest.raises(EventFailed, match="event 2"):
            rows.combine()


def test_another_change_of_a_table_settles_its_inserts_in_their_order() -> None:
    rows = BulkRows(Everything.specs)
    rows.starts(0, "a")
    rows.insert(counters, id=1)
    rows.starts(1, "b")
    with pytest.raises(InvalidChange, match="belongs to a but an event of b changes it"):
        rows.update(counters, {"id": 1}, count=1)
    rows.starts(2, "a")
    rows.increment(counters, {"id": 1}, amount=5)
    rows.combine()
    assert counters not in rows.inserted
    assert rows.pending[counters][1,].values["amount"] == 5


@settings(max_examples=60, deadline=None, suppress_health_check=UNCHECKED)
@given(values=values)
async def test_a_value_comes_back_exactly_as_it_went_in(
    pool: asyncpg.Pool, generation: Generation, values: dict[str, Any]
) -> None:
    key = {"owner": "a", "number": 1}
    writer = generation.writers[things]
    async with pool.acquire() as conn:
        for many in (1, 200):  # a statement with arrays, and COPY
            await clear(conn)
            rows = Rows(Everything.specs)
            for number in range(many):
                rows.insert(things, owner="a", number=number + 1, **{"kind": "k", **values})
            described = rows.get(things, key)
            await writer.write(conn, rows.pending[things])
            stored = (await writer.read(conn, [("a", 1)]))["a", 1]
            later = Rows(Everything.specs)
            later.found(things, ("a", 1), stored)
            assert later.get(things, key) == described == {**described, **values}
            if "amount" in values:
                assert type(later.get(things, key)["amount"]) is int


async def test_defaults_are_the_same_in_memory_and_in_the_database(pool: asyncpg.Pool, generation: Generation) -> None:
    async with pool.acquire() as conn:
        await write(conn, generation, [Op("insert", things, {"owner": "a", "number": 1}, {"kind": "k"})])
        await write(conn, generation, [Op("upsert", things, {"owner": "a", "number": 2}, {"kind": "k"})])
        first, second = await conn.fetch("SELECT * FROM everything_v1.things ORDER BY number")
    assert dict(first) | {"number": 2} == dict(second)
    assert second["state"] == "it's: \\new %s"
    assert second["hash"] == b"\x00\xff"
    assert second["amount"] == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "x" * 21}, "at most 20 characters"),
        ({"kind": "a\x00b"}, "U\\+0000"),
        ({"kind": "\ud800"}, "surrogates"),
        ({"kind": None}, "expected a value"),
        ({"amount": 1.5}, "expected int, got float"),
        ({"amount": True}, "expected int, got bool"),
        ({"amount": 10**78}, "out of range"),
        ({"count": 2**31}, "out of range"),
        ({"tokens": Decimal("1e-19")}, "more than 18 decimals"),
        ({"tokens": Decimal("NaN")}, "out of range"),
        ({"tokens": 10**18}, "out of range"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the point
        ({"day": datetime(2026, 1, 1, tzinfo=UTC)}, "expected date"),
        ({"data": {"a": "\x00"}}, "U\\+0000"),
        ({"data": {"a": float("nan")}}, "not JSON"),
        ({"data": {1, 2}}, "not JSON"),
        ({"tags": "abc"}, "expected a list"),
        ({"wrong": 1}, "no column 'wrong'"),
        ({"owner": "b"}, "key of a row"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_when_it_is_described(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidChange, match=message):
        Rows(Everything.specs).upsert(things, {"owner": "a", "number": 1}, **values)


@pytest.mark.parametrize("operation", ["insert", "upsert", "update", "delete"])
def test_totals_accept_increments_only(operation: str) -> None:
    with pytest.raises(InvalidChange, match="totals shared by many keys: increment only"):
        Op(operation, totals, {"kind": "x"}, {"amount": 1}).describe_to(Rows(Everything.specs))


def test_a_table_of_another_projection_is_refused() -> None:
    with pytest.raises(InvalidChange, match="elsewhere is not a table of this projection"):
        Rows(Everything.specs).upsert(sa.Table("elsewhere", sa.MetaData()), {"id": 1})


def test_a_row_belongs_to_one_partition_key() -> None:
    rows = Rows(Everything.specs)
    rows.owned_by("stream-a")
    rows.upsert(keyless, {"id": 1})
    rows.owned_by("stream-b")
    rows.increment(totals, {"kind": "x"}, count=1)
    with pytest.raises(InvalidChange, match="belongs to stream-a but an event of stream-b changes it"):
        rows.upsert(keyless, {"id": 1})


def test_amounts_of_more_than_28_digits_are_added_exactly() -> None:
    rows = Rows(Everything.specs)
    for _ in range(2):
        rows.increment(totals, {"kind": "x"}, tokens=Decimal("123456789012345678.000000000000000001"), amount=10**77)
    change = rows.pending[totals]["x",]
    assert change.added["tokens"] == Decimal("246913578024691356.000000000000000002")
    assert change.added["amount"] == 2 * 10**77

"""The domain of these tests, a small bank: accounts are streams, currencies are shared by many accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import sqlalchemy as sa

from eventlog import EventTypes, NewEvent, RecordedEvent, Watermark
from eventlog.testing import eventually
from projections import Amount, Projection, Rows, Runner, on

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Credited:
    currency: str
    amount: int
    entry: str


@dataclass(frozen=True, slots=True)
class Renamed:
    title: str


@dataclass(frozen=True, slots=True)
class Ignored:
    pass


TYPES = EventTypes({"Credited.v1": Credited, "Renamed.v1": Renamed, "Ignored.v1": Ignored})

_metadata = sa.MetaData()
accounts = sa.Table(
    "accounts",
    _metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False, default="unnamed"),
    sa.Column("balance", Amount, nullable=False, default=0),
    sa.Column("position", sa.BigInteger, nullable=False),
)
entries = sa.Table(
    "entries",
    _metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("entry", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Index("entries_by_amount", "amount"),
)
currencies = sa.Table(
    "currencies",
    _metadata,
    sa.Column("currency", sa.Text, primary_key=True),
    sa.Column("amount", sa.Numeric(78, 0)),
    sa.Column("credits", sa.BigInteger),
)


class Balances(Projection):
    """The poison: a title `boom` fails in the handler, a repeated entry in the database."""

    name = "balances"
    tables = (accounts, entries)
    totals = (currencies,)

    @on(Credited)
    def credited(self, event: Credited, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(entries, account=recorded.stream, entry=event.entry, amount=event.amount)
        rows.upsert(accounts, {"account": recorded.stream}, position=recorded.position)
        rows.increment(accounts, {"account": recorded.stream}, balance=event.amount)
        rows.increment(currencies, {"currency": event.currency}, amount=event.amount, credits=1)

    @on(Renamed)
    def renamed(self, event: Renamed, recorded: RecordedEvent, rows: Rows) -> None:
        if event.title == "boom":
            raise RuntimeError("boom")
        rows.upsert(accounts, {"account": recorded.stream}, title=event.title, position=recorded.position)


class Statements(Balances):
    """The same without totals, so that the rows of one account can be rebuilt by themselves."""

    name = "statements"
    totals = ()

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {accounts: {"account": key}, entries: {"account": key}}

    @on(Credited)
    def credited(self, event: Credited, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(entries, account=recorded.stream, entry=event.entry, amount=event.amount)
        rows.upsert(accounts, {"account": recorded.stream}, position=recorded.position)
        rows.increment(accounts, {"account": recorded.stream}, balance=event.amount)


class MendedStatements(Statements):
    """The same projection after its handler was mended."""

    @on(Renamed)
    def renamed(self, event: Renamed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(accounts, {"account": recorded.stream}, title=event.title, position=recorded.position)


class Mended(Balances):
    """The same projection after its handler was mended."""

    @on(Renamed)
    def renamed(self, event: Renamed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(accounts, {"account": recorded.stream}, title=event.title, position=recorded.position)


highest = sa.Table(
    "highest",
    sa.MetaData(),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("entry", sa.Text),
)


class Highest(Projection):
    """Has to read its rows: the highest credit of each account."""

    name = "highest"
    tables = (highest,)

    def prefetch(self, recorded: RecordedEvent) -> list[tuple[sa.Table, Mapping[str, Any]]]:
        return [(highest, {"account": recorded.stream})]

    @on(Credited)
    def credited(self, event: Credited, recorded: RecordedEvent, rows: Rows) -> None:
        row = rows.get(highest, {"account": recorded.stream})
        if row is None or event.amount > row["amount"]:
            rows.upsert(highest, {"account": recorded.stream}, amount=event.amount, entry=event.entry)


turnover = sa.Table(
    "turnover",
    sa.MetaData(),
    sa.Column("currency", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("last", sa.Text, nullable=False),
)


class Parted(Balances):
    """The same, fed by three workers at once."""

    name = "parted"
    partitions = 3


class MendedParted(Mended):
    """The same projection after its handler was mended."""

    name = "parted"
    partitions = 3


class PartedStatements(Statements):
    name = "parted_statements"
    partitions = 2


class ByCurrency(Projection):
    """Its rows belong to currencies, so many streams change one."""

    name = "by_currency"
    tables = (turnover,)

    def key(self, recorded: RecordedEvent) -> str:
        return str(recorded.event.currency)

    @on(Credited)
    def credited(self, event: Credited, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(turnover, {"currency": event.currency}, last=event.entry, amount=event.amount)


class PartedByCurrency(ByCurrency):
    """Its keys are not streams."""

    name = "parted_by_currency"
    partitions = 2


class PartedHighest(Highest):
    """It reads its rows."""

    name = "parted_highest"
    partitions = 2


def credited(stream: str, amount: int = 1, *, entry: str | None = None, currency: str = "TRX") -> NewEvent:
    event = NewEvent(stream, Credited(currency, amount, entry or ""), NOW)
    return event if entry else NewEvent(stream, Credited(currency, amount, str(event.event_id)), NOW)


def renamed(stream: str, title: str) -> NewEvent:
    return NewEvent(stream, Renamed(title), NOW)


@asynccontextmanager
async def running(*workers: Runner | Watermark) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise result or RuntimeError("a worker ended by itself")


@asynccontextmanager
async def cut_pool(database: str, **options: Any) -> AsyncIterator[asyncpg.Pool]:
    """A pool whose connections a test cuts. It isn't closed: asyncpg now and then never gets back one that was cut."""
    pool = await asyncpg.create_pool(database, min_size=1, max_size=10, **options)
    try:
        yield pool
    finally:
        pool.terminate()


async def stands_still(position: Callable[[], Awaitable[object]]) -> None:
    """Until what `position` tells has stayed the same for a second."""
    async with asyncio.timeout(240):
        while True:
            before = await position()
            await asyncio.sleep(1)
            if await position() == before:
                return


async def caught_up(pool: asyncpg.Pool, *subscriptions: str) -> None:
    async def reached() -> bool:
        return bool(
            await pool.fetchval(
                """SELECT count(*) = $2 FROM progress WHERE subscription = ANY ($1)
                   AND position >= (SELECT coalesce(max(position), 0) FROM events)""",
                list(subscriptions),
                len(subscriptions),
            )
        )

    await eventually(reached)


async def rows_of(pool: asyncpg.Pool, projection: type[Projection], suffix: str = "") -> dict[str, list[str]]:
    return {
        table.name: [
            row[0]
            for row in await pool.fetch(f"SELECT t::text FROM {projection.schema}{suffix}.{table.name} t ORDER BY t")
        ]
        for table in projection.specs
    }

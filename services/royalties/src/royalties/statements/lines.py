"""The lines of a party in an asset: which are asked for, what they add up to, and one batch of them after another.

Lines are never changed nor removed, and new ones have higher positions. So what was known at a position of the log can
be read at any time, in as many pieces as one likes, and is always the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from royalties.domain.books import PARTY_CLASSES
from royalties.projections.agreements import scale_of
from royalties.projections.ledger import Ledger, entries, lines
from service import Queries
from service.queries import Row

Key = tuple[datetime, int, int]  # when, position in the log, number of the posting
BATCH = 5_000  # lines fetched at once: bounds the memory of a statement of any length


_OF_SCOPE = ("owner", "asset")  # what a line needn't repeat


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for: the lines with since <= at < until, of those known at a position of the log."""

    party: str
    asset: str
    since: datetime | None = None
    until: datetime | None = None
    position: int | None = None
    """None: all that are known now."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the party was owed before and after; `position` is that of its last line in the log.

    `reached` is what it was owed after the line that was asked for; without a `scale` there is no such asset.
    """

    opening: int
    closing: int
    count: int
    position: int
    reached: int
    scale: int | None


async def bounds(reads: Queries, scope: Scope, after: Key | None = None) -> Bounds:
    """What the lines add up to."""
    line = Ledger.live(lines)
    before = line.c.at < scope.since if scope.since is not None else sa.false()
    passed = before if after is None else sa.or_(before, sa.tuple_(*_key(line)) <= sa.tuple_(*after))
    total = sa.func.sum(line.c.amount)
    row = await reads.first(
        sa.select(
            sa.func.coalesce(total.filter(before), 0).label("opening"),
            sa.func.coalesce(total, 0).label("closing"),
            sa.func.count().filter(sa.not_(before)).label("count"),
            sa.func.coalesce(sa.func.max(line.c.position), 0).label("position"),
            sa.func.coalesce(total.filter(passed), 0).label("reached"),
            scale_of(sa.literal(scope.asset)),
        ).where(*_within(line, scope))
    )
    opening, closing, reached = (int(row[name]) for name in ("opening", "closing", "reached"))
    return Bounds(opening, closing, row["count"], row["position"], reached, row["scale"])


async def batch(reads: Queries, scope: Scope, after: Key | None, limit: int) -> list[Row]:
    """The first `limit` lines after a line, in order."""
    line, entry = Ledger.live(lines), Ledger.live(entries)
    columns = [column for column in line.c if column.key not in _OF_SCOPE]
    columns += [column for column in entry.c if column.key != "position"]
    query = sa.select(*map(_told, columns)).join(entry, entry.c.position == line.c.position)
    query = query.where(*_within(line, scope))
    if scope.since is not None:
        query = query.where(line.c.at >= scope.since)
    if after is not None:
        query = query.where(sa.tuple_(*_key(line)) > sa.tuple_(*after))
    return await reads.all(query.order_by(*_key(line)).limit(limit))


async def batches(reads: Queries, scope: Scope) -> AsyncIterator[list[Row]]:
    """All lines, in order, some thousands at a time; the next are fetched while these are written."""
    rows = await batch(reads, scope, None, BATCH)
    while len(rows) == BATCH:
        following = asyncio.create_task(batch(reads, scope, key_of(rows[-1]), BATCH))
        try:
            yield rows
            rows = await following
        finally:
            following.cancel()  # whoever asked has gone
    if rows:
        yield rows


def key_of(row: Row) -> Key:
    return (row["at"], row["position"], row["posting"])


def _within(line: sa.FromClause, scope: Scope) -> list[sa.ColumnElement[bool]]:
    of_party = line.c.account_class.in_(PARTY_CLASSES)  # a contract, or a source of money, may have the same name
    conditions = [line.c.owner == scope.party, line.c.asset == scope.asset, of_party]
    if scope.until is not None:
        conditions.append(line.c.at < scope.until)
    if scope.position is not None:
        conditions.append(line.c.position <= scope.position)
    return conditions


def _key(line: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
    return (line.c.at, line.c.position, line.c.posting)


def _told(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Numbers of any size as their digits, which is how they are written."""
    digits = isinstance(column.type, sa.TypeDecorator)
    return sa.cast(column, sa.Text).label(column.key) if digits else column

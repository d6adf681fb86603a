"""Values that are changed when they are kept, or could be changed by the handler afterwards, written in bulk."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from eventlog import EventLog
from projections import Amount, InvalidChange, Projection
from projections.bulk import BULK_FROM, BulkRows
from projections.errors import EventFailed
from projections.generation import Generation
from projections.writer import write_all

papers = sa.Table(
    "papers",
    sa.MetaData(),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("data", JSONB),
    sa.Column("tags", ARRAY(sa.Text)),
    sa.Column("tokens", sa.Numeric(36, 18)),
    sa.Column("read", sa.Boolean, default=False),
)


pages = sa.Table(
    "pages",
    sa.MetaData(),
    sa.Column("shelf", sa.Text, primary_key=True),
    sa.Column("year", sa.Integer, primary_key=True),
    sa.Column("pages", Amount, nullable=False),
)


class Papers(Projection):
    name = "papers"
    tables = (papers,)
    totals = (pages,)


@pytest.mark.parametrize("settled", [False, True])
async def test_what_a_handler_does_with_a_value_afterwards_changes_no_row(
    pool: asyncpg.Pool, log: EventLog, settled: bool
) -> None:
    generation, rows = Generation(Papers(), log.types), BulkRows(Papers.specs)
    data = {"number": 0, "text": 'a "quoted" \\ text'}
    for number in range(BULK_FROM):
        rows.starts(number, "a")
        data["number"] = number
        rows.insert(papers, number=number, data=data, tags=["x", None], tokens=Decimal("1.5"))
    if settled:  # by another change of the table: then they are described again, one by one
        rows.update(papers, {"number": 0}, read=True)
    rows.combine()
    assert (papers in rows.inserted) is not settled
    async with pool.acquire() as conn:
        await generation.ensure(conn)
        await write_all(conn, generation.writers, rows)
        found = await conn.fetch("SELECT data, tags, tokens, read FROM papers_v1.papers ORDER BY number")
    assert [json.loads(row["data"]) for row in found] == [{**data, "number": number} for number in range(BULK_FROM)]
    assert {(*row["tags"], row["tokens"]) for row in found} == {("x", None, Decimal("1.5"))}
    assert [row["read"] for row in found] == [settled] + [False] * (BULK_FROM - 1)


def test_one_that_does_not_fit_is_refused_at_once() -> None:
    rows = BulkRows(Papers.specs)
    rows.starts(0, "a")
    with pytest.raises(InvalidChange, match="not JSON"):
        rows.insert(papers, number=1, data={"a": {1, 2}})


NUMBERS = [(number, number % 3 == 0) for number in range(2 * BULK_FROM)]
SHELVES = [("a", 1), ("b", 1), ("a", 1), ("a", 2)] * BULK_FROM


async def test_many_changes_of_an_event_come_to_the_same_at_once_and_one_by_one(
    pool: asyncpg.Pool, log: EventLog
) -> None:
    generation, counted = Generation(Papers(), log.types), [*range(len(SHELVES))]
    at_once, one_by_one = BulkRows(Papers.specs), BulkRows(Papers.specs)
    at_once.starts(0, "a")
    at_once.insert_all(papers, ("number", "read"), NUMBERS)
    at_once.increment_all(pages, SHELVES, pages=counted)
    one_by_one.starts(0, "a")
    for number, read in NUMBERS:
        one_by_one.insert(papers, number=number, read=read)
    for (shelf, year), more in zip(SHELVES, counted, strict=True):
        one_by_one.increment(pages, {"shelf": shelf, "year": year}, pages=more)
    shown = []
    async with pool.acquire() as conn:
        await generation.ensure(conn)
        for rows in (at_once, one_by_one):
            rows.combine()
            await write_all(conn, generation.writers, rows)
            shown.append(
                [await conn.fetch(f"SELECT * FROM papers_v1.{table} ORDER BY 1, 2") for table in ("papers", "pages")]
            )
            await conn.execute("TRUNCATE papers_v1.papers, papers_v1.pages")
    assert shown[0] == shown[1]
    assert [(row["shelf"], row["year"], row["pages"]) for row in shown[0][1]][1:] == [
        ("a", 2, sum(counted[3::4])), ("b", 1, sum(counted[1::4]))
    ]  # fmt: skip


def refused_by(rows: BulkRows, describe: Callable[[], None]) -> int | None:
    """The event whose fault it is that a change is refused, as it is described or when all are combined."""
    try:
        describe()
    except (InvalidChange, ValueError):
        return 7  # the one whose handler runs
    try:
        rows.combine()
    except EventFailed as failed:
        return failed.index
    return None


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (("number", "read"), [*NUMBERS, (1, False)]),
        (("number", "read"), [*NUMBERS, (2**63, False)]),
        (("number", "colour"), NUMBERS),
    ],
)
def test_a_row_among_many_that_does_not_fit_is_its_events_fault(names: tuple[str, ...], refused: list[Any]) -> None:
    rows = BulkRows(Papers.specs)
    rows.starts(0, "a")
    rows.insert_all(papers, ("number", "read"), [(1_000, True)])
    rows.starts(7, "a")
    assert refused_by(rows, lambda: rows.insert_all(papers, names, refused)) == 7


@pytest.mark.parametrize(
    ("keys", "amounts"),
    [(SHELVES, [1]), ([("a",)] * 30, [1] * 30), (SHELVES, [1.5] * len(SHELVES)), ([(1, "a")] * 30, [1] * 30)],
)
def test_increments_that_do_not_fit_are_their_events_fault(keys: list[Any], amounts: list[Any]) -> None:
    rows = BulkRows(Papers.specs)
    rows.starts(0, "a")
    rows.increment_all(pages, SHELVES, pages=[1] * len(SHELVES))
    rows.starts(7, "a")
    assert refused_by(rows, lambda: rows.increment_all(pages, keys, pages=amounts)) == 7

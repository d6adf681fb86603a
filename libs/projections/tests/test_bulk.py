"""Values that are changed when they are kept, or could be changed by the handler afterwards, written in bulk."""

from __future__ import annotations

import json
from decimal import Decimal

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from eventlog import EventLog
from projections import InvalidChange, Projection
from projections.bulk import BULK_FROM, BulkRows
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


class Papers(Projection):
    name = "papers"
    tables = (papers,)


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

"""A party's statement: opening balance, every line with where it comes from, closing balance; as JSON or CSV."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field, computed_field

from contracts.values import Address, Hash, SignedAmount, Uint256
from royalties import queries
from royalties.domain import SCALES, TRX, AccountClass
from service import PageRequest, Queries
from service.queries import Row

CSV_LINES = 5_000  # fetched at once: bounds the memory of a statement of any length


Position = Annotated[int, Field(ge=0, lt=2**63)]
PostingNumber = Annotated[int, Field(ge=0, lt=2**31)]


class InAsset(BaseModel):
    """Amounts of one asset. They are in its smallest unit: 10^-scale of it, sun for TRX."""

    asset: str = TRX

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def scale(self) -> int:
        return SCALES[self.asset]


class OnChain(BaseModel):
    """Where on the chain a fact stands, to be looked up at any node."""

    at: datetime
    block_number: int
    tx_id: Hash
    log_index: int


class Line(BaseModel):
    """A posting to an account of the party. It comes from the chain, or from a caller under a reference of its own."""

    position: int = Field(description="Of the event in the log; with `posting` it identifies the line.")
    posting: int
    at: datetime
    kind: str = Field(
        description="royalty-primary, royalty-secondary, royalty-direct, carry, payout; sale, proceeds-payout"
    )
    account_class: AccountClass
    amount: SignedAmount = Field(description="What the party is owed grows by it; below zero, it shrinks.")
    balance: SignedAmount = Field(description="What the party is owed after this line.")
    track_id: Uint256 | None
    token_id: Uint256 | None
    payment_id: Uint256 | None
    split_version: int | None
    block_number: int | None
    log_index: int | None
    tx_id: Hash | None
    caller: str | None
    reference: str | None

    @property
    def key(self) -> queries.LineKey:
        return (self.at, self.position, self.posting)


class Statement(InAsset):
    """What a party was owed before, what changed it, and what it was owed after. `count` is that of all lines."""

    party: Address
    since: datetime | None = Field(serialization_alias="from")
    until: datetime | None = Field(serialization_alias="to")
    opening_balance: SignedAmount
    lines: list[Line]
    closing_balance: SignedAmount
    count: int
    next: str | None = Field(None, description="Pass as `cursor` for the next lines of the same statement.")


class Period(BaseModel):
    """What is asked for: from `since` on, up to but not including `until`."""

    party: Address
    asset: str
    since: datetime | None
    until: datetime | None


async def page(reads: Queries, period: Period, paging: PageRequest) -> Statement:
    """A page of the statement; the balances are those of the whole period."""
    seen = paging.after(AwareDatetime, Position, PostingNumber)
    after = None if seen is None else (seen[0], seen[1], seen[2])
    rows = await _fetch(reads, period, after, paging.limit + 1)
    lines = paging.page(_lines(rows), lambda line: line.key)
    return Statement(
        **period.model_dump(),
        opening_balance=int(rows[0]["opening"]),
        closing_balance=int(rows[0]["closing"]),
        count=rows[0]["count"],
        lines=lines.items,
        next=lines.next,
    )


_COLUMNS = ("at", "kind", "block_number", "tx_id", "log_index", "caller", "reference", "track_id", "token_id",
            "payment_id", "split_version", "account_class", "amount", "balance", "asset", "scale",
            "position", "posting")  # fmt: skip


async def as_csv(reads: Queries, period: Period) -> AsyncIterator[str]:
    """The whole statement as CSV (RFC 4180), fetched and written piece by piece.

    The running balance is added up from the lines written, so that the closing balance is their sum whatever arrives
    meanwhile.
    """
    rows = await _fetch(reads, period, None, CSV_LINES)
    balance = int(rows[0]["opening"])
    yield _csv([_balance_row("opening balance", period, period.since, balance)], header=True)
    while lines := _lines(rows):
        written = []
        for line in lines:
            balance += line.amount
            written.append(line.model_dump(mode="json") | {"balance": balance, **_unit(period)})
        yield _csv(written)
        if len(lines) < CSV_LINES:
            break
        rows = await _fetch(reads, period, lines[-1].key, CSV_LINES)
    yield _csv([_balance_row("closing balance", period, period.until, balance)])


def _balance_row(kind: str, period: Period, at: datetime | None, balance: int) -> dict[str, Any]:
    return {"at": at and at.isoformat(), "kind": kind, "balance": balance, **_unit(period)}


def _unit(period: Period) -> dict[str, Any]:
    return {"asset": period.asset, "scale": SCALES[period.asset]}


def _csv(rows: Sequence[dict[str, Any]], header: bool = False) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _lines(rows: Sequence[Row]) -> list[Line]:
    return [Line(**row) for row in rows if row["position"] is not None]


async def _fetch(reads: Queries, period: Period, after: queries.LineKey | None, limit: int) -> list[Row]:
    return await reads.all(queries.statement(period.party, period.asset, period.since, period.until, after, limit))

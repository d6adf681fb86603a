"""Revenue month by month: what came in for tracks, and what pools were given and have shared."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import TRX, PaymentPosted, RefundPosted, ReversalPosted, SalePosted, distributions
from royalties.domain.books import Entries
from royalties.projections.common import NO_TRACK, metadata, month_of

track_revenue = sa.Table(
    "track_revenue",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),  # its first day, in UTC
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),  # below zero where more was refunded than came in
)

revenue_pools = sa.Table(
    "revenue_pools",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),
    sa.Column("allocated", Amount, nullable=False, default=0),
    sa.Column("set_aside", Amount, nullable=False, default=0),
    sa.Column("returned", Amount, nullable=False, default=0),
    sa.Column("coin_value", Amount),
)


class RevenuePools(Projection):
    """What was put into each pool and shared from it by month, with the value of the creator's coin beside it."""

    name = "revenue_pools"
    tables = (revenue_pools,)

    @on(distributions.RevenueAllocated)
    def allocated(self, event: distributions.RevenueAllocated, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(revenue_pools, _month(event, recorded), allocated=event.amount)

    @on(distributions.RevenueSetAside)
    def set_aside(self, event: distributions.RevenueSetAside, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(revenue_pools, _month(event, recorded), set_aside=event.amount)

    @on(distributions.RevenueReturned)
    def returned(self, event: distributions.RevenueReturned, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(revenue_pools, _month(event, recorded), returned=event.amount)

    @on(distributions.CoinValued)
    def valued(self, event: distributions.CoinValued, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"pool": event.pool, "asset": event.asset, "month": event.month}
        rows.upsert(revenue_pools, key, coin_value=event.coin_value)


class TrackRevenue(Projection):
    """What came in for each track by month, in full: before fee and split."""

    name = "track_revenue"
    totals = (track_revenue,)

    @on(PaymentPosted)
    def paid(self, event: PaymentPosted, recorded: RecordedEvent, rows: Rows) -> None:
        _came(recorded, rows, event.track_id, TRX, event.kind.name.lower(), event.amount_sun)

    @on(SalePosted)
    def sold(self, event: SalePosted, recorded: RecordedEvent, rows: Rows) -> None:
        sale = event.sale
        _came(recorded, rows, sale.track_id, sale.asset, sale.kind.value, _taken_in(event.entries))

    @on(RefundPosted, ReversalPosted)
    def changed(self, event: RefundPosted | ReversalPosted, recorded: RecordedEvent, rows: Rows) -> None:
        _came(recorded, rows, event.track_id, event.asset, event.kind.value, _taken_in(event.entries))


def _taken_in(entries: Entries) -> int:
    """What the platform took in, less what a seller gets of it; below zero, it gave back."""
    return sum(amount for account, amount in entries if account.startswith(("clearing:", "seller:")))


def _came(recorded: RecordedEvent, rows: Rows, track_id: int | None, asset: str, kind: str, amount: int) -> None:
    key = {"track_id": track_id or NO_TRACK, "asset": asset, "month": month_of(recorded.occurred_at), "kind": kind}
    rows.increment(track_revenue, key, amount=amount)


_Moved = distributions.RevenueAllocated | distributions.RevenueSetAside | distributions.RevenueReturned


def _month(event: _Moved, recorded: RecordedEvent) -> dict[str, Any]:
    return {"pool": event.pool, "asset": event.asset, "month": month_of(recorded.occurred_at)}

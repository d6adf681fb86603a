"""Every sale of an edition."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import SaleRecorded
from royalties.projections.common import metadata, of_chain, source

nft_sales = sa.Table(
    "nft_sales",
    metadata,
    sa.Column("token_id", Amount, primary_key=True),
    *of_chain(key=True),
    sa.Column("track_id", Amount, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("seller", sa.Text, nullable=False),
    sa.Column("buyer", sa.Text, nullable=False),
    sa.Column("price_sun", Amount, nullable=False),
    sa.Column("forwarded_sun", Amount, nullable=False),  # to RoyaltyDistributor
    sa.Index("nft_sales_order", "block_number", "log_index"),
    sa.Index("nft_sales_track", "track_id", "block_number", "log_index"),
)


class Sales(Projection):
    """Every sale of an edition, primary and secondary."""

    name = "sales"
    tables = (nft_sales,)

    @on(SaleRecorded)
    def sold(self, event: SaleRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            nft_sales,
            token_id=event.token_id,
            track_id=event.track_id,
            kind=event.kind.name.lower(),
            seller=event.seller,
            buyer=event.buyer,
            price_sun=event.price_sun,
            forwarded_sun=event.forwarded_sun,
            **source(event.source),
        )

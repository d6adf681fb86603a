"""Sales off the chain, and what was taken back of them."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import Reference, RefundPosted, ReversalPosted, SalePosted
from royalties.projections.common import metadata

platform_sales = sa.Table(
    "platform_sales",
    metadata,
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("sale_id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("agreement", sa.Text, nullable=False),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("left", Amount, nullable=False),
    sa.Column("fee", Amount, nullable=False),  # of the whole amount
    sa.Column("fee_bps", sa.Integer, nullable=False),
    sa.Column("terms_version", sa.BigInteger, nullable=False),
    sa.Column("royalty", Amount),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("track_id", Amount),
    sa.Column("buyer", sa.Text),
    sa.Column("seller", sa.Text),
    sa.Index("platform_sales_order", "position"),
    sa.Index("platform_sales_agreement", "agreement", "position"),
)

sale_changes = sa.Table(
    "sale_changes",
    metadata,
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("sale_caller", sa.Text, nullable=False),
    sa.Column("sale_id", sa.Text, nullable=False),
    sa.Column("refunded", Amount),  # of a refund
    sa.Column("left", Amount, nullable=False),  # of the sale
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.Text),  # of a correction
    sa.Column("of", sa.Text),  # the id of what a correction undid
    sa.Index("sale_changes_sale", "sale_caller", "sale_id", "position"),
)


class PlatformSales(Projection):
    """Every sale off the chain with what is left of it, every refund and correction."""

    name = "platform_sales"
    tables = (platform_sales, sale_changes)

    @on(SalePosted)
    def sold(self, event: SalePosted, recorded: RecordedEvent, rows: Rows) -> None:
        sale = event.sale
        rows.insert(
            platform_sales,
            caller=sale.reference.caller,
            sale_id=sale.reference.id,
            position=recorded.position,
            occurred_at=recorded.occurred_at,
            agreement=sale.agreement,
            split_version=event.version,
            kind=sale.kind.value,
            asset=sale.asset,
            amount=sale.amount,
            left=sale.amount,
            fee=event.division.fee,
            fee_bps=event.fee_bps,
            terms_version=event.terms,
            royalty=sale.royalty,
            source=sale.source,
            track_id=sale.track_id,
            buyer=sale.buyer,
            seller=sale.seller,
        )

    @on(RefundPosted)
    def refunded(self, event: RefundPosted, recorded: RecordedEvent, rows: Rows) -> None:
        refund = event.refund
        self._change(event, recorded, rows, refunded=refund.amount, reason=refund.reason)

    @on(ReversalPosted)
    def reversed(self, event: ReversalPosted, recorded: RecordedEvent, rows: Rows) -> None:
        reversal = event.reversal
        self._change(event, recorded, rows, reason=reversal.reason, author=reversal.author, of=reversal.of.id)

    def _change(
        self, event: RefundPosted | ReversalPosted, recorded: RecordedEvent, rows: Rows, **more: str | int
    ) -> None:
        rows.update(platform_sales, _key(event.sale), left=event.left)
        rows.insert(
            sale_changes,
            caller=event.reference.caller,
            id=event.reference.id,
            position=recorded.position,
            occurred_at=recorded.occurred_at,
            sale_caller=event.sale.caller,
            sale_id=event.sale.id,
            left=event.left,
            **more,
        )


def _key(sale: Reference) -> dict[str, str]:
    return {"caller": sale.caller, "sale_id": sale.id}

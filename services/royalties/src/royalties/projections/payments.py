"""What was paid for tracks, to whom it was credited, and what was paid out."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import PaymentPosted, RoyaltyPosted, WithdrawalPosted
from royalties.projections.common import metadata, of_chain, source

track_payments = sa.Table(
    "track_payments",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("payment_id", Amount, primary_key=True),
    sa.Column("payer", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount_sun", Amount, nullable=False),
    sa.Column("fee_sun", Amount, nullable=False),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    sa.Column("credited_sun", Amount, nullable=False, default=0),
    *of_chain(),
    sa.Index("track_payments_tx", "tx_id", "track_id"),
    sa.Index("track_payments_order", "track_id", "block_number", "log_index"),
)

nft_royalties = sa.Table(
    "nft_royalties",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("payment_id", Amount, primary_key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("amount_sun", Amount, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    *of_chain(),
)

royalty_payments = sa.Table(
    "royalty_payments",  # what was paid out
    metadata,
    sa.Column("recipient", sa.Text, primary_key=True),
    *of_chain(key=True),
    sa.Column("contract", sa.Text, nullable=False),
    sa.Column("amount_sun", Amount, nullable=False),
)


class Royalties(Projection):
    """Every payment for a track, and the part of each collaborator."""

    name = "royalties"
    tables = (track_payments, nft_royalties)

    @on(PaymentPosted)
    def paid(self, event: PaymentPosted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            track_payments,
            track_id=event.track_id,
            payment_id=event.payment_id,
            payer=event.payer,
            kind=event.kind.name.lower(),
            amount_sun=event.amount_sun,
            fee_sun=event.fee_sun,
            split_version=event.split_version,
            **source(event.source),
        )

    @on(RoyaltyPosted)
    def credited(self, event: RoyaltyPosted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            nft_royalties,
            track_id=event.track_id,
            payment_id=event.payment_id,
            recipient=event.recipient,
            amount_sun=event.amount_sun,
            kind=event.kind.name.lower(),
            split_version=event.split_version,
            **source(event.source),
        )
        payment = {"track_id": event.track_id, "payment_id": event.payment_id}
        rows.increment(track_payments, payment, credited_sun=event.amount_sun)


class Payouts(Projection):
    """Every withdrawal of earnings or of a seller's proceeds."""

    name = "payouts"
    tables = (royalty_payments,)

    @on(WithdrawalPosted)
    def paid_out(self, event: WithdrawalPosted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            royalty_payments,
            recipient=event.account,
            contract=event.contract,
            amount_sun=event.amount_sun,
            **source(event.source),
        )

"""Sums of postings: the balance of every account, what each collaborator has earned."""

from __future__ import annotations

from datetime import UTC

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import MONEY_MOVED, TRX, CarrySettlementPosted, MoneyMoved, RoyaltyPosted, Side
from royalties.projections.common import metadata

balances = sa.Table(
    "balances",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("debits", Amount, nullable=False),
    sa.Column("credits", Amount, nullable=False),
)

artist_earnings = sa.Table(
    "artist_earnings",
    metadata,
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),  # its first day, in UTC
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
)


DEBIT = Side.DEBIT


class Balances(Projection):
    """Debits and credits of every account: the sum of all postings to it."""

    name = "balances"
    totals = (balances,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        for account, asset, side, amount in event.postings:
            debit, credit = (amount, 0) if side is DEBIT else (0, amount)  # alike, so that many are added up at once
            rows.increment(balances, {"account": account, "asset": asset}, debits=debit, credits=credit)


class ArtistEarnings(Projection):
    """What each collaborator has earned, by asset, month, track and kind of source."""

    name = "artist_earnings"
    totals = (artist_earnings,)

    @on(RoyaltyPosted, CarrySettlementPosted)
    def earned(self, event: RoyaltyPosted | CarrySettlementPosted, recorded: RecordedEvent, rows: Rows) -> None:
        key = {
            "recipient": event.recipient,
            "asset": TRX,
            "month": event.source.block_time.astimezone(UTC).date().replace(day=1),
            "track_id": event.track_id,
            "kind": event.kind.name.lower() if isinstance(event, RoyaltyPosted) else "carry",
        }
        rows.increment(artist_earnings, key, amount=event.amount_sun, times=1)

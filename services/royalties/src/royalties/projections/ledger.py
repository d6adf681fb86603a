"""Sums of postings: the balance of every account, what each collaborator has earned."""

from __future__ import annotations

from datetime import UTC, date
from typing import assert_never

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import (
    MONEY_MOVED,
    AccountClass,
    CarryGivenOut,
    CarrySettlementPosted,
    MoneyMoved,
    RefundPosted,
    ReversalPosted,
    RoyaltyPosted,
    SalePosted,
    Side,
)
from royalties.domain.books import PLATFORM_FEE
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


platform_income = sa.Table(
    "platform_income",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),  # its first day, in UTC
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
)

Earned = RoyaltyPosted | CarrySettlementPosted | SalePosted | RefundPosted | ReversalPosted | CarryGivenOut
NO_TRACK = 0
"""Stands for a sale that is of no track: the contracts count tracks from 1."""


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
    """What each collaborator has earned, by asset, month, track and kind of source; less what was taken back."""

    name = "artist_earnings"
    totals = (artist_earnings,)

    @on(RoyaltyPosted, CarrySettlementPosted, SalePosted, RefundPosted, ReversalPosted, CarryGivenOut)
    def earned(self, event: Earned, recorded: RecordedEvent, rows: Rows) -> None:
        of = {
            "month": month_of(recorded),
            "track_id": getattr(event, "track_id", None) or NO_TRACK,
            "kind": _kind(event),
        }
        for posting in event.postings:
            account_class, _, recipient = posting.account.partition(":")
            if account_class == AccountClass.EARNINGS:
                amount = posting.amount if posting.side is Side.CREDIT else -posting.amount
                rows.increment(
                    artist_earnings, {"recipient": recipient, "asset": posting.asset, **of}, amount=amount, times=1
                )


class PlatformIncome(Projection):
    """The fees that payments and sales left to the platform, by asset, month and kind; less what was taken back."""

    name = "platform_income"
    totals = (platform_income,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        for posting in event.postings:
            if posting.account == PLATFORM_FEE:
                key = {"asset": posting.asset, "month": month_of(recorded), "kind": event.line_kind}
                amount = posting.amount if posting.side is Side.CREDIT else -posting.amount
                rows.increment(platform_income, key, amount=amount, times=1)


def month_of(recorded: RecordedEvent) -> date:
    """The first day of the month in which it happened, in UTC."""
    return recorded.occurred_at.astimezone(UTC).date().replace(day=1)


def _kind(event: Earned) -> str:
    match event:
        case RoyaltyPosted():
            return event.kind.name.lower()
        case SalePosted():
            return event.sale.kind.value
        case RefundPosted() | ReversalPosted():
            return event.kind.value
        case CarrySettlementPosted() | CarryGivenOut():
            return "carry"
        case never:
            assert_never(never)

"""The lines of statements: for each party, every posting to an account of its own."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import (
    MONEY_MOVED,
    CarrySettlementPosted,
    MoneyMoved,
    PaymentPosted,
    RoyaltyPosted,
    SaleRecorded,
    Side,
    WithdrawalPosted,
    class_of,
)
from royalties.domain.books import DISTRIBUTOR
from royalties.projections.common import metadata, of_chain, source

statement_lines = sa.Table(
    "statement_lines",
    metadata,
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    *of_chain(key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),  # what the party is owed grows by it, or shrinks if it is negative
    sa.Column("track_id", Amount),
    sa.Column("token_id", Amount),
    sa.Column("payment_id", Amount),
    sa.Column("split_version", sa.BigInteger),
)


class Statements(Projection):
    """For each party, every posting to an account of its own."""

    name = "statements"
    tables = (statement_lines,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        for posting in event.postings:
            if not class_of(posting.account).of_party:
                continue
            rows.insert(
                statement_lines,
                party=posting.account.partition(":")[2],
                asset=posting.asset,
                account=posting.account,
                amount=posting.amount if posting.side is Side.CREDIT else -posting.amount,
                kind=_kind_of_line(event),
                track_id=getattr(event, "track_id", None),
                token_id=getattr(event, "token_id", None),
                payment_id=getattr(event, "payment_id", None),
                split_version=getattr(event, "split_version", None),
                **source(event.source),
            )


def _kind_of_line(event: MoneyMoved) -> str:
    match event:
        case SaleRecorded():
            return "sale"
        case RoyaltyPosted():
            return f"royalty-{event.kind.name.lower()}"
        case CarrySettlementPosted():
            return "carry"
        case WithdrawalPosted():
            return "payout" if event.contract == DISTRIBUTOR else "proceeds-payout"
        case PaymentPosted():
            raise ValueError("a payment is no party's line: its postings concern custody, fee and carry")

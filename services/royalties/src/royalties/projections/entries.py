"""The lines of accounts that are no party's: custody, clearing, fees, carry. Those of parties are statement lines."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import MONEY_MOVED, MoneyMoved, Side
from royalties.domain.books import PARTY_CLASSES
from royalties.projections.common import metadata

account_entries = sa.Table(
    "account_entries",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("posting", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),  # debits above zero, credits below
)


DEBIT = Side.DEBIT


class Entries(Projection):
    """Every posting to an account that is no party's."""

    name = "entries"
    tables = (account_entries,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        for number, (account, asset, side, amount) in enumerate(event.postings):
            if account.partition(":")[0] not in PARTY_CLASSES:
                rows.insert(
                    account_entries,
                    account=account,
                    asset=asset,
                    at=recorded.occurred_at,
                    position=recorded.position,
                    posting=number,
                    kind=event.line_kind,
                    amount=amount if side is DEBIT else -amount,
                )

"""The lines of statements: for each party, every posting to an account of its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import MONEY_MOVED, MoneyMoved, Side
from royalties.domain.books import PARTY_CLASSES
from royalties.projections.common import metadata

statement_lines = sa.Table(
    "statement_lines",
    metadata,
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    # The order of lines: when it happened, where the log has it, which of the event's postings it is. The key is the
    # only index, since a sale can lead to twenty lines.
    sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("posting", sa.Integer, primary_key=True),
    sa.Column("account_class", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),  # what the party is owed grows by it, or shrinks if it is negative
    sa.Column("track_id", Amount),
    sa.Column("token_id", Amount),
    sa.Column("payment_id", Amount),
    sa.Column("split_version", sa.BigInteger),
    # Whence it comes: a place on the chain, or what a caller named so.
    sa.Column("block_number", sa.BigInteger),
    sa.Column("log_index", sa.Integer),
    sa.Column("tx_id", sa.Text),
    sa.Column("caller", sa.Text),
    sa.Column("reference", sa.Text),
)


CREDIT = Side.CREDIT


class Statements(Projection):
    """For each party, every posting to an account of its own."""

    name = "statements"
    tables = (statement_lines,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        alike: dict[str, Any] = {}
        for number, (account, asset, side, amount) in enumerate(event.postings):
            account_class, _, party = account.partition(":")
            if account_class in PARTY_CLASSES:
                alike = alike or _alike(event, recorded)
                rows.insert(
                    statement_lines,
                    party=party,
                    asset=asset,
                    posting=number,
                    account_class=account_class,
                    amount=amount if side is CREDIT else -amount,
                    **alike,
                )


def _alike(event: MoneyMoved, recorded: RecordedEvent) -> dict[str, Any]:
    """What all lines of an event have in common."""
    payment = getattr(event, "payment_id", None)
    return {
        "at": recorded.occurred_at,
        "position": recorded.position,
        "kind": event.line_kind,
        "track_id": getattr(event, "track_id", None),
        "token_id": getattr(event, "token_id", None),
        "payment_id": payment if isinstance(payment, int) else None,  # a distribution's have ids of another kind
        "split_version": getattr(event, "split_version", None),
        **_origin(event),
    }


def _origin(event: MoneyMoved) -> dict[str, Any]:
    source, reference = getattr(event, "source", None), getattr(event, "reference", None)
    origin: dict[str, Any] = dict.fromkeys(("block_number", "log_index", "tx_id", "caller", "reference"))
    if source is not None:
        origin |= {"block_number": source.block_number, "log_index": source.log_index, "tx_id": source.tx_id}
    if reference is not None:
        origin |= {"caller": reference.caller, "reference": reference.id}
    return origin

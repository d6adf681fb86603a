"""The ledger as rows: every entry with its lines, and the sums of lines.

One pass over the postings of an event makes all of it, since whoever shows one of these needs the others to agree.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import (
    MONEY_MOVED,
    AccountClass,
    CarryGivenOut,
    CarrySettlementPosted,
    GroupShared,
    MoneyMoved,
    RefundPosted,
    ReversalPosted,
    RoyaltyPosted,
    SalePosted,
    Side,
)
from royalties.domain.books import PLATFORM_FEE
from royalties.projections.common import NO_TRACK, metadata, month_of

entries = sa.Table(
    "entries",  # what all lines of an event have in common, so that it is written once, not twenty times
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("track_id", Amount),
    sa.Column("token_id", Amount),
    sa.Column("payment_id", Amount),
    sa.Column("split_version", sa.BigInteger),
    sa.Column("path", sa.Text),  # the agreements through which a group's part came
    # Whence it comes: a place on the chain, or what a caller named so.
    sa.Column("block_number", sa.BigInteger),
    sa.Column("log_index", sa.Integer),
    sa.Column("tx_id", sa.Text),
    sa.Column("caller", sa.Text),
    sa.Column("reference", sa.Text),
)

lines = sa.Table(
    "lines",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),  # the account's name after its class: a party, a contract, a split
    sa.Column("asset", sa.Text, primary_key=True),
    # The order of lines: when it happened, where the log has it, which of the event's postings it is. The key is the
    # only index, since a sale can lead to twenty lines.
    sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("posting", sa.Integer, primary_key=True),
    sa.Column("account_class", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),  # credits above zero: what is owed grows; debits below
)

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

platform_income = sa.Table(
    "platform_income",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),  # its first day, in UTC
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
)

_DEBIT, _EARNINGS = Side.DEBIT, AccountClass.EARNINGS.value  # asking an enum takes as long as all else about a line


class Ledger(Projection):
    """Every entry and line; the balance of every account; what collaborators earned, and what the platform did.

    What was taken back lessens what was earned. `artist_earnings` is by asset, month, track and kind of source.
    """

    name = "ledger"
    tables = (entries, lines)
    totals = (balances, artist_earnings, platform_income)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        if not (postings := event.postings):
            return
        at, position, kind = recorded.occurred_at, recorded.position, event.line_kind
        month = month_of(at)
        rows.insert(entries, position=position, kind=kind, **_origin(event))
        moves = [
            (account, asset, account_class, owner, -amount if side is _DEBIT else amount)
            for account, asset, side, amount in postings
            for account_class, _, owner in [account.partition(":")]
        ]
        rows.insert_all(
            lines,
            ("owner", "asset", "at", "position", "posting", "account_class", "amount"),
            [
                (owner, asset, at, position, number, account_class, grew)
                for number, (_, asset, account_class, owner, grew) in enumerate(moves)
            ],
        )
        rows.increment_all(
            balances,
            [(account, asset) for account, asset, _, _, _ in moves],
            debits=[-grew if grew < 0 else 0 for _, _, _, _, grew in moves],
            credits=[grew if grew > 0 else 0 for _, _, _, _, grew in moves],
        )
        if (earned_by := _earned_by(event)) is not None:
            track = getattr(event, "track_id", None) or NO_TRACK
            earned = [
                ((owner, asset, month, track, earned_by), grew)
                for _, asset, account_class, owner, grew in moves
                if account_class == _EARNINGS
            ]
            amounts = [grew for _, grew in earned]
            rows.increment_all(artist_earnings, [key for key, _ in earned], amount=amounts, times=[1] * len(earned))
        for account, asset, _, _, grew in moves:
            if account == PLATFORM_FEE:
                rows.increment(platform_income, {"asset": asset, "month": month, "kind": kind}, amount=grew, times=1)


def _earned_by(event: MoneyMoved) -> str | None:
    """What collaborators have earned it by; None where they earn nothing."""
    match event:
        case RoyaltyPosted():
            return event.kind.name.lower()
        case SalePosted():
            return event.sale.kind.value
        case RefundPosted() | ReversalPosted():
            return event.kind.value
        case GroupShared(kind=kind) if kind is not None:
            return kind.value
        case CarrySettlementPosted() | CarryGivenOut() | GroupShared():
            return "carry"
        case _:
            return None


def _origin(event: MoneyMoved) -> dict[str, Any]:
    """What it was about, and whence it is known."""
    payment = getattr(event, "payment_id", None)
    source, reference = getattr(event, "source", None), getattr(event, "reference", None)
    return {
        "track_id": getattr(event, "track_id", None),
        "token_id": getattr(event, "token_id", None),
        "payment_id": payment if isinstance(payment, int) else None,  # a distribution's have ids of another kind
        "split_version": getattr(event, "split_version", None),
        "path": getattr(event, "path", None),
        "block_number": source and source.block_number,
        "log_index": source and source.log_index,
        "tx_id": source and source.tx_id,
        "caller": reference and reference.caller,
        "reference": reference and reference.id,
    }

"""What was reserved to be paid to parties off the chain, and what became of it."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import MoveExpired, MovePosted, MoveReserved, MoveVoided
from royalties.projections.common import metadata

reserved_moves = sa.Table(
    "reserved_moves",
    metadata,
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("move_id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("to", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # reserved, posted, voided, expired
    sa.Column("posted", Amount),
    sa.Column("reason", sa.Text),  # why it was voided
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Index("reserved_moves_order", "party", "position"),
)


class Moves(Projection):
    """Every two-phase move of what parties are owed."""

    name = "moves"
    tables = (reserved_moves,)
    about = {reserved_moves: "party"}  # noqa: RUF012 - a ClassVar of the base

    @on(MoveReserved)
    def reserved(self, event: MoveReserved, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            reserved_moves,
            party=event.party,
            caller=event.reference.caller,
            move_id=event.reference.id,
            position=recorded.position,
            reserved_at=recorded.occurred_at,
            expires_at=event.expires_at,
            account=event.account,
            to=event.to,
            asset=event.asset,
            amount=event.amount,
            status="reserved",
        )

    @on(MovePosted)
    def posted(self, event: MovePosted, recorded: RecordedEvent, rows: Rows) -> None:
        _ended(event, recorded, rows, status="posted", posted=event.amount)

    @on(MoveVoided)
    def voided(self, event: MoveVoided, recorded: RecordedEvent, rows: Rows) -> None:
        _ended(event, recorded, rows, status="voided", reason=event.reason)

    @on(MoveExpired)
    def expired(self, event: MoveExpired, recorded: RecordedEvent, rows: Rows) -> None:
        _ended(event, recorded, rows, status="expired")


def _ended(
    event: MovePosted | MoveVoided | MoveExpired, recorded: RecordedEvent, rows: Rows, **became: str | int
) -> None:
    key = {
        "party": recorded.stream.partition("/")[2],
        "caller": event.reference.caller,
        "move_id": event.reference.id,
    }
    rows.update(reserved_moves, key, ended_at=recorded.occurred_at, **became)

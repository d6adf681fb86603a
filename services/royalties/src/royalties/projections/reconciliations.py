"""When the books were held against the contracts, and the accounts that were found to differ."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import DifferenceFound, DifferenceSettled, ReconciliationDone
from royalties.projections.common import metadata

reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("block_number", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("accounts", sa.Integer, nullable=False),
    sa.Column("differing", sa.Integer, nullable=False),
)

reconciliation_differences = sa.Table(
    "reconciliation_differences",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("found_block", sa.BigInteger, primary_key=True),
    sa.Column("done_block", sa.BigInteger, nullable=False, index=True),  # the comparison that found it
    sa.Column("booked_sun", Amount, nullable=False),
    sa.Column("held_sun", Amount, nullable=False),
    sa.Column("agreed_block", sa.BigInteger),
    sa.Column("settled_block", sa.BigInteger),  # null: not yet
)


class Reconciliations(Projection):
    """Each comparison of the books with the contracts, and what it found."""

    name = "reconciliations"
    tables = (reconciliations, reconciliation_differences)

    @on(ReconciliationDone)
    def done(self, event: ReconciliationDone, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            reconciliations,
            block_number=event.block_number,
            at=recorded.occurred_at,
            accounts=event.accounts,
            differing=event.differing,
        )

    @on(DifferenceFound)
    def found(self, event: DifferenceFound, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            reconciliation_differences,
            account=event.found.account,
            found_block=event.found.block_number,
            done_block=event.done_block,
            booked_sun=event.found.booked_sun,
            held_sun=event.found.held_sun,
            agreed_block=event.agreed_block,
        )

    @on(DifferenceSettled)
    def settled(self, event: DifferenceSettled, recorded: RecordedEvent, rows: Rows) -> None:
        found = {"account": event.account, "found_block": event.found_block}
        rows.upsert(reconciliation_differences, found, settled_block=event.block_number)

"""What each subject has earned and been paid."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import ClaimPaid, ListenRewarded

metadata = sa.MetaData()

reward_totals = sa.Table(
    "reward_totals",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),  # a user, or the address a claim was paid to
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("earned", Amount, nullable=False),
    sa.Column("times_earned", sa.BigInteger, nullable=False),
    sa.Column("paid", Amount, nullable=False),
    sa.Column("times_paid", sa.BigInteger, nullable=False),
)


class RewardTotals(Projection):
    """What each subject has earned and been paid, per pool."""

    name = "reward_totals"
    totals = (reward_totals,)

    @on(ListenRewarded)
    def earned(self, event: ListenRewarded, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"subject": event.user, "pool": "listening"}
        rows.increment(reward_totals, key, earned=event.amount, times_earned=1)

    @on(ClaimPaid)
    def paid(self, event: ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"subject": event.claimant, "pool": event.pool.name.lower()}
        rows.increment(reward_totals, key, paid=event.amount, times_paid=1)

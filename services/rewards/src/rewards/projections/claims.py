"""Every claim that was paid."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import ClaimPaid

metadata = sa.MetaData()

reward_claims = sa.Table(
    "reward_claims",
    metadata,
    sa.Column("claim_id", sa.Text, primary_key=True),
    sa.Column("pool", sa.Text, nullable=False),
    sa.Column("claimant", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("block_number", sa.BigInteger, nullable=False),
    sa.Column("tx_id", sa.Text, nullable=False),
    sa.Column("log_index", sa.Integer, nullable=False),
    sa.Index("reward_claims_claimant", "claimant", "block_number", "log_index"),
    sa.Index("reward_claims_order", "block_number", "log_index"),
)


class RewardClaims(Projection):
    """Every claim that RewardVault has paid, with the transaction that paid it."""

    name = "reward_claims"
    tables = (reward_claims,)

    @on(ClaimPaid)
    def paid(self, event: ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            reward_claims,
            claim_id=event.claim_id,
            pool=event.pool.name.lower(),
            claimant=event.claimant,
            amount=event.amount,
            day=event.day,
            paid_at=event.source.block_time,
            block_number=event.source.block_number,
            tx_id=event.source.tx_id,
            log_index=event.source.log_index,
        )

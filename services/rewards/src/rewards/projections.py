"""The read models of rewards. Every table can be dropped and rebuilt from the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import (
    ClaimPaid,
    ListenNotRewarded,
    ListenRewarded,
    PoolConfigured,
    PoolFunded,
    PoolSwept,
    VoteCast,
)

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

listening_rewards = sa.Table(
    "listening_rewards",
    metadata,
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("listen_id", sa.Text, primary_key=True),
    sa.Column("track_id", sa.Text, nullable=False),
    sa.Column("listened_seconds", sa.Integer, nullable=False),
    sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("reason", sa.Text),  # why it earned nothing
    sa.Column("rule_version", sa.Integer, nullable=False),
    sa.Index("listening_rewards_latest", "user", "ended_at", "listen_id"),
)

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

pools = sa.Table(
    "pools",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("active", sa.Boolean, nullable=False, default=False),
    sa.Column("daily_limit", Amount, nullable=False, default=0),
    sa.Column("funded", Amount, nullable=False, default=0),
    sa.Column("paid", Amount, nullable=False, default=0),
    sa.Column("swept", Amount, nullable=False, default=0),
    sa.Column("claims", sa.BigInteger, nullable=False, default=0),
    sa.Column("last_tx_id", sa.Text),
)

voting_records = sa.Table(
    "voting_records",
    metadata,
    sa.Column("track_id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("like", sa.Boolean, nullable=False),
    sa.Column("voted_at", sa.DateTime(timezone=True), nullable=False),
)

track_votes = sa.Table(
    "track_votes",
    metadata,
    sa.Column("track_id", sa.Text, primary_key=True),
    sa.Column("likes", sa.BigInteger, nullable=False),
    sa.Column("dislikes", sa.BigInteger, nullable=False),
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


class ListeningRewards(Projection):
    """Every reported listen, what it earned, or why it earned nothing."""

    name = "listening_rewards"
    tables = (listening_rewards,)

    @on(ListenRewarded, ListenNotRewarded)
    def heard(self, event: ListenRewarded | ListenNotRewarded, recorded: RecordedEvent, rows: Rows) -> None:
        amount, reason = (event.amount, None) if isinstance(event, ListenRewarded) else (0, event.reason)
        rows.insert(
            listening_rewards,
            user=event.user,
            listen_id=event.listen_id,
            track_id=event.track_id,
            listened_seconds=event.listened_seconds,
            ended_at=event.ended_at,
            amount=amount,
            reason=reason,
            rule_version=event.rule_version,
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


class PoolStatus(Projection):
    """What each pool was given, has paid, and still holds."""

    name = "pool_status"
    tables = (pools,)

    def key(self, recorded: RecordedEvent) -> str:
        """A pool's row changes with its claims, too, whose streams are their own."""
        pool = getattr(recorded.event, "pool", None)
        return recorded.stream if pool is None else f"pool/{pool.name.lower()}"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {pools: {"pool": key.removeprefix("pool/")}}

    @on(PoolFunded)
    def funded(self, event: PoolFunded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), funded=event.amount)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(PoolConfigured)
    def configured(self, event: PoolConfigured, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(
            pools,
            _pool(event),
            daily_limit=event.daily_limit,
            active=event.active,
            last_tx_id=event.source.tx_id,
        )

    @on(PoolSwept)
    def swept(self, event: PoolSwept, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), swept=event.amount)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(ClaimPaid)
    def paid(self, event: ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), paid=event.amount, claims=1)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)


class Votes(Projection):
    """Each user's current vote on a track, and the count per track."""

    name = "votes"
    tables = (voting_records,)
    totals = (track_votes,)

    @on(VoteCast)
    def cast(self, event: VoteCast, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"track_id": event.track_id, "user": event.user}
        rows.upsert(voting_records, key, like=event.like, voted_at=recorded.occurred_at)
        change = {False: 0, True: 0}
        change[event.like] += 1
        if event.replaces is not None:
            change[event.replaces] -= 1
        rows.increment(track_votes, {"track_id": event.track_id}, likes=change[True], dislikes=change[False])


ALL = (RewardClaims(), ListeningRewards(), RewardTotals(), PoolStatus(), Votes())


def _pool(event: PoolFunded | PoolConfigured | PoolSwept | ClaimPaid) -> dict[str, str]:
    return {"pool": event.pool.name.lower()}

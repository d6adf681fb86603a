"""The queries on the read models: plain SQLAlchemy, one statement each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rewards.projections.claims import RewardClaims, reward_claims
from rewards.projections.listening import ListeningRewards, listening_rewards
from rewards.projections.pools import PoolStatus, pools
from rewards.projections.totals import RewardTotals, reward_totals
from rewards.projections.votes import Votes, track_votes

Query = sa.Select[Any]


def claims(claimant: str | None, after: tuple[int, int] | None, limit: int) -> Query:
    """Claims, newest first; `after` is (block number, log index) of the last one seen."""
    table = RewardClaims.live(reward_claims)
    query = sa.select(table).order_by(table.c.block_number.desc(), table.c.log_index.desc()).limit(limit)
    if claimant is not None:
        query = query.where(table.c.claimant == claimant)
    if after is not None:
        query = query.where(sa.tuple_(table.c.block_number, table.c.log_index) < sa.tuple_(*after))
    return query


def claim(claim_id: str) -> Query:
    table = RewardClaims.live(reward_claims)
    return sa.select(table).where(table.c.claim_id == claim_id)


def listens(user: str, after: tuple[datetime, str] | None, limit: int) -> Query:
    """A user's listens, newest first; `after` is (ended at, listen id) of the last one seen."""
    table = ListeningRewards.live(listening_rewards)
    query = sa.select(table).where(table.c.user == user)
    if after is not None:
        query = query.where(sa.tuple_(table.c.ended_at, table.c.listen_id) < sa.tuple_(*after))
    return query.order_by(table.c.ended_at.desc(), table.c.listen_id.desc()).limit(limit)


def totals(subject: str) -> Query:
    table = RewardTotals.live(reward_totals)
    return sa.select(table).where(table.c.subject == subject).order_by(table.c.pool)


def pool_status() -> Query:
    table = PoolStatus.live(pools)
    balance = (table.c.funded - table.c.paid - table.c.swept).label("balance")
    return sa.select(table, balance).order_by(table.c.pool)


def votes_of(track_id: str) -> Query:
    table = Votes.live(track_votes)
    return sa.select(table).where(table.c.track_id == track_id)

"""The queries on the read models: plain SQLAlchemy, one statement each."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rewards.projections.activity import ActivityRewards, SkipRecords, Votes, skip_records, track_votes
from rewards.projections.claims import RewardClaims, reward_claim_steps, reward_claims, reward_claims_index
from rewards.projections.holds import Holds
from rewards.projections.holds import holds as holds_table
from rewards.projections.pools import PoolStatus, budgets, pools
from rewards.projections.totals import EVER, RewardTotals, reward_days, reward_periods, reward_totals

Query = sa.Select[Any]


def claims(subject: str | None, after: tuple[datetime, str] | None, limit: int) -> Query:
    """Claims, of a user or address if asked, newest first; `after` is (since, claim id) of the last one seen."""
    table, index = RewardClaims.live(reward_claims), RewardClaims.live(reward_claims_index)
    order = table if subject is None else index
    query = sa.select(table)
    if subject is not None:
        query = query.join(index, table.c.claim_id == index.c.claim_id).where(index.c.subject == subject)
    if after is not None:
        query = query.where(sa.tuple_(order.c.since, order.c.claim_id) < sa.tuple_(*after))
    return query.order_by(order.c.since.desc(), order.c.claim_id.desc()).limit(limit)


def claim(claim_id: str) -> Query:
    table = RewardClaims.live(reward_claims)
    return sa.select(table).where(table.c.claim_id == claim_id)


def steps(claim_id: str) -> Query:
    """A claim's story, from the first step to the last."""
    table = RewardClaims.live(reward_claim_steps)
    return sa.select(table).where(table.c.claim_id == claim_id).order_by(table.c.number)


def rewards_of(projection: type[ActivityRewards], user: str, after: tuple[datetime, str] | None, limit: int) -> Query:
    """A user's activities of one kind, newest first; `after` is (at, reward id) of the last one seen."""
    return _of_user(projection.live(projection.table), user, after, limit)


def skips_of(user: str, after: tuple[datetime, str] | None, limit: int) -> Query:
    """The tracks a user left early, newest first."""
    return _of_user(SkipRecords.live(skip_records), user, after, limit)


def _of_user(table: sa.Table, user: str, after: tuple[datetime, str] | None, limit: int) -> Query:
    query = sa.select(table).where(table.c.user == user)
    if after is not None:
        query = query.where(sa.tuple_(table.c.at, table.c.reward_id) < sa.tuple_(*after))
    return query.order_by(table.c.at.desc(), table.c.reward_id.desc()).limit(limit)


def period_start(period: str, day: date) -> date:
    """The first day of the period that holds a day; weeks begin on Monday."""
    return {"day": day, "week": day - timedelta(days=day.weekday()), "ever": EVER}[period]


def periods_of(user: str, period: str, after: tuple[date, str] | None, limit: int) -> Query:
    """What a user has earned, newest period first; `after` is (start, pool) of the last one seen."""
    table = RewardTotals.live(reward_periods)
    query = sa.select(table).where(table.c.user == user, table.c.period == period)
    if after is not None:
        query = query.where(sa.tuple_(table.c.start, table.c.pool) < sa.tuple_(*after))
    return query.order_by(table.c.start.desc(), table.c.pool.desc()).limit(limit)


def leaderboard(pool: str, period: str, start: date, after: tuple[int, str] | None, limit: int) -> Query:
    """Who has earned most; `after` is (earned, user) of the last one seen."""
    table = RewardTotals.live(reward_periods)
    query = sa.select(table).where(table.c.period == period, table.c.start == start, table.c.pool == pool)
    if after is not None:
        earned, user = after
        below = sa.and_(table.c.earned == earned, table.c.user < user)
        query = query.where(sa.or_(table.c.earned < earned, below))
    return query.order_by(table.c.earned.desc(), table.c.user.desc()).limit(limit)


def holds(status: str, after: tuple[datetime, str] | None, limit: int) -> Query:
    """Held rewards, oldest first; `after` is (at, reward id) of the last one seen."""
    table = Holds.live(holds_table)
    query = sa.select(table).where(table.c.status == status)
    if after is not None:
        query = query.where(sa.tuple_(table.c.at, table.c.reward_id) > sa.tuple_(*after))
    return query.order_by(table.c.at, table.c.reward_id).limit(limit)


def totals(subject: str) -> Query:
    table = RewardTotals.live(reward_totals)
    return sa.select(table).where(table.c.subject == subject).order_by(table.c.pool)


def pool_status() -> Query:
    """Each pool with the period that was opened last."""
    table, period = PoolStatus.live(pools), PoolStatus.live(budgets)
    balance = (table.c.funded - table.c.paid - table.c.swept - table.c.batched).label("balance")
    last = sa.select(period.c.pool, sa.func.max(period.c.starts).label("starts")).group_by(period.c.pool).subquery()
    free, ends = period.c.free.label("free"), period.c.ends.label("period_ends")
    query = sa.select(table, balance, free, ends).outerjoin(last, last.c.pool == table.c.pool)
    same = sa.and_(period.c.pool == last.c.pool, period.c.starts == last.c.starts)
    return query.outerjoin(period, same).order_by(table.c.pool)


def pool_budgets(pool: str, after: date | None, limit: int) -> Query:
    """A pool's periods, newest first; `after` is the first day of the last one seen."""
    table = PoolStatus.live(budgets)
    query = sa.select(table).where(table.c.pool == pool)
    if after is not None:
        query = query.where(table.c.starts < after)
    return query.order_by(table.c.starts.desc()).limit(limit)


def pool_days(pool: str, after: date | None, limit: int) -> Query:
    """What a pool's users have earned and been paid together, newest day first; `after` is the last one seen."""
    table = RewardTotals.live(reward_days)
    query = sa.select(table).where(table.c.pool == pool)
    if after is not None:
        query = query.where(table.c.day < after)
    return query.order_by(table.c.day.desc()).limit(limit)


def votes_of(track_id: str) -> Query:
    table = Votes.live(track_votes)
    return sa.select(table).where(table.c.track_id == track_id)

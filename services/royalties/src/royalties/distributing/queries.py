"""What can be asked about pools, distributions and payees. Each query is one statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from royalties.domain.books import carried
from royalties.projections.agreements import scale_of
from royalties.projections.distributions import (
    Distributions,
    Payees,
    distribution_shares,
    payees,
    revenue_distributions,
)
from royalties.projections.ledger import Ledger, balances
from royalties.projections.pools import RevenuePools, TrackRevenue, revenue_pools, track_revenue
from royalties.projections.splits import Splits, tracks

Query = sa.Select[Any]
EVERYTHING = "platform"
"""The pool of the platform: all tracks are its own."""


def distributions(after: tuple[datetime, str] | None, limit: int, pool: str | None = None) -> Query:
    """Distributions, newest first; `after` is (opened at, id) of the last one seen."""
    table = Distributions.live(revenue_distributions)
    query = sa.select(table, scale_of(table.c.asset))
    if pool is not None:
        query = query.where(table.c.pool == pool)
    if after is not None:
        query = query.where(sa.tuple_(table.c.opened_at, table.c.distribution_id) < sa.tuple_(*after))
    return query.order_by(table.c.opened_at.desc(), table.c.distribution_id.desc()).limit(limit)


def distribution(distribution_id: str) -> Query:
    table = Distributions.live(revenue_distributions)
    return sa.select(table, scale_of(table.c.asset)).where(table.c.distribution_id == distribution_id)


def shares(distribution_id: str, after: str | None, limit: int, status: str | None = None) -> Query:
    """A distribution's shares in the order of the addresses, each with what decides whether it is paid."""
    share, run = Distributions.live(distribution_shares), Distributions.live(revenue_distributions)
    payee, balance = Payees.live(payees), Ledger.live(balances)
    before = sa.func.coalesce(balance.c.credits - balance.c.debits, 0)
    query = (
        sa.select(
            share,
            run.c.asset,
            scale_of(run.c.asset),
            run.c.minimum,
            sa.cast(before, share.c.amount.type).label("carried_before"),
            payee.c.held_for.is_not(None).label("held"),
            sa.and_(run.c.tax_form_needed, payee.c.tax_form.is_(None)).label("tax_form_missing"),
        )
        .join(run, run.c.distribution_id == share.c.distribution_id)
        .outerjoin(payee, payee.c.party == share.c.party)
        .outerjoin(balance, sa.and_(balance.c.account == carried("") + share.c.party, balance.c.asset == run.c.asset))
        .where(share.c.distribution_id == distribution_id)
    )
    if status is not None:
        query = query.where(share.c.status == status)
    if after is not None:
        query = query.where(share.c.party > after)
    return query.order_by(share.c.party).limit(limit)


def shares_of(party: str, after: tuple[datetime, str] | None, limit: int) -> Query:
    """What a party was credited by distributions, newest first."""
    share, run = Distributions.live(distribution_shares), Distributions.live(revenue_distributions)
    columns = (run.c.pool, run.c.period, run.c.asset, scale_of(run.c.asset), run.c.opened_at)
    query = sa.select(share, *columns).join(run, run.c.distribution_id == share.c.distribution_id)
    query = query.where(share.c.party == party, run.c.status.in_(("paying", "reconciled")))
    if after is not None:
        query = query.where(sa.tuple_(run.c.opened_at, run.c.distribution_id) < sa.tuple_(*after))
    return query.order_by(run.c.opened_at.desc(), run.c.distribution_id.desc()).limit(limit)


def payee(party: str) -> Query:
    table = Payees.live(payees)
    return sa.select(table).where(table.c.party == party)


def holds(after: tuple[datetime, str] | None, limit: int) -> Query:
    """Parties that are held, the longest first."""
    table = Payees.live(payees)
    query = sa.select(table).where(table.c.held_since.is_not(None))
    if after is not None:
        query = query.where(sa.tuple_(table.c.held_since, table.c.party) > sa.tuple_(*after))
    return query.order_by(table.c.held_since, table.c.party).limit(limit)


def revenue(pool: str) -> Query:
    """What came in by month, asset and kind: for the tracks of an artist, or for all."""
    came, track = TrackRevenue.live(track_revenue), Splits.live(tracks)
    amount = sa.func.sum(came.c.amount).label("amount")
    query = sa.select(came.c.month, came.c.asset, scale_of(came.c.asset), came.c.kind, amount)
    if pool != EVERYTHING:
        query = query.join(track, track.c.track_id == came.c.track_id).where(track.c.artist == pool)
    return query.group_by(came.c.month, came.c.asset, came.c.kind)


def pool_months(pool: str) -> Query:
    """What was put into a pool and set aside from it by month, and the value of its coin."""
    table = RevenuePools.live(revenue_pools)
    return sa.select(table, scale_of(table.c.asset)).where(table.c.pool == pool).order_by(table.c.month, table.c.asset)

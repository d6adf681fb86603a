"""Who is known, as of `now`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from compliance.domain import KycState
from compliance.projections import KycCases
from compliance.projections.kyc import kyc_cases
from compliance.queries.common import Query


def kyc_of(subject: str, now: datetime) -> Query:
    query, table, _ = _cases(now)
    return query.where(table.c.subject == subject)


def kyc_in(state: KycState, now: datetime, after: tuple[datetime, str] | None, limit: int) -> Query:
    """Cases in a state, longest there first; `after` is (changed at, subject) of the last one seen."""
    query, table, found = _cases(now)
    query = query.where(found == state.value).order_by(table.c.changed_at, table.c.subject).limit(limit)
    return query if after is None else query.where(sa.tuple_(table.c.changed_at, table.c.subject) > sa.tuple_(*after))


def screenings_due(now: datetime, after: tuple[datetime, str] | None, limit: int) -> Query:
    """Approved subjects to be screened again, due first; `after` is (due at, subject) of the last one seen."""
    query, table, found = _cases(now)
    due = sa.tuple_(table.c.screen_again_at, table.c.subject)
    query = query.where(found == KycState.APPROVED.value, table.c.screen_again_at <= now)
    query = query.order_by(table.c.screen_again_at, table.c.subject).limit(limit)
    return query if after is None else query.where(due > sa.tuple_(*after))


def count_due(now: datetime) -> Query:
    """How many subjects are to be screened again; always one row."""
    query, table, found = _cases(now)
    rows = query.where(found == KycState.APPROVED.value, table.c.screen_again_at <= now).subquery()
    columns: list[sa.ColumnElement[Any]] = [sa.func.count().label("due")]
    return sa.select(*columns).select_from(rows)


def _cases(now: datetime) -> tuple[Query, sa.Table, sa.ColumnElement[str]]:
    """As the domain's `Kyc.state_at`: an approval ends by itself."""
    table = KycCases.live(kyc_cases)
    over = sa.and_(table.c.state == KycState.APPROVED.value, table.c.expires_at <= now)
    state = sa.case((over, KycState.EXPIRED.value), else_=table.c.state)
    columns = [column for column in table.c if column.name != "state"]
    return sa.select(*columns, state.label("state")), table, state

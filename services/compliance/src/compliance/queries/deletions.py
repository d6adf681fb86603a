"""Requests for erasure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from compliance.domain import AWAITING_IDENTITY, DUE, OPEN, State
from compliance.projections import DeletionRequests
from compliance.projections.deletions import data_deletion_requests, erasure_answers
from compliance.queries.common import Query


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which deletion requests are asked for; None leaves a question open."""

    subject: str | None = None
    law: str | None = None
    state: State | None = None
    open: bool | None = None
    overdue: bool | None = None


def deletion_requests(wanted: RequestFilter, now: datetime, after: tuple[datetime, str] | None, limit: int) -> Query:
    """Deletion requests as of `now`, due soonest first; `after` is (due at, request id) of the last one seen."""
    query, table, state, overdue = _requests(now)
    if wanted.subject is not None:
        query = query.where(table.c.subject == wanted.subject)
    if wanted.law is not None:
        query = query.where(table.c.law == wanted.law)
    if wanted.state is not None:
        query = query.where(state == wanted.state.value)
    if wanted.open is not None:
        query = query.where(state.in_([one.value for one in OPEN]) == wanted.open)
    if wanted.overdue is not None:
        query = query.where(overdue == wanted.overdue)
    if after is not None:
        query = query.where(sa.tuple_(table.c.due_at, table.c.request_id) > sa.tuple_(*after))
    return query.order_by(table.c.due_at, table.c.request_id).limit(limit)


def deletion_request(request_id: str, now: datetime) -> Query:
    query, table, _, _ = _requests(now)
    return query.where(table.c.request_id == request_id)


def overdue(now: datetime) -> Query:
    """How many requests are overdue as of `now`, and since when the first is; always one row."""
    query, _, _, overdue = _requests(now)
    late = query.where(overdue).subquery("late")
    columns: list[sa.ColumnElement[Any]] = [
        sa.func.count().label("requests"),
        sa.func.min(late.c.due_at).label("due_at"),
    ]
    return sa.select(*columns)


def unanswered() -> Query:
    """Services that have yet to answer an order to erase, and since when."""
    answers = DeletionRequests.live(erasure_answers)
    query = sa.select(answers.c.service, sa.func.min(answers.c.ordered_at).label("ordered_at"))
    return query.where(answers.c.answered_at.is_(None)).group_by(answers.c.service)


def _requests(now: datetime) -> tuple[Query, sa.Table, sa.ColumnElement[str], sa.ColumnElement[bool]]:
    """As the domain's `Request.state_at`: what awaits its subject's identity expires when it is due."""
    table = DeletionRequests.live(data_deletion_requests)
    passed = table.c.due_at < now
    waiting = table.c.state.in_([state.value for state in AWAITING_IDENTITY])
    state = sa.case((sa.and_(waiting, passed), State.EXPIRED.value), else_=table.c.state)
    overdue = sa.and_(table.c.state.in_([state.value for state in DUE]), passed)
    columns = [column for column in table.c if column.name != "state"]
    answers = DeletionRequests.live(erasure_answers)
    open_orders = sa.select(answers.c.service).where(
        answers.c.request_id == table.c.request_id, answers.c.answered_at.is_(None)
    )
    services = sa.func.array(open_orders.distinct().order_by(answers.c.service).scalar_subquery())
    query = sa.select(*columns, state.label("state"), overdue.label("overdue"), services.label("waiting_for"))
    return query, table, state, overdue

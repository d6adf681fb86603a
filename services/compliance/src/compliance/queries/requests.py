"""What is asked of every kind of request, and of all kinds together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, array

from compliance.domain import AWAITING_IDENTITY, DUE, OPEN, State
from compliance.projections import AccessRequests, DeletionRequests, RectificationRequests
from compliance.projections.accesses import access_requests, export_answers
from compliance.projections.deletions import data_deletion_requests, erasure_answers
from compliance.projections.rectifications import rectification_requests
from compliance.queries.common import Query
from projections import Projection


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request: where its rows are, and what services have answered, if any are asked."""

    name: str
    projection: type[Projection]
    requests: sa.Table
    answers: sa.Table | None = None


DELETION = Kind("deletion", DeletionRequests, data_deletion_requests, erasure_answers)
ACCESS = Kind("access", AccessRequests, access_requests, export_answers)
RECTIFICATION = Kind("rectification", RectificationRequests, rectification_requests)
KINDS = {kind.name: kind for kind in (ACCESS, DELETION, RECTIFICATION)}
IN_QUEUE = ("request_id", "subject", "law", "state", "overdue", "received_at", "due_at", "extension", "waiting_for")


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests are asked for; None leaves a question open."""

    subject: str | None = None
    law: str | None = None
    state: State | None = None
    open: bool | None = None
    overdue: bool | None = None


def requests(kind: Kind, wanted: RequestFilter, now: datetime, after: tuple[datetime, str] | None, limit: int) -> Query:
    """Requests of a kind as of `now`, due soonest first; `after` is (due at, request id) of the last one seen."""
    rows = _as_of(kind, now).subquery()
    query = sa.select(rows)
    if wanted.subject is not None:
        query = query.where(rows.c.subject == wanted.subject)
    if wanted.law is not None:
        query = query.where(rows.c.law == wanted.law)
    if wanted.state is not None:
        query = query.where(rows.c.state == wanted.state.value)
    if wanted.open is not None:
        query = query.where(_open(rows.c.state) == wanted.open)
    if wanted.overdue is not None:
        query = query.where(rows.c.overdue == wanted.overdue)
    if after is not None:
        query = query.where(sa.tuple_(rows.c.due_at, rows.c.request_id) > sa.tuple_(*after))
    return query.order_by(rows.c.due_at, rows.c.request_id).limit(limit)


def request(kind: Kind, request_id: str, now: datetime) -> Query:
    """One request as of `now`."""
    rows = _as_of(kind, now).subquery()
    return sa.select(rows).where(rows.c.request_id == request_id)


def queue(kinds: list[Kind], now: datetime, after: tuple[datetime, str, str] | None, limit: int) -> Query:
    """What is open, due soonest first, so what is overdue leads; `after` is (due at, kind, request id) of the last."""
    parts = []
    for kind in kinds:
        rows = _as_of(kind, now).subquery()
        columns = [rows.c[name] for name in IN_QUEUE]
        parts.append(sa.select(sa.literal(kind.name).label("kind"), *columns).where(_open(rows.c.state)))
    all_kinds = sa.union_all(*parts).subquery()
    place = (all_kinds.c.due_at, all_kinds.c.kind, all_kinds.c.request_id)
    query = sa.select(all_kinds)
    if after is not None:
        query = query.where(sa.tuple_(*place) > sa.tuple_(*after))
    return query.order_by(*place).limit(limit)


def overdue(now: datetime) -> Query:
    """How many requests are overdue as of `now`, and since when the first is; always one row."""
    rows = [_as_of(kind, now).subquery() for kind in KINDS.values()]
    late = sa.union_all(*(sa.select(one.c.due_at).where(one.c.overdue) for one in rows)).subquery("late")
    columns: list[sa.ColumnElement[Any]] = [
        sa.func.count().label("requests"),
        sa.func.min(late.c.due_at).label("due_at"),
    ]
    return sa.select(*columns)


def unanswered() -> Query:
    """Services that have yet to answer an order, and since when; nobody waits for what was denied."""
    parts = []
    for kind in KINDS.values():
        if kind.answers is None:
            continue
        answers, rows = kind.projection.live(kind.answers), kind.projection.live(kind.requests)
        waiting = sa.and_(answers.c.answered_at.is_(None), rows.c.state != State.DENIED.value)
        joined = answers.join(rows, rows.c.request_id == answers.c.request_id)
        parts.append(sa.select(answers.c.service, answers.c.ordered_at).select_from(joined).where(waiting))
    orders = sa.union_all(*parts).subquery()
    oldest = sa.func.min(orders.c.ordered_at).label("ordered_at")
    return sa.select(orders.c.service, oldest).group_by(orders.c.service)


def _open(state: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return state.in_([one.value for one in OPEN])


def _as_of(kind: Kind, now: datetime) -> Query:
    """As the domain's `Request.state_at`: what awaits its subject's identity expires when it is due."""
    table = kind.projection.live(kind.requests)
    passed = table.c.due_at < now
    waiting = table.c.state.in_([state.value for state in AWAITING_IDENTITY])
    state = sa.case((sa.and_(waiting, passed), State.EXPIRED.value), else_=table.c.state)
    overdue = sa.and_(table.c.state.in_([state.value for state in DUE]), passed)
    columns = [column for column in table.c if column.name != "state"]
    waiting_for = _waiting_for(kind, table).label("waiting_for")
    return sa.select(*columns, state.label("state"), overdue.label("overdue"), waiting_for)


def _waiting_for(kind: Kind, table: sa.Table) -> sa.ColumnElement[Any]:
    """The services that have yet to answer."""
    if kind.answers is None:
        return sa.cast(array([]), ARRAY(sa.Text))
    answers = kind.projection.live(kind.answers)
    open_orders = sa.select(answers.c.service).where(
        answers.c.request_id == table.c.request_id, answers.c.answered_at.is_(None)
    )
    return sa.func.array(open_orders.distinct().order_by(answers.c.service).scalar_subquery())

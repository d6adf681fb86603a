"""The queries on the read models, one statement each. What depends on the clock is computed here, from `now`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from compliance.domain import AWAITING_IDENTITY, DUE, OPEN, State
from compliance.projections import (
    AcceptanceRecords,
    AdminActions,
    AuditTrail,
    ComplianceIndex,
    Contacts,
    DeletionRequests,
    Documents,
    LegalHolds,
    RetentionPolicies,
)
from compliance.projections.acceptances import acceptance_counts, acceptance_records, compliance_index
from compliance.projections.contacts import contacts
from compliance.projections.deletions import data_deletion_requests, erasure_answers
from compliance.projections.documents import documents
from compliance.projections.legal_holds import legal_holds
from compliance.projections.retention import retention_policies
from compliance.projections.trail import admin_actions, audit_events

Query = sa.Select[tuple[Any, ...]]


# ---- documents and acceptances -----------------------------------------------------------------------------------


def current_documents() -> Query:
    """The version in force of each document."""
    table = Documents.live(documents)
    every = table.alias("every")
    newest = sa.select(sa.func.max(every.c.version)).where(every.c.document_type == table.c.document_type)
    query = _with_counts(table).where(table.c.version == newest.scalar_subquery())
    return query.order_by(table.c.document_type)


def versions(document_type: str, before: int | None, limit: int) -> Query:
    """A document's versions, newest first; `before` is the last one seen."""
    table = Documents.live(documents)
    query = _with_counts(table).where(table.c.document_type == document_type)
    if before is not None:
        query = query.where(table.c.version < before)
    return query.order_by(table.c.version.desc()).limit(limit)


def _with_counts(table: sa.Table) -> Query:
    counts = AcceptanceRecords.live(acceptance_counts)
    same = sa.and_(counts.c.document_type == table.c.document_type, counts.c.version == table.c.version)
    return sa.select(
        table,
        sa.func.coalesce(counts.c.chain, 0).label("accepted_on_chain"),
        sa.func.coalesce(counts.c.api, 0).label("accepted_by_api"),
        sa.func.coalesce(counts.c.imported, 0).label("accepted_before"),
    ).select_from(table.outerjoin(counts, same))


def acceptances(subject: str | None, document_type: str | None, before: int | None, limit: int) -> Query:
    """Acceptances, newest first; `before` is the position of the last one seen."""
    table = AcceptanceRecords.live(acceptance_records)
    query = sa.select(table).order_by(table.c.position.desc()).limit(limit)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    if document_type is not None:
        query = query.where(table.c.document_type == document_type)
    if before is not None:
        query = query.where(table.c.position < before)
    return query


def accepted(subject: str, document_type: str, version: int | None) -> Query:
    """Whether a subject has accepted a version, by default the one in force; no row if there is no such version."""
    table = Documents.live(documents)
    index = ComplianceIndex.live(compliance_index)
    current = (
        sa.select(sa.func.max(table.c.version)).where(table.c.document_type == document_type).scalar_subquery()
    ).label("current_version")
    records = AcceptanceRecords.live(acceptance_records)
    at = (
        sa.select(sa.func.min(records.c.accepted_at))
        .where(
            records.c.subject == subject,
            records.c.document_type == document_type,
            records.c.version == table.c.version,
            records.c.content_hash == table.c.content_hash,  # the exact text, or it does not count
        )
        .scalar_subquery()
    )
    wanted = current if version is None else sa.literal(version)
    mine = sa.and_(index.c.subject == subject, index.c.document_type == table.c.document_type)
    return (
        sa.select(
            table.c.document_type,
            table.c.version,
            current,
            at.label("accepted_at"),
            index.c.accepted_version.label("latest_accepted_version"),
            index.c.served_version.label("latest_served_version"),
        )
        .select_from(table.outerjoin(index, mine))
        .where(table.c.document_type == document_type, table.c.version == wanted)
    )


# ---- contacts ----------------------------------------------------------------------------------------------------


def contact(subject: str) -> Query:
    table = Contacts.live(contacts)
    return sa.select(table).where(table.c.subject == subject)


# ---- deletion requests -------------------------------------------------------------------------------------------


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


def holds(after: str | None, limit: int) -> Query:
    """Legal holds in force, by subject."""
    table = LegalHolds.live(legal_holds)
    query = sa.select(table).order_by(table.c.subject).limit(limit)
    return query if after is None else query.where(table.c.subject > after)


# ---- the trail ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Which entries of a trail are asked for; None leaves a question open."""

    actor: str | None = None
    subject: str | None = None
    action: str | None = None
    service: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def audit_trail(wanted: TrailFilter, now: datetime, before: int | None, limit: int) -> Query:
    """Entries of the audit trail, newest first; `before` is the position of the last one seen."""
    return _trail(AuditTrail.live(audit_events), wanted, now, before, limit)


def administration(wanted: TrailFilter, now: datetime, before: int | None, limit: int) -> Query:
    """Acts of administration, newest first; `before` is the position of the last one seen."""
    return _trail(AdminActions.live(admin_actions), wanted, now, before, limit)


def retention() -> Query:
    """How long entries of the trail are shown, by action."""
    table = RetentionPolicies.live(retention_policies)
    return sa.select(table).order_by(table.c.action)


def _shown(table: sa.Table, now: datetime) -> sa.ColumnElement[bool]:
    """What is not older than its action's entries are shown, or is on hold."""
    policy, hold = RetentionPolicies.live(retention_policies), LegalHolds.live(legal_holds)
    passed = table.c.at < sa.literal(now) - sa.func.make_interval(0, 0, 0, policy.c.days)
    over = sa.exists().where(policy.c.action == table.c.action, passed)
    return sa.or_(sa.not_(over), sa.exists().where(hold.c.subject == table.c.subject))


def _trail(table: sa.Table, wanted: TrailFilter, now: datetime, before: int | None, limit: int) -> Query:
    """The digest of the event before one of our own is that of another entry."""
    earlier = AuditTrail.live(audit_events).alias("earlier")
    same = (earlier.c.service == table.c.service, earlier.c.stream == table.c.stream)
    before_it = sa.select(earlier.c.digest).where(*same, earlier.c.version == table.c.version - 1).scalar_subquery()
    columns = [column for column in table.c if column.name != "previous"]
    previous = sa.func.coalesce(table.c.previous, before_it).label("previous")
    query = sa.select(*columns, previous).where(_shown(table, now)).order_by(table.c.position.desc()).limit(limit)
    for name in ("actor", "subject", "action", "service"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(table.c[name] == value)
    if wanted.since is not None:
        query = query.where(table.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.c.at < wanted.until)
    if before is not None:
        query = query.where(table.c.position < before)
    return query

"""Who did what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from compliance.projections import AdminActions, AuditTrail, LegalHolds, RetentionPolicies
from compliance.projections.legal_holds import legal_holds
from compliance.projections.retention import retention_policies
from compliance.projections.trail import admin_actions, audit_events
from compliance.queries.common import Query


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

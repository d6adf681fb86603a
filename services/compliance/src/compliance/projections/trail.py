"""Who did what."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from compliance.domain import (
    EVENTS,
    AccessDenied,
    ActReported,
    AuditEventLogged,
    CommandRefused,
    DeletionCompleted,
    DeletionDenied,
    DeletionStarted,
    DocumentPublished,
    ExportOrdered,
    IdentityNotVerified,
    IdentityVerified,
    KycApproved,
    KycRejected,
    LegalHoldLifted,
    LegalHoldPlaced,
    PublicationConfirmed,
    RectificationCompleted,
    RectificationDenied,
    RequestExtended,
    RetentionSet,
    RootAnchored,
    SunsetSet,
    TranslationPublished,
)
from compliance.projections.common import Time, metadata, place, source_columns
from eventlog import PersonalDataRead, RecordedEvent, RequestRefused
from eventlog.leaves import digest
from projections import Projection, Rows, on


def _trail(name: str) -> sa.Table:
    """Rows by position in our own log, also of what is an event of another service's."""
    return sa.Table(
        name,
        metadata,
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("at", Time, nullable=False),
        sa.Column("actor", sa.Text),  # empty where the chain does not tell
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("service", sa.Text, nullable=False),  # in whose log the event is
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),  # of the event: its leaf under the log's seals
        sa.Column("previous", sa.Text),  # that of the stream's event before; of our own it is in the trail itself
        sa.Column("causation", sa.Text),
        sa.Column("detail", JSONB),
        *place(),
        sa.Index(f"{name}_stream", "service", "stream", "version"),
        sa.Index(f"{name}_actor", "actor", "position"),
        sa.Index(f"{name}_subject", "subject", "position"),
        sa.Index(f"{name}_action", "action", "position"),
    )


SERVICE = "compliance"
audit_events = _trail("audit_events")
admin_actions = _trail("admin_actions")


class AuditTrail(Projection):
    """Who did what, to whom, caused by what: every event of this service and every act in another, as they came."""

    name = "audit_events"
    tables = (audit_events,)
    about = {audit_events: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(*EVENTS.values(), PersonalDataRead, RequestRefused)
    def happened(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(audit_events, **_trace(event, recorded))


ADMINISTRATION = (
    DocumentPublished,
    PublicationConfirmed,
    TranslationPublished,
    SunsetSet,
    IdentityNotVerified,
    DeletionStarted,
    RequestExtended,
    DeletionCompleted,
    DeletionDenied,
    ExportOrdered,
    AccessDenied,
    RectificationCompleted,
    RectificationDenied,
    LegalHoldPlaced,
    LegalHoldLifted,
    RetentionSet,
    KycApproved,
    KycRejected,
    RootAnchored,
)


class AdminActions(Projection):
    """The acts of officers and administrators: ours, those the chain shows, and those reported as `admin.*`."""

    name = "admin_actions"
    tables = (admin_actions,)
    about = {admin_actions: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(*ADMINISTRATION)
    def acted(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(admin_actions, **_trace(event, recorded))

    @on(IdentityVerified)
    def verified(self, event: IdentityVerified, recorded: RecordedEvent, rows: Rows) -> None:
        if event.source is None:  # not proven by a signed request, so somebody has checked
            rows.insert(admin_actions, **_trace(event, recorded))

    @on(ActReported)
    def reported(self, event: ActReported, recorded: RecordedEvent, rows: Rows) -> None:
        if event.role is not None:
            rows.insert(admin_actions, **_trace(event, recorded))

    @on(AuditEventLogged)
    def logged(self, event: AuditEventLogged, recorded: RecordedEvent, rows: Rows) -> None:
        if event.kind.startswith("admin."):
            rows.insert(admin_actions, **_trace(event, recorded))


def _trace(event: Any, recorded: RecordedEvent) -> dict[str, Any]:
    """The row of an event in a trail."""
    if isinstance(event, ActReported):
        return _reported(event, recorded)
    action, detail = recorded.type, None
    if isinstance(event, AuditEventLogged):
        action, detail = event.kind, dict(event.detail)
    elif isinstance(event, CommandRefused):
        detail = {"command": event.command, "code": event.code}
    elif isinstance(event, PersonalDataRead):
        detail = {"route": event.route, "purpose": event.purpose}
    elif isinstance(event, RequestRefused):
        detail = {"route": event.route, "code": event.reason, "times": event.times}
    return {
        "position": recorded.position,
        "at": recorded.occurred_at,
        "actor": recorded.metadata.actor,
        "action": action,
        "subject": getattr(event, "subject", None),
        "service": SERVICE,
        "stream": recorded.stream,
        "version": recorded.version,
        "event_id": str(recorded.event_id),
        "digest": digest(recorded).hex(),
        "causation": recorded.metadata.causation_id,
        "detail": detail,
        **source_columns(getattr(event, "source", None)),
    }


def _reported(act: ActReported, recorded: RecordedEvent) -> dict[str, Any]:
    """The row of another service's event, which is known by its envelope: it was done to whatever its stream is of."""
    _, _, entity = act.stream.partition("/")
    return {
        "position": recorded.position,
        "at": recorded.occurred_at,
        "actor": act.actor,
        "action": act.action,
        "subject": entity or None,
        "service": act.service,
        "stream": act.stream,
        "version": act.version,
        "event_id": act.event_id,
        "digest": act.digest,
        "previous": act.previous,
        "causation": act.causation_id,
        "detail": None if act.refused is None else {"code": act.refused},
    }

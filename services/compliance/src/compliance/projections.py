"""The read models of compliance. Every table can be dropped and rebuilt from the log; queries.py reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from compliance.domain import (
    EVENTS,
    AuditEventLogged,
    CommandRefused,
    DeletionCompleted,
    DeletionDenied,
    DeletionExtended,
    DeletionJoined,
    DeletionReceived,
    DeletionStarted,
    DocumentAccepted,
    DocumentPublished,
    DocumentServed,
    IdentityNotVerified,
    IdentityVerified,
    PublicationConfirmed,
    RootAnchored,
    State,
)
from contracts.chain import DocumentType, Source
from eventlog import RecordedEvent
from projections import Projection, Rows, on

metadata = sa.MetaData()
Time = sa.DateTime(timezone=True)


def _place(prefix: str = "") -> list[sa.Column[Any]]:
    """Where on the chain a fact stands; empty for what came by API."""
    return [
        sa.Column(f"{prefix}block_number", sa.BigInteger),
        sa.Column(f"{prefix}tx_id", sa.Text),
        sa.Column(f"{prefix}log_index", sa.Integer),
    ]


documents = sa.Table(
    "documents",
    metadata,
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("published_at", Time, nullable=False),
    sa.Column("published_by", sa.Text),  # an officer; empty for the chain
    *_place(),
)

acceptance_records = sa.Table(
    "acceptance_records",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("how", sa.Text, primary_key=True),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("accepted_at", Time, nullable=False),
    sa.Column("recorded_by", sa.Text),
    sa.Column("position", sa.BigInteger, nullable=False),
    *_place(),
    sa.Index("acceptance_records_subject", "subject", "position"),
    sa.Index("acceptance_records_order", "position"),
)

acceptance_counts = sa.Table(
    "acceptance_counts",
    metadata,
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("chain", sa.BigInteger, nullable=False),
    sa.Column("api", sa.BigInteger, nullable=False),
    sa.Column("imported", sa.BigInteger, nullable=False),
)

compliance_index = sa.Table(
    "compliance_index",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("served_version", sa.BigInteger),
    sa.Column("served_at", Time),
    sa.Column("accepted_version", sa.BigInteger),
    sa.Column("accepted_at", Time),
)

data_deletion_requests = sa.Table(
    "data_deletion_requests",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("law", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # expired and overdue follow from the clock: see queries.py
    sa.Column("received_at", Time, nullable=False),
    sa.Column("due_at", Time, nullable=False),
    sa.Column("joined_to", sa.Text),
    sa.Column("identity", sa.Text),  # how it was verified, or why it was not
    sa.Column("extension", sa.Text),
    sa.Column("closed_at", Time),
    sa.Column("certificate_hash", sa.Text),
    sa.Column("denial_reason", sa.SmallInteger),
    *_place(),
    *_place("closed_"),
    sa.Index("data_deletion_requests_due", "due_at", "request_id"),
    sa.Index("data_deletion_requests_subject", "subject", "due_at", "request_id"),
)


def _trail(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("at", Time, nullable=False),
        sa.Column("actor", sa.Text),  # empty where the chain does not tell
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("causation", sa.Text),
        sa.Column("detail", JSONB),
        *_place(),
        sa.Index(f"{name}_actor", "actor", "position"),
        sa.Index(f"{name}_subject", "subject", "position"),
        sa.Index(f"{name}_action", "action", "position"),
    )


audit_events = _trail("audit_events")
admin_actions = _trail("admin_actions")


class Documents(Projection):
    """Every version of every document; the current one is the highest."""

    name = "documents"
    tables = (documents,)

    @on(DocumentPublished)
    def published(self, event: DocumentPublished, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            documents,
            document_type=slug(event.document_type),
            version=event.version,
            content_hash=event.content_hash,
            uri=event.uri,
            published_at=recorded.occurred_at,
            published_by=recorded.metadata.actor,
            **_source(event.source),
        )

    @on(PublicationConfirmed)
    def confirmed(self, event: PublicationConfirmed, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"document_type": slug(event.document_type), "version": event.version}
        rows.update(documents, key, **_source(event.source))


class AcceptanceRecords(Projection):
    """Every acceptance with its evidence: the log of the chain, or the caller who recorded it."""

    name = "acceptance_records"
    tables = (acceptance_records,)
    totals = (acceptance_counts,)

    @on(DocumentAccepted)
    def accepted(self, event: DocumentAccepted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            acceptance_records,
            subject=event.subject,
            document_type=slug(event.document_type),
            version=event.version,
            how=event.how.value,
            content_hash=event.content_hash,
            accepted_at=recorded.occurred_at,
            recorded_by=recorded.metadata.actor,
            position=recorded.position,
            **_source(event.source),
        )
        key = {"document_type": slug(event.document_type), "version": event.version}
        rows.increment(acceptance_counts, key, **{event.how.value: 1})


class ComplianceIndex(Projection):
    """The latest version that each subject was served and has accepted of each document."""

    name = "compliance_index"
    tables = (compliance_index,)

    def prefetch(self, recorded: RecordedEvent) -> list[tuple[sa.Table, Mapping[str, Any]]]:
        event = recorded.event
        return [(compliance_index, _entry(event))] if isinstance(event, DocumentServed | DocumentAccepted) else []

    @on(DocumentServed)
    def served(self, event: DocumentServed, recorded: RecordedEvent, rows: Rows) -> None:
        row = rows.get(compliance_index, _entry(event))
        if row is None or event.version > (row["served_version"] or 0):
            rows.upsert(compliance_index, _entry(event), served_version=event.version, served_at=recorded.occurred_at)

    @on(DocumentAccepted)
    def accepted(self, event: DocumentAccepted, recorded: RecordedEvent, rows: Rows) -> None:
        row = rows.get(compliance_index, _entry(event))
        if row is None or event.version > (row["accepted_version"] or 0):
            rows.upsert(
                compliance_index, _entry(event), accepted_version=event.version, accepted_at=recorded.occurred_at
            )


class DeletionRequests(Projection):
    """Every deletion request, its state and when it is due."""

    name = "data_deletion_requests"
    tables = (data_deletion_requests,)

    @on(DeletionReceived, DeletionJoined)
    def received(self, event: DeletionReceived | DeletionJoined, recorded: RecordedEvent, rows: Rows) -> None:
        joined_to = event.joined_to if isinstance(event, DeletionJoined) else None
        rows.insert(
            data_deletion_requests,
            request_id=event.request_id,
            subject=event.subject,
            law=event.law.label,
            state=(State.JOINED if joined_to else State.RECEIVED).value,
            received_at=event.received_at,
            due_at=event.due_at,
            joined_to=joined_to,
            **_source(event.source),
        )
        if joined_to:
            rows.update(data_deletion_requests, {"request_id": joined_to}, due_at=event.due_at)

    @on(IdentityVerified)
    def verified(self, event: IdentityVerified, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(data_deletion_requests, _request(event), state=State.VERIFIED.value, identity=event.method.value)

    @on(IdentityNotVerified)
    def unverified(self, event: IdentityNotVerified, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(data_deletion_requests, _request(event), state=State.UNVERIFIED.value, identity=event.reason.value)

    @on(DeletionStarted)
    def started(self, event: DeletionStarted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(data_deletion_requests, _request(event), state=State.IN_PROGRESS.value)

    @on(DeletionExtended)
    def extended(self, event: DeletionExtended, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(data_deletion_requests, _request(event), extension=event.reason.value, due_at=event.due_at)

    @on(DeletionCompleted)
    def completed(self, event: DeletionCompleted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(
            data_deletion_requests,
            _request(event),
            state=State.COMPLETED.value,
            certificate_hash=event.certificate_hash,
            closed_at=recorded.occurred_at,
            **_source(event.source, "closed_"),
        )

    @on(DeletionDenied)
    def denied(self, event: DeletionDenied, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(
            data_deletion_requests,
            _request(event),
            state=State.DENIED.value,
            denial_reason=event.reason,
            closed_at=recorded.occurred_at,
            **_source(event.source, "closed_"),
        )


class AuditTrail(Projection):
    """Who did what, to whom, caused by what: every event of this service, in the order of the log."""

    name = "audit_events"
    tables = (audit_events,)

    @on(*EVENTS.values())
    def happened(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(audit_events, **_trace(event, recorded))


ADMINISTRATION = (
    DocumentPublished,
    PublicationConfirmed,
    IdentityNotVerified,
    DeletionStarted,
    DeletionExtended,
    DeletionCompleted,
    DeletionDenied,
    RootAnchored,
)


class AdminActions(Projection):
    """The acts of officers and administrators: ours, those the chain shows, and those reported as `admin.*`."""

    name = "admin_actions"
    tables = (admin_actions,)

    @on(*ADMINISTRATION)
    def acted(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(admin_actions, **_trace(event, recorded))

    @on(IdentityVerified)
    def verified(self, event: IdentityVerified, recorded: RecordedEvent, rows: Rows) -> None:
        if event.source is None:  # not proven by a signed request, so somebody has checked
            rows.insert(admin_actions, **_trace(event, recorded))

    @on(AuditEventLogged)
    def logged(self, event: AuditEventLogged, recorded: RecordedEvent, rows: Rows) -> None:
        if event.kind.startswith("admin."):
            rows.insert(admin_actions, **_trace(event, recorded))


ALL = (Documents(), AcceptanceRecords(), ComplianceIndex(), DeletionRequests(), AuditTrail(), AdminActions())


def slug(document_type: DocumentType) -> str:
    """A document type as the API names it: `artist-agreement`."""
    return document_type.label.replace("_", "-")


def _entry(event: DocumentServed | DocumentAccepted) -> dict[str, str]:
    return {"subject": event.subject, "document_type": slug(event.document_type)}


def _request(event: Any) -> dict[str, str]:
    return {"request_id": event.request_id}


def _source(source: Source | None, prefix: str = "") -> dict[str, Any]:
    if source is None:
        return {}
    place = {"block_number": source.block_number, "tx_id": source.tx_id, "log_index": source.log_index}
    return {prefix + name: value for name, value in place.items()}


def _trace(event: Any, recorded: RecordedEvent) -> dict[str, Any]:
    """The row of an event in a trail."""
    action, detail = recorded.type, None
    if isinstance(event, AuditEventLogged):
        action, detail = event.kind, dict(event.detail)
    elif isinstance(event, CommandRefused):
        detail = {"command": event.command, "code": event.code}
    return {
        "position": recorded.position,
        "at": recorded.occurred_at,
        "actor": recorded.metadata.actor,
        "action": action,
        "subject": getattr(event, "subject", None),
        "stream": recorded.stream,
        "causation": recorded.metadata.causation_id,
        "detail": detail,
        **_source(getattr(event, "source", None)),
    }

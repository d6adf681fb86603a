"""Requests for a copy of one's data."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from compliance.domain import (
    AccessDenied,
    AccessJoined,
    AccessReceived,
    ArchiveFetched,
    ArchiveReady,
    CopyCollected,
    ExportOrdered,
    IdentityNotVerified,
    IdentityVerified,
    RequestExtended,
    State,
)
from compliance.projections.common import Time, metadata, receive, request_columns, step
from eventlog import RecordedEvent
from projections import Projection, Rows, on

STREAMS = "access/"

access_requests = sa.Table(
    "access_requests",
    metadata,
    *request_columns(),
    sa.Column("archive_expires_at", Time),
    sa.Column("fetched_at", Time),  # the archive, for the last time
    sa.Column("denial_reason", sa.SmallInteger),
    sa.Index("access_requests_due", "due_at", "request_id"),
    sa.Index("access_requests_subject", "subject", "due_at", "request_id"),
)

export_answers = sa.Table(
    "export_answers",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("copies", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),  # of the request; it copies what its wallets have, too
    sa.Column("ordered_at", Time, nullable=False),
    sa.Column("answered_at", Time),  # and collected
)


class AccessRequests(Projection):
    """Every request for a copy, its state, when it is due, and until when its archive is there."""

    name = "access_requests"
    tables = (access_requests, export_answers)
    about = {access_requests: "subject", export_answers: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(AccessReceived, AccessJoined)
    def received(self, event: AccessReceived | AccessJoined, recorded: RecordedEvent, rows: Rows) -> None:
        receive(rows, access_requests, event)

    @on(IdentityVerified, IdentityNotVerified, RequestExtended)
    def stepped(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.stream.startswith(STREAMS):
            _change(rows, event, **step(event))

    @on(ExportOrdered)
    def ordered(self, event: ExportOrdered, recorded: RecordedEvent, rows: Rows) -> None:
        _change(rows, event, state=State.IN_PROGRESS.value)
        for service in event.services:
            key = {"request_id": event.request_id, "copies": event.copies, "service": service}
            rows.insert(export_answers, **key, subject=event.subject, ordered_at=recorded.occurred_at)

    @on(CopyCollected)
    def collected(self, event: CopyCollected, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"request_id": event.request_id, "copies": event.copied, "service": event.service}
        rows.update(export_answers, key, answered_at=recorded.occurred_at)

    @on(ArchiveReady)
    def ready(self, event: ArchiveReady, recorded: RecordedEvent, rows: Rows) -> None:
        done = {"state": State.COMPLETED.value, "closed_at": recorded.occurred_at}
        _change(rows, event, **done, archive_expires_at=event.expires_at)

    @on(ArchiveFetched)
    def fetched(self, event: ArchiveFetched, recorded: RecordedEvent, rows: Rows) -> None:
        _change(rows, event, fetched_at=recorded.occurred_at)

    @on(AccessDenied)
    def denied(self, event: AccessDenied, recorded: RecordedEvent, rows: Rows) -> None:
        closed = {"state": State.DENIED.value, "closed_at": recorded.occurred_at}
        _change(rows, event, **closed, denial_reason=int(event.reason))


def _change(rows: Rows, event: Any, **values: Any) -> None:
    rows.update(access_requests, {"request_id": event.request_id}, **values)

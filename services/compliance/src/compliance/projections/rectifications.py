"""Requests for a correction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from compliance.domain import (
    IdentityNotVerified,
    IdentityVerified,
    RectificationCompleted,
    RectificationDenied,
    RectificationReceived,
    RequestExtended,
    State,
)
from compliance.projections.common import metadata, receive, request_columns, step
from eventlog import RecordedEvent
from projections import Projection, Rows, on

STREAMS = "rectification/"

rectification_requests = sa.Table(
    "rectification_requests",
    metadata,
    *request_columns(),
    sa.Column("denial_reason", sa.SmallInteger),
    sa.Index("rectification_requests_due", "due_at", "request_id"),
    sa.Index("rectification_requests_subject", "subject", "due_at", "request_id"),
)


class RectificationRequests(Projection):
    """Every request for a correction, its state and when it is due. What shall be corrected is in the log only."""

    name = "rectification_requests"
    tables = (rectification_requests,)
    about = {rectification_requests: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(RectificationReceived)
    def received(self, event: RectificationReceived, recorded: RecordedEvent, rows: Rows) -> None:
        receive(rows, rectification_requests, event)

    @on(IdentityVerified, IdentityNotVerified, RequestExtended)
    def stepped(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.stream.startswith(STREAMS):
            _change(rows, event, **step(event))

    @on(RectificationCompleted)
    def completed(self, event: RectificationCompleted, recorded: RecordedEvent, rows: Rows) -> None:
        _change(rows, event, state=State.COMPLETED.value, closed_at=recorded.occurred_at)

    @on(RectificationDenied)
    def denied(self, event: RectificationDenied, recorded: RecordedEvent, rows: Rows) -> None:
        closed = {"state": State.DENIED.value, "closed_at": recorded.occurred_at}
        _change(rows, event, **closed, denial_reason=int(event.reason))


def _change(rows: Rows, event: Any, **values: Any) -> None:
    rows.update(rectification_requests, {"request_id": event.request_id}, **values)

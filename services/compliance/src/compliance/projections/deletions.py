"""Requests for erasure."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from compliance.domain import (
    DeletionCompleted,
    DeletionDenied,
    DeletionJoined,
    DeletionReceived,
    DeletionStarted,
    ErasureAnswered,
    ErasureOrdered,
    IdentityNotVerified,
    IdentityVerified,
    RequestExtended,
    State,
)
from compliance.projections.common import Time, metadata, place, receive, request_columns, source_columns, step
from eventlog import RecordedEvent
from projections import Projection, Rows, on

STREAMS = "deletion/"

data_deletion_requests = sa.Table(
    "data_deletion_requests",
    metadata,
    *request_columns(),
    sa.Column("certificate_hash", sa.Text),
    sa.Column("denial_reason", sa.SmallInteger),
    *place(),
    *place("closed_"),
    sa.Index("data_deletion_requests_due", "due_at", "request_id"),
    sa.Index("data_deletion_requests_subject", "subject", "due_at", "request_id"),
)

erasure_answers = sa.Table(
    "erasure_answers",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("erases", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),  # of the request; it erases its wallets, too
    sa.Column("ordered_at", Time, nullable=False),
    sa.Column("answered_at", Time),
)


class DeletionRequests(Projection):
    """Every deletion request, its state and when it is due."""

    name = "data_deletion_requests"
    tables = (data_deletion_requests, erasure_answers)
    about = {data_deletion_requests: "subject", erasure_answers: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(DeletionReceived, DeletionJoined)
    def received(self, event: DeletionReceived | DeletionJoined, recorded: RecordedEvent, rows: Rows) -> None:
        receive(rows, data_deletion_requests, event, **source_columns(event.source))

    @on(IdentityVerified, IdentityNotVerified, RequestExtended)
    def stepped(self, event: Any, recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.stream.startswith(STREAMS):
            rows.update(data_deletion_requests, _request(event), **step(event))

    @on(DeletionStarted)
    def started(self, event: DeletionStarted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(data_deletion_requests, _request(event), state=State.IN_PROGRESS.value)

    @on(ErasureOrdered)
    def ordered(self, event: ErasureOrdered, recorded: RecordedEvent, rows: Rows) -> None:
        for service in event.services:
            rows.insert(
                erasure_answers,
                request_id=event.request_id,
                erases=event.erases,
                service=service,
                subject=event.subject,
                ordered_at=recorded.occurred_at,
            )

    @on(ErasureAnswered)
    def answered(self, event: ErasureAnswered, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"request_id": event.request_id, "erases": event.erased, "service": event.service}
        rows.update(erasure_answers, key, answered_at=event.carried_out_at)

    @on(DeletionCompleted)
    def completed(self, event: DeletionCompleted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(
            data_deletion_requests,
            _request(event),
            state=State.COMPLETED.value,
            certificate_hash=event.certificate_hash,
            closed_at=recorded.occurred_at,
            **source_columns(event.source, "closed_"),
        )

    @on(DeletionDenied)
    def denied(self, event: DeletionDenied, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(
            data_deletion_requests,
            _request(event),
            state=State.DENIED.value,
            denial_reason=event.reason,
            closed_at=recorded.occurred_at,
            **source_columns(event.source, "closed_"),
        )


def _request(event: Any) -> dict[str, str]:
    return {"request_id": event.request_id}

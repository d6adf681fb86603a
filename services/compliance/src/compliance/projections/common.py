"""What the tables of compliance share."""

from __future__ import annotations

from typing import Any, assert_never

import sqlalchemy as sa

from compliance.domain import (
    AccessJoined,
    AccessReceived,
    DeletionJoined,
    DeletionReceived,
    IdentityNotVerified,
    IdentityVerified,
    RectificationReceived,
    RequestExtended,
    State,
)
from contracts.chain import DocumentType, Source
from projections import Rows

metadata = sa.MetaData()
Time = sa.DateTime(timezone=True)
Received = AccessReceived | DeletionReceived | RectificationReceived
Joined = AccessJoined | DeletionJoined


def place(prefix: str = "") -> list[sa.Column[Any]]:
    """Where on the chain a fact stands; empty for what came by API."""
    return [
        sa.Column(f"{prefix}block_number", sa.BigInteger),
        sa.Column(f"{prefix}tx_id", sa.Text),
        sa.Column(f"{prefix}log_index", sa.Integer),
    ]


def source_columns(source: Source | None, prefix: str = "") -> dict[str, Any]:
    if source is None:
        return {}
    place = {"block_number": source.block_number, "tx_id": source.tx_id, "log_index": source.log_index}
    return {prefix + name: value for name, value in place.items()}


def request_columns() -> list[sa.Column[Any]]:
    """What is known of a request of every kind."""
    return [
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("law", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),  # expired and overdue follow from the clock: see queries
        sa.Column("received_at", Time, nullable=False),
        sa.Column("due_at", Time, nullable=False),
        sa.Column("joined_to", sa.Text),
        sa.Column("identity", sa.Text),  # how it was verified, or why it was not
        sa.Column("extension", sa.Text),
        sa.Column("closed_at", Time),
    ]


def receive(rows: Rows, requests: sa.Table, event: Received | Joined, **more: Any) -> None:
    """A new request of any kind; one that joins another gives it its deadline."""
    joined_to: str | None = getattr(event, "joined_to", None)
    rows.insert(
        requests,
        request_id=event.request_id,
        subject=event.subject,
        law=event.law.label,
        state=(State.JOINED if joined_to else State.RECEIVED).value,
        received_at=event.received_at,
        due_at=event.due_at,
        joined_to=joined_to,
        **more,
    )
    if joined_to:
        rows.update(requests, {"request_id": joined_to}, due_at=event.due_at)


def slug(document_type: DocumentType) -> str:
    """A document type as the API names it: `artist-agreement`."""
    return document_type.label.replace("_", "-")


def step(event: IdentityVerified | IdentityNotVerified | RequestExtended) -> dict[str, Any]:
    """What a step that every kind of request knows changes in its row."""
    match event:
        case IdentityVerified():
            return {"state": State.VERIFIED.value, "identity": event.method.value}
        case IdentityNotVerified():
            return {"state": State.UNVERIFIED.value, "identity": event.reason.value}
        case RequestExtended():
            return {"extension": event.reason.value, "due_at": event.due_at}
        case never:
            assert_never(never)

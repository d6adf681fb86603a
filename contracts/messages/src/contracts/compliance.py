"""What the compliance service tells the others. Subjects are opaque ids or public addresses, never personal data."""

from __future__ import annotations

from pydantic import Field

from contracts.chain import DocumentType, Law
from contracts.envelope import Message
from contracts.values import Hash, SubjectId, Time


class DocumentVersionPublished(Message, type="compliance.events.DocumentVersionPublished.v1"):
    """A legal document has a new version; earlier acceptances no longer suffice."""

    document_type: DocumentType
    version: int = Field(ge=1)
    content_hash: Hash
    published_at: Time


class AcceptanceRecorded(Message, type="compliance.events.AcceptanceRecorded.v1"):
    """A subject accepted exactly this text."""

    subject: str
    document_type: DocumentType
    version: int = Field(ge=1)
    content_hash: Hash
    accepted_at: Time


class DeletionOpened(Message, type="compliance.events.DeletionOpened.v1"):
    """A subject asked to be forgotten."""

    request_id: str
    subject: str
    law: Law
    due_at: Time


class DeletionClosed(Message, type="compliance.events.DeletionClosed.v1"):
    """A deletion request ended."""

    request_id: str
    outcome: str = Field(pattern="^(completed|denied)$")
    closed_at: Time


class ErasureOrdered(Message, type="compliance.orders.ErasureOrdered.v1"):
    """Every service shall erase what it holds of this subject, and answer."""

    request_id: str
    subject: SubjectId
    ordered_at: Time


class ErasureCarriedOut(Message, type="compliance.answers.ErasureCarriedOut.v1"):
    """A service has erased all that is personal of a subject: it holds no key and shows no row of it any more."""

    request_id: str
    subject: SubjectId
    service: str
    rows: dict[str, int] = Field(description="how many it has cleared, by table")
    kept: dict[str, str] = Field(description="what it keeps, each with the ground")
    carried_out_at: Time

"""What the compliance service tells the others. Subjects are opaque ids or public addresses, never personal data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.chain import DocumentType, Law
from contracts.envelope import Message
from contracts.values import Address, Hash, SubjectId, Time

PublicKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""An X25519 public key: 32 bytes in base64."""


class DocumentVersionPublished(Message, type="compliance.events.DocumentVersionPublished.v1"):
    """A legal document has a new version; once that is in force, earlier acceptances no longer suffice."""

    document_type: DocumentType
    version: int = Field(ge=1)
    content_hash: Hash
    published_at: Time
    effective_at: Time | None = Field(None, description="from when it is in force; null: from its publication on")


class DocumentSunset(Message, type="compliance.events.DocumentSunset.v1"):
    """When a version of a legal document ends, whether another follows or not; the latest message counts."""

    document_type: DocumentType
    version: int = Field(ge=1)
    sunset_at: Time


class AcceptanceRecorded(Message, type="compliance.events.AcceptanceRecorded.v1"):
    """A subject accepted exactly this text."""

    subject: str
    document_type: DocumentType
    version: int = Field(ge=1)
    content_hash: Hash
    accepted_at: Time


class ConsentWithdrawn(Message, type="compliance.events.ConsentWithdrawn.v1"):
    """A subject no longer consents: nothing that it accepted until then, also by its wallets, counts any more."""

    subject: str
    document_type: DocumentType
    withdrawn_at: Time


class OptedOut(Message, type="compliance.events.OptedOut.v1"):
    """A subject does not want its data to be used so any more: `sale-or-sharing`, `marketing`, `profiling`."""

    subject: str
    use: str
    opted_out_at: Time


class OptedIn(Message, type="compliance.events.OptedIn.v1"):
    """A subject has taken an opting out back."""

    subject: str
    use: str
    opted_in_at: Time


class WalletLinked(Message, type="compliance.events.WalletLinked.v1"):
    """A subject has proven by signature that a wallet is its own; until then it may have been another's."""

    address: Address
    subject: str
    linked_at: Time


class WalletUnlinked(Message, type="compliance.events.WalletUnlinked.v1"):
    """A wallet is nobody's any more."""

    address: Address
    subject: str


class KycDecided(Message, type="compliance.events.KycDecided.v1"):
    """Whether a subject is known to a level; an approval ends by itself at `expires_at`."""

    subject: str
    level: int = Field(ge=1)
    status: str = Field(pattern="^(approved|rejected)$")
    expires_at: Time | None = None


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
    seal: int | None = Field(None, description="number of the last seal of its log by then, null before the first")
    seal_hash: Hash | None = None


class ExportOrdered(Message, type="compliance.orders.ExportOrdered.v1"):
    """Every service shall gather what it holds of this subject, seal it to this key, keep it until then, and answer."""

    request_id: str
    subject: SubjectId
    public_key: PublicKey
    ordered_at: Time
    expires_at: Time


class ExportGathered(Message, type="compliance.answers.ExportGathered.v1"):
    """A service has gathered what it holds of a subject: a sealed copy, never on a topic, waits to be fetched."""

    request_id: str
    subject: SubjectId
    service: str
    content_hash: Hash = Field(description="SHA-256 of the sealed copy")
    size: int = Field(ge=0, description="of the sealed copy, in bytes")
    events: int = Field(ge=0, description="how many events of the service's log tell of the subject")
    gathered_at: Time

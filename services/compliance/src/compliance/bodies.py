"""What requests and answers look like. Texts are codes, hashes and opaque ids: personal data has no place to go."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, WithJsonSchema

from compliance.domain import DenialReason, ExtensionReason, Method, State, UnverifiedReason
from contracts.chain import DocumentType, Law
from contracts.values import Hash
from service import Strict, SubjectId

E = TypeVar("E", bound=IntEnum)


def slugs(enum: type[E]) -> dict[str, E]:
    """The members of an enumeration by the names that the API gives them: `artist-agreement`."""
    return {member.name.lower().replace("_", "-"): member for member in enum}


def _by_slug(enum: type[E]) -> tuple[BeforeValidator, WithJsonSchema]:
    known = slugs(enum)

    def member(value: Any) -> E:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return known[value]

    return BeforeValidator(member), WithJsonSchema({"type": "string", "enum": list(known)})


RequestId = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$")]
Opaque = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/-]+$")]
Number = Annotated[StrictInt, Field(ge=-(2**53) + 1, lt=2**53)]
VersionNumber = Annotated[int, Field(ge=1, lt=2**32, strict=True)]
DocumentName = Annotated[DocumentType, *_by_slug(DocumentType)]
LawName = Annotated[Law, *_by_slug(Law)]
DenialName = Annotated[DenialReason, *_by_slug(DenialReason)]


# ---- requests ----------------------------------------------------------------------------------------------------


class Publication(Strict):
    """The next version of a document. Publishing the same again changes nothing."""

    document_type: DocumentName
    version: VersionNumber
    content_hash: Hash = Field(description="SHA-256 of the exact text, in hex")
    uri: str = Field(min_length=1, max_length=2000, pattern=r"^[a-z][a-z0-9+.-]*:[!-~]+$", description="where it is")


class Serving(Strict):
    """A text that was shown to a subject."""

    subject: SubjectId
    version: VersionNumber
    content_hash: Hash


class Acceptance(Strict):
    """A text that a subject accepted. `content_hash` is that of what was shown: it must be the published one."""

    subject: SubjectId
    document_type: DocumentName
    version: VersionNumber
    content_hash: Hash


class DeletionRequest(Strict):
    """`request_id` is a fresh random UUID of the caller's: repeating the request with it changes nothing."""

    request_id: UUID
    subject: SubjectId
    law: LawName


class Verified(Strict):
    verified: Literal[True]
    method: Method


class NotVerified(Strict):
    verified: Literal[False]
    reason: UnverifiedReason


Identity = Annotated[Verified | NotVerified, Field(discriminator="verified")]


class Completion(Strict):
    certificate_hash: Hash = Field(description="SHA-256 of the erasure certificate")


class Denial(Strict):
    reason: DenialName


class Extension(Strict):
    """The subject was given notice of the extension, for this reason."""

    reason: ExtensionReason


class AuditEvent(Strict):
    """An act to put on record. `kind` is a code; those that begin with `admin.` are acts of administration."""

    kind: Code
    subject: SubjectId | None = None
    detail: dict[Code, Opaque | StrictBool | Number] = Field(default_factory=dict, max_length=20)


# ---- answers -----------------------------------------------------------------------------------------------------


class OnChain(BaseModel):
    """Where on the chain the fact stands; null for what came by API."""

    block_number: int | None
    tx_id: str | None
    log_index: int | None


class DocumentVersion(OnChain):
    document_type: str
    version: int
    content_hash: str
    uri: str
    published_at: datetime
    published_by: str | None
    accepted_on_chain: int
    accepted_by_api: int
    accepted_before: int = Field(description="brought in from the system before this one")


class AcceptanceRecord(OnChain):
    subject: str
    document_type: str
    version: int
    content_hash: str
    how: str
    accepted_at: datetime
    recorded_by: str | None
    position: int


class Accepted(BaseModel):
    """Whether a subject has accepted `version`: the one asked for, else the one in force."""

    subject: str
    document_type: str
    version: int
    accepted: bool
    accepted_at: datetime | None
    current_version: int
    latest_accepted_version: int | None
    latest_served_version: int | None


class DeletionStatus(OnChain):
    """A deletion request as of now. `joined_to` names the open request that this one is a duplicate of."""

    request_id: str
    subject: str
    law: str
    state: State
    overdue: bool
    received_at: datetime
    due_at: datetime
    joined_to: str | None
    identity: str | None = Field(description="how the identity was verified, or why it was not")
    extension: str | None
    closed_at: datetime | None
    certificate_hash: str | None
    denial_reason: str | None
    closed_block_number: int | None
    closed_tx_id: str | None
    closed_log_index: int | None


class TrailEntry(OnChain):
    position: int
    at: datetime
    actor: str | None = Field(description="null where the chain does not tell")
    action: str
    subject: str | None
    stream: str
    causation: str | None
    detail: dict[str, str | bool | int] | None


def denial_name(reason: int | None) -> str | None:
    """A denial's reason by name; `code-77` for one that only the chain knows."""
    if reason is None:
        return None
    names = {member.value: name for name, member in slugs(DenialReason).items()}
    return names.get(reason, f"code-{reason}")

"""What can be asked of deletion requests, and what can happen to them. deletion.py decides.

received → identity verified | unverified → in progress → completed | denied; joined: a duplicate of an open one. In
progress, every service is ordered to erase; the answer of the last one completes the request.
Expired is no event: it is a request whose identity was not verified in time, so it follows from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from contracts.chain import Law, Source
from contracts.values import Hash


class State(StrEnum):
    RECEIVED = "received"
    VERIFIED = "identity-verified"
    UNVERIFIED = "identity-unverified"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    DENIED = "denied"
    EXPIRED = "expired"
    JOINED = "joined"


AWAITING_IDENTITY = (State.RECEIVED, State.UNVERIFIED)
DUE = (State.VERIFIED, State.IN_PROGRESS)
OPEN = (*AWAITING_IDENTITY, *DUE)
DENIABLE = (*AWAITING_IDENTITY, State.VERIFIED)
"""Once services were ordered to erase, there is nothing left to deny."""


class Method(StrEnum):
    """How a subject proved who it is."""

    WALLET_SIGNATURE = "wallet-signature"  # the request itself was signed by the account
    SIGNED_IN = "signed-in"
    DOCUMENT = "document"
    SHARED_SECRET = "shared-secret"  # noqa: S105 - a name, not a secret


class UnverifiedReason(StrEnum):
    NO_ANSWER = "no-answer"
    INSUFFICIENT_EVIDENCE = "insufficient-evidence"
    MISMATCH = "mismatch"


class ExtensionReason(StrEnum):
    """The grounds of GDPR Art. 12(3)."""

    COMPLEXITY = "complexity"
    NUMBER_OF_REQUESTS = "number-of-requests"


class DenialReason(IntEnum):
    """The platform's codes for the legal ground, as ComplianceRegistry carries them; others may come from the chain."""

    IDENTITY_NOT_VERIFIED = 1  # GDPR Art. 12(6)
    MANIFESTLY_UNFOUNDED = 2  # GDPR Art. 12(5)
    LEGAL_OBLIGATION = 3  # GDPR Art. 17(3)(b), CCPA 1798.105(d)(8)
    LEGAL_CLAIMS = 4  # GDPR Art. 17(3)(e)
    PUBLIC_INTEREST = 5  # GDPR Art. 17(3)(b)-(d)
    FREEDOM_OF_EXPRESSION = 6  # GDPR Art. 17(3)(a), CCPA 1798.105(d)(4)
    NO_DATA = 7


# ---- commands: `source` is the place on the chain, None for what came by API -------------------------------------


@dataclass(frozen=True, slots=True)
class ReceiveDeletion:
    request_id: str
    subject: str
    law: Law
    at: datetime
    source: Source | None


@dataclass(frozen=True, slots=True)
class VerifyIdentity:
    request_id: str
    method: Method
    at: datetime


@dataclass(frozen=True, slots=True)
class RejectIdentity:
    request_id: str
    reason: UnverifiedReason
    at: datetime


@dataclass(frozen=True, slots=True)
class StartDeletion:
    """Every one of the services shall erase all that it holds of these subjects: the user, and its wallets."""

    request_id: str
    subjects: tuple[str, ...]
    services: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordErasure:
    """A service says that it has erased one of the subjects. `log` and `position` are where its own log has that."""

    request_id: str
    erased: str
    service: str
    rows: Mapping[str, int]
    kept: Mapping[str, str]
    log: str | None
    position: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ExtendDeletion:
    request_id: str
    reason: ExtensionReason
    at: datetime


@dataclass(frozen=True, slots=True)
class CompleteDeletion:
    """The chain has closed it. Others are completed by the last service's answer."""

    request_id: str
    certificate_hash: Hash
    at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class DenyDeletion:
    request_id: str
    reason: int
    at: datetime
    source: Source | None


Step = (
    VerifyIdentity | RejectIdentity | StartDeletion | RecordErasure | ExtendDeletion | CompleteDeletion | DenyDeletion
)
DeletionCommand = ReceiveDeletion | Step

# ---- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeletionReceived:
    request_id: str
    subject: str
    law: Law
    received_at: datetime
    due_at: datetime
    source: Source | None


@dataclass(frozen=True, slots=True)
class DeletionJoined:
    """A duplicate of the open request `joined_to`; `due_at`, of both, is the earlier of their deadlines."""

    request_id: str
    subject: str
    law: Law
    received_at: datetime
    due_at: datetime
    joined_to: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class IdentityVerified:
    request_id: str
    subject: str
    method: Method
    source: Source | None  # where the chain shows the signed request


@dataclass(frozen=True, slots=True)
class IdentityNotVerified:
    request_id: str
    subject: str
    reason: UnverifiedReason


@dataclass(frozen=True, slots=True)
class DeletionStarted:
    request_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class ErasureOrdered:
    """These services shall erase `erases`: the subject itself, or a wallet of it."""

    request_id: str
    subject: str
    erases: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErasureAnswered:
    request_id: str
    subject: str
    erased: str
    service: str
    rows: Mapping[str, int]
    kept: Mapping[str, str]
    log: str | None
    position: int | None
    carried_out_at: datetime


@dataclass(frozen=True, slots=True)
class DeletionExtended:
    """The subject was given notice of a longer period."""

    request_id: str
    subject: str
    reason: ExtensionReason
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeletionCompleted:
    request_id: str
    subject: str
    certificate_hash: Hash  # of `certificate`, or the chain's own
    joined_to: str | None  # for a duplicate that the chain closed by itself
    source: Source | None


@dataclass(frozen=True, slots=True)
class DeletionDenied:
    request_id: str
    subject: str
    reason: int
    joined_to: str | None
    source: Source | None


StepTaken = (
    IdentityVerified
    | IdentityNotVerified
    | DeletionStarted
    | ErasureOrdered
    | ErasureAnswered
    | DeletionExtended
    | DeletionCompleted
    | DeletionDenied
)
DeletionEvent = DeletionReceived | DeletionJoined | StepTaken


@dataclass(frozen=True, slots=True)
class RequestIdTaken:
    """An id belongs to one subject for ever: officers and the chain name requests by it alone."""

    request_id: str
    subject: str

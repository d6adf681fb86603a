"""What can be asked of deletion requests, and what can happen to them. deletion.py decides.

received → identity verified | unverified → in progress → completed | denied; joined: a duplicate of an open one. In
progress, every service is ordered to erase; the answer of the last one completes the request.
Expired is no event: it is a request whose identity was not verified in time, so it follows from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from compliance.domain.request import AWAITING_IDENTITY, SharedStep, SharedStepTaken, State
from contracts.chain import Law, Source
from contracts.values import Hash

DENIABLE = (*AWAITING_IDENTITY, State.VERIFIED)
"""Once services were ordered to erase, there is nothing left to deny."""


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
    seal: int | None = None
    seal_hash: Hash | None = None


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


Step = SharedStep | StartDeletion | RecordErasure | CompleteDeletion | DenyDeletion
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
    seal: int | None = None
    seal_hash: Hash | None = None


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


StepTaken = SharedStepTaken | DeletionStarted | ErasureOrdered | ErasureAnswered | DeletionCompleted | DeletionDenied
DeletionEvent = DeletionReceived | DeletionJoined | StepTaken

"""The requests of one subject for a copy of its data, in one stream: so duplicates are joined by a decision.

In progress, every service is ordered to gather what it holds of the subject and its wallets. What a service has
gathered is collected here, sealed; the last copy completes the request. The archive expires at the time that the
order named, which is no event either. Of those who ask with several keys before it is ordered, the last one's opens it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

from compliance.domain.deadlines import due_at
from compliance.domain.deletion_events import DenialReason
from compliance.domain.refusal import Contradiction
from compliance.domain.request import (
    DUE,
    OPEN,
    ExtendRequest,
    IdentityNotVerified,
    IdentityVerified,
    RejectIdentity,
    Request,
    RequestExtended,
    SharedStep,
    SharedStepTaken,
    State,
    VerifyIdentity,
    expect,
    of,
    open_one,
    step,
    stepped,
)
from contracts.chain import Law
from contracts.values import Hash
from eventlog import Decider

# ---- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReceiveAccess:
    """`public_key` is X25519 in base64: whoever makes the request, and nobody else, can open what is sealed to it."""

    request_id: str
    subject: str
    law: Law
    public_key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StartAccess:
    """Every one of the services shall gather what it holds of these subjects: the user, and its wallets."""

    request_id: str
    subjects: tuple[str, ...]
    services: tuple[str, ...]
    expires_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordGathering:
    """A service says that a sealed copy waits to be fetched from it."""

    request_id: str
    copied: str
    service: str
    content_hash: Hash
    size: int
    events: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordCopy:
    """The copy of that hash was fetched, and is kept here."""

    request_id: str
    copied: str
    service: str
    content_hash: Hash
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordFetch:
    """The archive was opened for whoever has its key."""

    request_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DenyAccess:
    request_id: str
    reason: DenialReason
    at: datetime


AccessStep = SharedStep | StartAccess | RecordGathering | RecordCopy | RecordFetch | DenyAccess
AccessCommand = ReceiveAccess | AccessStep

# ---- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccessReceived:
    request_id: str
    subject: str
    law: Law
    public_key: str
    received_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class AccessJoined:
    """A duplicate of the open request `joined_to`; `due_at`, of both, is the earlier of their deadlines."""

    request_id: str
    subject: str
    law: Law
    public_key: str
    received_at: datetime
    due_at: datetime
    joined_to: str


@dataclass(frozen=True, slots=True)
class ExportOrdered:
    """These services shall gather what they hold of `copies`: the subject itself, or a wallet of it."""

    request_id: str
    subject: str
    copies: str
    services: tuple[str, ...]
    public_key: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ExportAnswered:
    request_id: str
    subject: str
    copied: str
    service: str
    content_hash: Hash
    size: int
    events: int


@dataclass(frozen=True, slots=True)
class CopyCollected:
    request_id: str
    subject: str
    copied: str
    service: str
    content_hash: Hash


@dataclass(frozen=True, slots=True)
class ArchiveReady:
    """Every copy is here: the subject can fetch its archive until it expires."""

    request_id: str
    subject: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ArchiveFetched:
    request_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class AccessDenied:
    request_id: str
    subject: str
    reason: DenialReason


AccessStepTaken = (
    SharedStepTaken | ExportOrdered | ExportAnswered | CopyCollected | ArchiveReady | ArchiveFetched | AccessDenied
)
AccessEvent = AccessReceived | AccessJoined | AccessStepTaken


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(Request):
    """A request for a copy. `orders`, `answers` (their hashes) and `collected` are by service and subject."""

    public_key: str
    newer_key: str | None = None
    """Of the last duplicate that came in time."""
    orders: frozenset[tuple[str, str]] = frozenset()
    answers: Mapping[tuple[str, str], Hash] = field(default_factory=dict)
    collected: frozenset[tuple[str, str]] = frozenset()
    expires_at: datetime | None = None

    def is_open_to(self, now: datetime) -> bool:
        """Whether the archive can be fetched."""
        return self.state is State.COMPLETED and self.expires_at is not None and now < self.expires_at


Accesses = Mapping[str, Access]

# ---- decide ------------------------------------------------------------------------------------------------------


def decide(command: AccessCommand, requests: Accesses) -> list[AccessEvent]:
    if isinstance(command, ReceiveAccess):
        return _receive(command, requests)
    request = of(requests, command.request_id)
    name = (command.request_id, request.subject)
    match command:
        case VerifyIdentity() | RejectIdentity() | ExtendRequest():
            return [*step(command, request)]
        case StartAccess():
            return _start(command, request)
        case RecordGathering(copied=copied, service=service, content_hash=found):
            known = request.answers.get((service, copied)) == found
            if (service, copied) not in request.orders - request.collected or known:
                return []
            return [ExportAnswered(*name, copied, service, found, command.size, command.events)]
        case RecordCopy():
            return _record(command, request)
        case RecordFetch():
            expect(command.request_id, request, command.at, [State.COMPLETED])
            return [ArchiveFetched(*name)]
        case DenyAccess():
            if request.state is State.DENIED:
                return []
            expect(command.request_id, request, command.at, OPEN)
            return [AccessDenied(*name, command.reason)]
        case never:
            assert_never(never)


def _receive(command: ReceiveAccess, requests: Accesses) -> list[AccessEvent]:
    if (known := requests.get(command.request_id)) is not None:
        if (known.periods[0][0], known.public_key) == (command.law, command.public_key):
            return []
        raise Contradiction(f"request {command.request_id}: expected the law and the key it came with first")
    name = (command.request_id, command.subject, command.law, command.public_key, command.at)
    if (duplicated := open_one(requests, command.at)) is not None:
        open_id, request = duplicated
        return [AccessJoined(*name, request.joined(command.law, command.at).due_at, open_id)]
    return [AccessReceived(*name, due_at(command.law, command.at))]


def _start(command: StartAccess, request: Access) -> list[AccessEvent]:
    expect(command.request_id, request, command.at, DUE)
    if request.state is State.IN_PROGRESS:
        return []
    order = (command.services, request.newer_key or request.public_key, command.expires_at)
    return [ExportOrdered(command.request_id, request.subject, copies, *order) for copies in command.subjects]


def _record(command: RecordCopy, request: Access) -> list[AccessEvent]:
    """What was collected before, or is not what was answered last, changes nothing. The last copy completes."""
    one = (command.service, command.copied)
    if one in request.collected or request.answers.get(one) != command.content_hash:
        return []
    name = (command.request_id, request.subject)
    events: list[AccessEvent] = [CopyCollected(*name, command.copied, command.service, command.content_hash)]
    if request.orders == request.collected | {one} and request.expires_at is not None:
        events.append(ArchiveReady(*name, request.expires_at))
    return events


# ---- evolve ------------------------------------------------------------------------------------------------------


def evolve(requests: Accesses, event: AccessEvent) -> Accesses:
    match event:
        case AccessReceived():
            return {**requests, event.request_id: _new(event, State.RECEIVED)}
        case AccessJoined(law=law, received_at=at, joined_to=open_id):
            first = requests[open_id]
            in_time = first.state is not State.IN_PROGRESS
            newer = event.public_key if in_time else first.newer_key
            joint = replace(first.joined(law, at), newer_key=newer)
            duplicate = replace(_new(event, State.JOINED), joined_to=open_id)
            return {**requests, open_id: joint, event.request_id: duplicate}
        case _:
            return {**requests, event.request_id: _advance(requests[event.request_id], event)}


def _new(event: AccessReceived | AccessJoined, state: State) -> Access:
    period = (event.law, event.received_at)
    return Access(subject=event.subject, state=state, periods=(period,), public_key=event.public_key)


def _advance(request: Access, event: AccessStepTaken) -> Access:
    match event:
        case IdentityVerified() | IdentityNotVerified() | RequestExtended():
            return stepped(request, event)
        case ExportOrdered():
            orders = request.orders | {(service, event.copies) for service in event.services}
            return replace(request, state=State.IN_PROGRESS, orders=orders, expires_at=event.expires_at)
        case ExportAnswered():
            answers = {**request.answers, (event.service, event.copied): event.content_hash}
            return replace(request, answers=answers)
        case CopyCollected():
            return replace(request, collected=request.collected | {(event.service, event.copied)})
        case ArchiveReady():
            return replace(request, state=State.COMPLETED)
        case ArchiveFetched():
            return request
        case AccessDenied():
            return replace(request, state=State.DENIED)
        case never:
            assert_never(never)


accesses: Decider[AccessCommand, Accesses, AccessEvent] = Decider(MappingProxyType({}), decide, evolve)

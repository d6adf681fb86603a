"""What all requests of a subject have in common: states, identity, deadline and its extension, duplicates. Pure.

received → identity verified | unverified → in progress → completed | denied; joined: a duplicate of an open one.
Expired is no event: it is a request whose identity was not verified in time, so it follows from the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeVar, assert_never

from compliance.domain.deadlines import due_at
from compliance.domain.refusal import Contradiction, NotOnRecord, TooLate, WrongState
from contracts.chain import Law, Source
from eventlog import Decider


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


# ---- commands ----------------------------------------------------------------------------------------------------


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
class ExtendRequest:
    request_id: str
    reason: ExtensionReason
    at: datetime


SharedStep = VerifyIdentity | RejectIdentity | ExtendRequest

# ---- events ------------------------------------------------------------------------------------------------------


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
class RequestExtended:
    """The subject was given notice of a longer period."""

    request_id: str
    subject: str
    reason: ExtensionReason
    due_at: datetime


SharedStepTaken = IdentityVerified | IdentityNotVerified | RequestExtended

# ---- decide and evolve -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`periods` are law and receipt of the request and of those joined to it: the earliest deadline counts."""

    subject: str
    state: State
    periods: tuple[tuple[Law, datetime], ...]
    extension: ExtensionReason | None = None
    joined_to: str | None = None

    @property
    def due_at(self) -> datetime:
        return min(due_at(law, received_at, self.extension is not None) for law, received_at in self.periods)

    def joined(self, law: Law, received_at: datetime) -> Self:
        """It, with a duplicate that came then."""
        return replace(self, periods=(*self.periods, (law, received_at)))

    def state_at(self, now: datetime) -> State:
        """The state as of `now`: a request that awaits its subject's identity expires when it is due."""
        return State.EXPIRED if self.state in AWAITING_IDENTITY and self.due_at < now else self.state


R = TypeVar("R", bound=Request)


def of(requests: Mapping[str, R], request_id: str) -> R:
    """The request with an id among those of its kind; raises NotOnRecord."""
    try:
        return requests[request_id]
    except KeyError:
        raise NotOnRecord(f"request {request_id}: not received") from None


def open_one(requests: Mapping[str, R], at: datetime) -> tuple[str, R] | None:
    """The open request that one received then is a duplicate of, with its id; there is one at most."""
    return next(((name, request) for name, request in requests.items() if request.state_at(at) in OPEN), None)


def expect(request_id: str, request: Request, at: datetime, allowed: Collection[State]) -> None:
    """Raises WrongState unless the request is in one of these states."""
    found = request.state_at(at)
    if found not in allowed:
        where = f"{found} to {request.joined_to}" if request.joined_to else found
        raise WrongState(f"request {request_id}: expected {' or '.join(allowed)}, found {where}")


def step(command: SharedStep, request: Request) -> Sequence[SharedStepTaken]:
    """What a step comes to that requests of all kinds take."""
    match command:
        case VerifyIdentity():
            return _verify(command, request)
        case RejectIdentity():
            return _reject(command, request)
        case ExtendRequest():
            return _extend(command, request)
        case never:
            assert_never(never)


def stepped(request: R, event: SharedStepTaken) -> R:
    """The request after such a step."""
    match event:
        case IdentityVerified():
            return replace(request, state=State.VERIFIED)
        case IdentityNotVerified():
            return replace(request, state=State.UNVERIFIED)
        case RequestExtended():
            return replace(request, extension=event.reason)
        case never:
            assert_never(never)


def _verify(command: VerifyIdentity, request: Request) -> list[IdentityVerified]:
    expect(command.request_id, request, command.at, OPEN)
    done = request.state in DUE
    return [] if done else [IdentityVerified(command.request_id, request.subject, command.method, None)]


def _reject(command: RejectIdentity, request: Request) -> list[IdentityNotVerified]:
    expect(command.request_id, request, command.at, AWAITING_IDENTITY)
    done = request.state is State.UNVERIFIED
    return [] if done else [IdentityNotVerified(command.request_id, request.subject, command.reason)]


def _extend(command: ExtendRequest, request: Request) -> list[RequestExtended]:
    expect(command.request_id, request, command.at, OPEN)
    if request.extension is not None:
        if request.extension is command.reason:
            return []
        raise WrongState(f"request {command.request_id}: extended before, for {request.extension}")
    if request.due_at < command.at:
        raise TooLate(f"request {command.request_id}: was due at {request.due_at.isoformat()}")
    extended = replace(request, extension=command.reason)
    return [RequestExtended(command.request_id, request.subject, command.reason, extended.due_at)]


# ---- whose a request is ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestIdTaken:
    """An id belongs to one subject for ever: officers and the chain name requests by it alone."""

    request_id: str
    subject: str


def take(command: RequestIdTaken, taken: RequestIdTaken | None) -> list[RequestIdTaken]:
    if taken is None:
        return [command]
    if taken.subject == command.subject:
        return []
    raise Contradiction(f"request {command.request_id}: the id belongs to somebody else")


request_id: Decider[RequestIdTaken, RequestIdTaken | None, RequestIdTaken] = Decider(None, take, lambda _, taken: taken)

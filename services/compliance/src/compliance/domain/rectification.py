"""The requests of one subject to correct what is held of it (GDPR Art. 16, CCPA 1798.106), in one stream.

An officer decides. What a duplicate asks for is decided together with the request that it is joined to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from eventlog import Decider
from privacy import Sealed


@dataclass(frozen=True, slots=True)
class ReceiveRectification:
    """`corrections` are the parts of the contact that shall be others, sealed as JSON."""

    request_id: str
    subject: str
    law: Law
    corrections: Sealed
    at: datetime


@dataclass(frozen=True, slots=True)
class CompleteRectification:
    """The officer has found the corrections right; who asks for this appends the corrected contact with it."""

    request_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DenyRectification:
    request_id: str
    reason: DenialReason
    at: datetime


RectificationStep = SharedStep | CompleteRectification | DenyRectification
RectificationCommand = ReceiveRectification | RectificationStep


@dataclass(frozen=True, slots=True)
class RectificationReceived:
    """`due_at` is the earlier deadline of it and of the open request `joined_to` that it is a duplicate of, if any."""

    request_id: str
    subject: str
    law: Law
    corrections: Sealed
    received_at: datetime
    due_at: datetime
    joined_to: str | None


@dataclass(frozen=True, slots=True)
class RectificationCompleted:
    request_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class RectificationDenied:
    request_id: str
    subject: str
    reason: DenialReason


RectificationStepTaken = SharedStepTaken | RectificationCompleted | RectificationDenied
RectificationEvent = RectificationReceived | RectificationStepTaken


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectification(Request):
    """`corrections` are those of the request and of its duplicates, in the order in which they came."""

    corrections: tuple[Sealed, ...]


Rectifications = Mapping[str, Rectification]


def decide(command: RectificationCommand, requests: Rectifications) -> list[RectificationEvent]:
    if isinstance(command, ReceiveRectification):
        return _receive(command, requests)
    request = of(requests, command.request_id)
    match command:
        case VerifyIdentity() | RejectIdentity() | ExtendRequest():
            return [*step(command, request)]
        case CompleteRectification():
            if request.state is State.COMPLETED:
                return []
            expect(command.request_id, request, command.at, DUE)
            return [RectificationCompleted(command.request_id, request.subject)]
        case DenyRectification():
            if request.state is State.DENIED:
                return []
            expect(command.request_id, request, command.at, OPEN)
            return [RectificationDenied(command.request_id, request.subject, command.reason)]
        case never:
            assert_never(never)


def _receive(command: ReceiveRectification, requests: Rectifications) -> list[RectificationEvent]:
    if (known := requests.get(command.request_id)) is not None:
        if known.periods[0][0] is command.law:
            return []
        raise Contradiction(f"request {command.request_id}: expected the law {known.periods[0][0].name}")
    due, joined_to = due_at(command.law, command.at), None
    if (duplicated := open_one(requests, command.at)) is not None:
        joined_to, request = duplicated
        due = request.joined(command.law, command.at).due_at
    name = (command.request_id, command.subject, command.law)
    return [RectificationReceived(*name, command.corrections, command.at, due, joined_to)]


def evolve(requests: Rectifications, event: RectificationEvent) -> Rectifications:
    if not isinstance(event, RectificationReceived):
        return {**requests, event.request_id: _advance(requests[event.request_id], event)}
    period = (event.law, event.received_at)
    received = Rectification(
        subject=event.subject,
        state=State.RECEIVED if event.joined_to is None else State.JOINED,
        periods=(period,),
        joined_to=event.joined_to,
        corrections=(event.corrections,),
    )
    if event.joined_to is None:
        return {**requests, event.request_id: received}
    first = requests[event.joined_to]
    joint = replace(first.joined(*period), corrections=(*first.corrections, event.corrections))
    return {**requests, event.joined_to: joint, event.request_id: received}


def _advance(request: Rectification, event: RectificationStepTaken) -> Rectification:
    match event:
        case IdentityVerified() | IdentityNotVerified() | RequestExtended():
            return stepped(request, event)
        case RectificationCompleted():
            return replace(request, state=State.COMPLETED)
        case RectificationDenied():
            return replace(request, state=State.DENIED)
        case never:
            assert_never(never)


rectifications: Decider[RectificationCommand, Rectifications, RectificationEvent] = Decider(
    MappingProxyType({}), decide, evolve
)

"""The deletion requests of one subject, in one stream: so duplicates are joined by a decision, not by a lookup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

from compliance.domain.certificate import certificate, certificate_hash
from compliance.domain.deadlines import due_at
from compliance.domain.deletion_events import (
    DENIABLE,
    CompleteDeletion,
    DeletionCommand,
    DeletionCompleted,
    DeletionDenied,
    DeletionEvent,
    DeletionJoined,
    DeletionReceived,
    DeletionStarted,
    DenyDeletion,
    ErasureAnswered,
    ErasureOrdered,
    ReceiveDeletion,
    RecordErasure,
    StartDeletion,
    StepTaken,
)
from compliance.domain.refusal import Contradiction
from compliance.domain.request import (
    AWAITING_IDENTITY,
    DUE,
    OPEN,
    ExtendRequest,
    IdentityNotVerified,
    IdentityVerified,
    Method,
    RejectIdentity,
    Request,
    RequestExtended,
    State,
    VerifyIdentity,
    expect,
    of,
    open_one,
    step,
    stepped,
)
from contracts.values import Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion(Request):
    """A request for erasure."""

    orders: frozenset[tuple[str, str]] = frozenset()  # to a service, of a subject
    answers: tuple[ErasureAnswered, ...] = ()
    outcome: Hash | int | None = None  # certificate or reason

    @property
    def waiting_for(self) -> frozenset[tuple[str, str]]:
        """The service and subject of each erasure that is ordered and not answered."""
        return self.orders - {(answer.service, answer.erased) for answer in self.answers}


Deletions = Mapping[str, Deletion]


# ---- decide ------------------------------------------------------------------------------------------------------


def decide(command: DeletionCommand, requests: Deletions) -> list[DeletionEvent]:
    if isinstance(command, ReceiveDeletion):
        return _receive(command, requests)
    request = of(requests, command.request_id)
    match command:
        case CompleteDeletion() | DenyDeletion():
            return _close(command, request)
        case VerifyIdentity() | RejectIdentity() | ExtendRequest():
            return [*step(command, request)]
        case StartDeletion():
            expect(command.request_id, request, command.at, DUE)
            return [] if request.state is State.IN_PROGRESS else _start(command, request)
        case RecordErasure():
            return _record(command, request)
        case never:
            assert_never(never)


def _receive(command: ReceiveDeletion, requests: Deletions) -> list[DeletionEvent]:
    name = f"request {command.request_id}"
    known = requests.get(command.request_id)
    if known is not None:
        if known.periods[0][0] is command.law:
            return []
        raise Contradiction(f"{name}: expected the law {known.periods[0][0].name}, got {command.law.name}")
    received = (command.request_id, command.subject, command.law, command.at)
    proof = Method.WALLET_SIGNATURE
    if (duplicated := open_one(requests, command.at)) is not None:
        open_id, request = duplicated
        due = request.joined(command.law, command.at).due_at
        joined: list[DeletionEvent] = [DeletionJoined(*received, due, open_id, command.source)]
        if command.source is not None and request.state in AWAITING_IDENTITY:
            joined.append(IdentityVerified(open_id, command.subject, proof, command.source))
        return joined
    opened: list[DeletionEvent] = [DeletionReceived(*received, due_at(command.law, command.at), command.source)]
    if command.source is not None:
        opened.append(IdentityVerified(command.request_id, command.subject, proof, command.source))
    return opened


def _start(command: StartDeletion, request: Deletion) -> list[DeletionEvent]:
    name = (command.request_id, request.subject)
    orders = [ErasureOrdered(*name, erases, command.services) for erases in command.subjects]
    return [DeletionStarted(*name), *orders]


def _record(command: RecordErasure, request: Deletion) -> list[DeletionEvent]:
    """What was answered before, or never ordered, changes nothing. The last answer completes the request."""
    if (command.service, command.erased) not in request.waiting_for:
        return []
    answer = ErasureAnswered(
        command.request_id, request.subject, command.erased, command.service,
        command.rows, command.kept, command.log, command.position, command.at, command.seal, command.seal_hash,
    )  # fmt: skip
    after = replace(request, answers=(*request.answers, answer))
    if after.waiting_for or request.state is not State.IN_PROGRESS:
        return [answer]
    certified = certificate_hash(certificate(command.request_id, request.subject, after.answers))
    return [answer, DeletionCompleted(command.request_id, request.subject, certified, None, None)]


def _close(command: CompleteDeletion | DenyDeletion, request: Deletion) -> list[DeletionEvent]:
    """An officer may deny until the erasure is ordered; what the chain has closed is closed."""
    state: State
    outcome: Hash | int
    match command:
        case CompleteDeletion():
            state, outcome = State.COMPLETED, command.certificate_hash
        case DenyDeletion():
            state, outcome = State.DENIED, command.reason
    if (request.state, request.outcome) == (state, outcome):
        return []
    if command.source is None:
        expect(command.request_id, request, command.at, DENIABLE)
    elif request.state not in (*OPEN, State.JOINED):
        raise Contradiction(
            f"request {command.request_id}: {request.state} with {request.outcome}, got {state} with {outcome}"
        )
    name = (command.request_id, request.subject)
    if isinstance(command, CompleteDeletion):
        return [DeletionCompleted(*name, command.certificate_hash, request.joined_to, command.source)]
    return [DeletionDenied(*name, command.reason, request.joined_to, command.source)]


# ---- evolve ------------------------------------------------------------------------------------------------------


def evolve(requests: Deletions, event: DeletionEvent) -> Deletions:
    match event:
        case DeletionReceived():
            period = (event.law, event.received_at)
            return {
                **requests,
                event.request_id: Deletion(subject=event.subject, state=State.RECEIVED, periods=(period,)),
            }
        case DeletionJoined():
            period = (event.law, event.received_at)
            first = requests[event.joined_to]
            duplicate = Deletion(
                subject=event.subject, state=State.JOINED, periods=(period,), joined_to=event.joined_to
            )
            return {**requests, event.joined_to: first.joined(*period), event.request_id: duplicate}
        case _:
            return {**requests, event.request_id: _advance(requests[event.request_id], event)}


def _advance(request: Deletion, event: StepTaken) -> Deletion:
    match event:
        case IdentityVerified() | IdentityNotVerified() | RequestExtended():
            return stepped(request, event)
        case DeletionStarted():
            return replace(request, state=State.IN_PROGRESS)
        case ErasureOrdered():
            return replace(request, orders=request.orders | {(service, event.erases) for service in event.services})
        case ErasureAnswered():
            return replace(request, answers=(*request.answers, event))
        case DeletionCompleted():
            return replace(request, state=State.COMPLETED, outcome=event.certificate_hash)
        case DeletionDenied():
            return replace(request, state=State.DENIED, outcome=event.reason)
        case never:
            assert_never(never)


deletions: Decider[DeletionCommand, Deletions, DeletionEvent] = Decider(MappingProxyType({}), decide, evolve)

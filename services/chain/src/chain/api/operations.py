"""What is to be done on the chain: asked for once, and followed to solidification."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from fastapi import Response
from pydantic import BaseModel, Field

from chain import queries
from chain.api.parameters import Service
from chain.domain import operation as op
from chain.progress import Operations
from chain.submissions import ContractCall, Submissions, TokenPayment, TrxPayment, payload_of
from contracts.operations import SenderName
from contracts.values import Amount
from eventlog import EventLog, RecordedEvent, Watermark
from service import (
    After,
    Caller,
    Commands,
    EventStream,
    IdempotencyKey,
    LastEventId,
    Problem,
    Queries,
    Recorded,
    Router,
    StreamEvent,
    Strict,
    Tagged,
    followed,
    metadata_of,
    not_found,
)
from tron.errors import InvalidArgument

NAMESPACE = UUID("5f1c3f0e-0d51-4c1f-9c0a-6a3b1f4d7e21")
"""Of the ids of operations that were asked for here: each follows from the caller and its Idempotency-Key."""


Status = Annotated[
    Literal["intended", "signed", "broadcast", "included", "solidified", "failed", "expired"],
    Field(description="the last three are final; only `solidified` was done"),
]


class Submission(Strict):
    """What is to be done on the chain, once; the Idempotency-Key names it."""

    sender: SenderName = Field(description="the name of the key that signs and pays")
    payload: ContractCall | TrxPayment | TokenPayment = Field(discriminator="kind")


class Submitted(Recorded):
    operation_id: str = Field(description="follow it with GET /transactions/{operation_id}")


class Operation(BaseModel):
    """How far an operation has come."""

    operation_id: str
    sender: str
    payload: dict[str, Any]
    requested_by: str
    requested_at: datetime
    status: Status
    changed_at: datetime
    attempts: int
    tx_id: str | None = Field(description="of the last attempt")
    expires_at: datetime | None
    block_number: int | None
    block_hash: str | None
    fee_sun: Amount = Field(description="burned by all attempts")
    problem: str | None = Field(description="network, resources, duplicate, expired, invalid, energy or execution")
    reason: str | None


class Step(BaseModel):
    """A step of an operation; `id` of its event is the step's number."""

    operation_id: str
    status: Status
    at: datetime
    attempts: int
    tx_id: str | None = Field(description="of the last attempt")
    block_number: int | None
    block_hash: str | None
    problem: str | None = Field(description="network, resources, duplicate, expired, invalid, energy or execution")
    reason: str | None


def routes(commands: Commands, submissions: Submissions, log: EventLog, watermark: Watermark) -> Router:
    """The command, and what becomes of it; how far it is now is shown beside the transactions."""
    router = Router(route_class=Tagged)

    @router.post("/transactions", status_code=202, summary="Do something on the chain, once")
    async def submit(body: Submission, caller: Service, key: IdempotencyKey) -> Submitted:
        operation_id = str(uuid5(NAMESPACE, key))
        wish = op.OperationIntended(operation_id, body.sender, payload_of(body.payload), f"/{caller.subject}")
        try:
            recorded = await commands.execute([submissions.asked(wish, datetime.now(UTC), metadata_of(caller, key))])
        except InvalidArgument as error:
            raise Problem(422, "invalid-transaction", "The transaction is not valid.", str(error)) from None
        except op.OperationConflict:
            detail = "This Idempotency-Key was used for something else; choose another one."
            raise Problem(409, "operation-conflict", "The operation was asked for before.", detail) from None
        return Submitted(operation_id=operation_id, **recorded.model_dump())

    @router.get(
        "/operations/{operation_id}/events",
        summary="Each step of an operation as it happens, until it is final",
        response_class=EventStream,
        responses={204: {"description": "The operation is final, and the caller has been told so."}},
    )
    async def follow(operation_id: UUID, caller: Service, last_event_id: LastEventId = 0) -> Response:
        """Server-Sent Events, each named like the status it led to."""
        last = await log.last(op.operation_stream(str(operation_id)))
        if last is None:
            raise not_found("operation", str(operation_id))
        if last.version <= last_event_id and isinstance(last.event, op.FINAL_EVENTS):
            return Response(status_code=204)  # by the standard a client then stays away
        return EventStream(steps(log, watermark, str(operation_id), last_event_id), caller)

    return router


async def steps(
    log: EventLog, watermark: Watermark, operation_id: str, after: int
) -> AsyncGenerator[StreamEvent, None]:
    """The steps of an operation above number `after`, as they happen; ends with the final one."""
    state = op.operation.initial
    async for recorded in followed(log, watermark, op.operation_stream(operation_id)):
        state = op.evolve(state, recorded.event)
        if recorded.version > after:
            yield StreamEvent(recorded.version, state.status, _step(operation_id, state, recorded))
        if state.status in op.FINAL:
            return


def _step(operation_id: str, state: op.Operation, recorded: RecordedEvent) -> Step:
    block, problem, reason = state.block, None, None
    match event := recorded.event:
        case op.OperationSolidified():
            block = event.block_number, event.block_hash
        case op.TransactionLapsed() | op.TransactionFailed() | op.OperationFailed():
            problem, reason = event.kind, event.reason
        case op.OperationExpired():
            reason = event.reason
        case _:
            pass
    return Step(
        operation_id=operation_id,
        status=state.status,
        at=recorded.occurred_at,
        attempts=state.attempts,
        tx_id=None if isinstance(event, op.OperationIntended) else event.tx_id,
        block_number=block[0] if block else None,
        block_hash=block[1] if block else None,
        problem=problem,
        reason=reason,
    )


async def shown(reads: Queries, operation_id: UUID, caller: Caller, after: After) -> Operation:
    """How far an operation has come; shown to those who may ask for one. Raises Problem 403, 404."""
    if not caller.roles & {"service", "admin"}:
        raise Problem(403, "forbidden", "An operation is shown to services and administrators only.")
    await reads.caught_up(after, Operations)
    name = str(operation_id)
    return Operation(**await reads.one(queries.operation(name), "operation", name))

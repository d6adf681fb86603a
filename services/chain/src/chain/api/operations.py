"""What is to be done on the chain: asked for once, and followed to solidification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid5

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from chain import queries
from chain.api.parameters import Name, Service
from chain.domain import operation as op
from chain.progress import Operations
from chain.submissions import Submissions
from contracts.operations import SenderName
from contracts.values import Address, Amount
from service import After, Caller, Commands, IdempotencyKey, Problem, Queries, Recorded, metadata_of
from tron.errors import InvalidArgument

NAMESPACE = UUID("5f1c3f0e-0d51-4c1f-9c0a-6a3b1f4d7e21")
"""Of the ids of operations that were asked for here: each follows from the caller and its Idempotency-Key."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContractCall(Strict):
    """A function of one of our contracts: mint, buy, claim, record an acceptance, request a deletion."""

    kind: Literal["call"]
    contract: Name
    method: Name = Field(description="in snake case: buy_edition")
    args: dict[str, Any] = Field({}, description="by name in snake case; integers as numbers or decimal strings")
    value_sun: Amount = 0


class TrxPayment(Strict):
    kind: Literal["trx"]
    to: Address
    amount_sun: Amount


class TokenPayment(Strict):
    """A transfer of any TRC-20 token, in its smallest unit."""

    kind: Literal["trc20"]
    token: Address
    to: Address
    amount: Amount


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
    status: Literal["intended", "signed", "broadcast", "included", "solidified", "failed", "expired"] = Field(
        description="the last three are final; only `solidified` was done"
    )
    changed_at: datetime
    attempts: int
    tx_id: str | None = Field(description="of the last attempt")
    expires_at: datetime | None
    block_number: int | None
    block_hash: str | None
    fee_sun: Amount = Field(description="burned by all attempts")
    problem: str | None = Field(description="network, resources, duplicate, expired, invalid, energy or execution")
    reason: str | None


def routes(commands: Commands, submissions: Submissions) -> APIRouter:
    """The command; what became of it is shown beside the transactions."""
    router = APIRouter()

    @router.post("/transactions", status_code=202, summary="Do something on the chain, once")
    async def submit(body: Submission, caller: Service, key: IdempotencyKey) -> Submitted:
        operation_id = str(uuid5(NAMESPACE, key))
        wish = op.OperationIntended(operation_id, body.sender, _payload(body.payload), f"/{caller.subject}")
        try:
            recorded = await commands.execute([submissions.asked(wish, datetime.now(UTC), metadata_of(caller, key))])
        except InvalidArgument as error:
            raise Problem(422, "invalid-transaction", "The transaction is not valid.", str(error)) from None
        except op.OperationConflict:
            detail = "This Idempotency-Key was used for something else; choose another one."
            raise Problem(409, "operation-conflict", "The operation was asked for before.", detail) from None
        return Submitted(operation_id=operation_id, **recorded.model_dump())

    return router


async def shown(reads: Queries, operation_id: UUID, caller: Caller, after: After) -> Operation:
    """How far an operation has come; shown to those who may ask for one. Raises Problem 403, 404."""
    if not caller.roles & {"service", "admin"}:
        raise Problem(403, "forbidden", "An operation is shown to services and administrators only.")
    await reads.caught_up(after, Operations)
    name = str(operation_id)
    return Operation(**await reads.one(queries.operation(name), "operation", name))


def _payload(body: ContractCall | TrxPayment | TokenPayment) -> op.Payload:
    match body:
        case ContractCall():
            return op.ContractCall(body.contract, body.method, body.args, body.value_sun)
        case TrxPayment():
            return op.TrxPayment(body.to, body.amount_sun)
        case TokenPayment():
            return op.TokenPayment(body.token, body.to, body.amount)

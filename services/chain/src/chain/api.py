"""The HTTP side: what was read from the chain, and what is to be done on it. A POST is followed to solidification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from chain import queries
from chain.domain import operation as op
from chain.fetch import Heights
from chain.progress import Operations
from chain.submissions import Submissions
from contracts.operations import SenderName
from contracts.values import Address, Amount, Hash, SignedAmount, Uint256
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Problem,
    Queries,
    Recorded,
    metadata_of,
    require,
)
from tron.address import keccak256
from tron.errors import InvalidArgument, NodeError

MOST_EVENTS = 1_000
ROLES = {"0" * 64: "DEFAULT_ADMIN_ROLE"} | {
    keccak256(name.encode()).hex(): name
    for name in ("MINTER_ROLE", "PAUSER_ROLE", "ARTIST_ROLE", "OFFICER_ROLE", "ANCHOR_ROLE", "REGISTRAR_ROLE")
}
User = Annotated[Caller, Depends(require("user", "service", "admin"))]
Service = Annotated[Caller, Depends(require("service", "admin"))]
NAMESPACE = UUID("5f1c3f0e-0d51-4c1f-9c0a-6a3b1f4d7e21")
"""Of the ids of operations that were asked for here: each follows from the caller and its Idempotency-Key."""
BlockNumber = Annotated[int, Query(ge=0, lt=2**63)]
Name = Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class Status(BaseModel):
    """How far the chain was read. Heights of the node are null while it does not answer; `node` says why."""

    node: str = Field(description="`ok`, or why the node gives no answer")
    head: int | None = Field(description="the node's newest block")
    solid: int | None = Field(description="its newest solidified block")
    ingested: int | None = Field(description="the last block in the read models; null before the first")
    lag_blocks: int | None = Field(description="head - ingested; about 18 of them are not solidified yet")
    behind_solid_blocks: int | None = Field(description="solid - ingested: what is still to be read")
    lag_seconds: float | None = Field(description="age of the last block ingested")
    first_block: int | None
    transactions_recorded: str | None = Field(description="`all`, or those that touch a `watched` contract")
    blocks: int
    transactions: int
    events: int


class Event(BaseModel):
    contract: str
    name: str
    args: dict[str, Any]
    stream: str
    address: str
    block_number: int
    block_hash: str
    block_time: datetime
    tx_id: str
    log_index: int


class UndecodedLog(BaseModel):
    contract: str
    address: str
    topics: list[str]
    data: str
    data_bytes: int
    reason: str
    block_number: int
    block_hash: str
    block_time: datetime
    tx_id: str
    log_index: int


class Transaction(BaseModel):
    tx_id: str
    kind: str
    owner: str
    to: str | None
    contract: str | None
    method: str | None
    amount_sun: SignedAmount
    call_value_sun: SignedAmount
    fee_sun: SignedAmount
    energy_used: int
    bandwidth_used: int
    success: bool
    result: str
    block_number: int
    block_hash: str
    block_time: datetime
    index_in_block: int


class TransactionDetail(Transaction):
    events: list[Event] = Field(description=f"what watched contracts logged, the first {MOST_EVENTS}")


class Nft(BaseModel):
    token_id: Uint256
    owner: str
    track_id: Uint256 | None
    edition: int | None
    last_tx_id: str
    last_block: int


class Balances(BaseModel):
    address: str
    trx_sun: SignedAmount | None = Field(
        description="null unless it is exact: all transactions from block 0, no staking"
    )
    fees_sun: SignedAmount = Field(description="burned by its recorded transactions")
    dcmx: Amount = Field(description="10^-18 DCMX")
    nfts: int


class Contract(BaseModel):
    contract: str
    address: str
    first_block: int = Field(description="watched from this block on")
    paused: bool
    events: int
    undecoded: int
    last_block: int | None
    roles: dict[str, list[str]] = Field(description="role -> accounts that hold it")
    supply: Amount | None = Field(None, description="of a token, in its smallest unit")


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


def routes(commands: Commands, submissions: Submissions, reads: Queries, heights: Heights) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["chain"])

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

    @router.get("/status", summary="How far the chain was read")
    async def status(caller: User) -> Status:
        done = await reads.first(queries.ingestion())
        node, head, solid = "ok", None, None
        try:
            head, solid = await heights.now()
        except NodeError as error:
            node = f"{type(error).__name__}: {error.problem}"[:300]
        last, time = done.get("last_block"), done.get("last_time")
        return Status(
            node=node,
            head=head,
            solid=solid,
            ingested=last,
            lag_blocks=None if head is None or last is None else max(0, head - last),
            behind_solid_blocks=None if solid is None or last is None else max(0, solid - last),
            lag_seconds=None if time is None else max(0.0, (datetime.now(UTC) - time).total_seconds()),
            first_block=done.get("first_block"),
            transactions_recorded=done.get("scope"),
            **{name: done.get(name, 0) for name in ("blocks", "transactions", "events")},
        )

    @router.get("/events", summary="Events of the contracts, newest first")
    async def list_events(
        caller: User,
        paging: Paging,
        contract: Name | None = None,
        name: Name | None = None,
        first_block: BlockNumber | None = None,
        last_block: BlockNumber | None = None,
    ) -> Page[Event]:
        after = paging.after(int, int)
        rows = await reads.all(queries.events(contract, name, first_block, last_block, after, paging.limit + 1))
        events = [Event(**row) for row in rows]
        return paging.page(events, lambda event: (event.block_number, event.log_index))

    @router.get("/undecoded-logs", summary="Logs that could not be decoded, newest first")
    async def list_undecoded(caller: User, paging: Paging) -> Page[UndecodedLog]:
        rows = await reads.all(queries.undecoded_logs(paging.after(int, int), paging.limit + 1))
        logs = [UndecodedLog(**row) for row in rows]
        return paging.page(logs, lambda log: (log.block_number, log.log_index))

    @router.get("/transactions", summary="Transactions an account has signed or received, newest first")
    async def list_transactions(caller: User, paging: Paging, address: Address) -> Page[Transaction]:
        rows = await reads.all(queries.transactions_of(address, paging.after(int, int), paging.limit + 1))
        transactions = [Transaction(**row) for row in rows]
        return paging.page(transactions, lambda found: (found.block_number, found.index_in_block))

    @router.get("/transactions/{name}", summary="A transaction by its id, or how far an operation has come, by its own")
    async def get_transaction(caller: User, name: Hash | UUID, after: After) -> TransactionDetail | Operation:
        if isinstance(name, UUID):
            if not caller.roles & {"service", "admin"}:
                raise Problem(403, "forbidden", "An operation is shown to services and administrators only.")
            await reads.caught_up(after, Operations)
            return Operation(**await reads.one(queries.operation(str(name)), "operation", str(name)))
        found = await reads.one(queries.transaction(name), "transaction", name)
        events = await reads.all(queries.events_of_transaction(name, MOST_EVENTS))
        return TransactionDetail(**found, events=[Event(**event) for event in events])

    @router.get("/balances/{address}", summary="TRX, DCMX and number of NFTs of an account")
    async def balances(caller: User, address: Address) -> Balances:
        trx, done = await reads.first(queries.trx_balance(address)), await reads.first(queries.ingestion())
        exact = done.get("scope") == "all" and done.get("first_block") == 0 and not trx.get("unaccounted")
        return Balances(
            address=address,
            trx_sun=trx.get("balance_sun", 0) if exact else None,
            fees_sun=trx.get("fees_sun", 0),
            dcmx=(await reads.first(queries.token_balance(address))).get("balance", 0),
            nfts=(await reads.first(queries.nft_count(address))).get("tokens", 0),
        )

    @router.get("/nfts", summary="The NFTs of an account, by token id")
    async def list_nfts(caller: User, paging: Paging, owner: Address) -> Page[Nft]:
        rows = await reads.all(queries.nfts_of(owner, paging.after(Uint256), paging.limit + 1))
        nfts = [Nft(**row) for row in rows]
        return paging.page(nfts, lambda nft: (str(nft.token_id),))

    @router.get("/nfts/{token_id}", summary="An NFT: its owner, track and edition")
    async def get_nft(caller: User, token_id: Annotated[str, Path(pattern=r"^[0-9]{1,78}$")]) -> Nft:
        return Nft(**await reads.one(queries.nft(int(token_id)), "NFT", token_id))

    @router.get("/contracts", summary="The watched contracts and their state")
    async def list_contracts(caller: User) -> list[Contract]:
        held: dict[str, dict[str, list[str]]] = {}
        for row in await reads.all(queries.roles()):
            name: str = ROLES.get(row["role"]) or row["role"]
            held.setdefault(row["contract"], {}).setdefault(name, []).append(row["account"])
        supplies = {row["contract"]: row["supply"] for row in await reads.all(queries.token_supply())}
        return [
            Contract(**row, roles=held.get(row["contract"], {}), supply=supplies.get(row["contract"]))
            for row in await reads.all(queries.contracts())
        ]

    return router


def _payload(body: ContractCall | TrxPayment | TokenPayment) -> op.Payload:
    match body:
        case ContractCall():
            return op.ContractCall(body.contract, body.method, body.args, body.value_sun)
        case TrxPayment():
            return op.TrxPayment(body.to, body.amount_sun)
        case TokenPayment():
            return op.TokenPayment(body.token, body.to, body.amount)

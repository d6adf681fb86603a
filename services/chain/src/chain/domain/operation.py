"""An operation: something to be done on the chain once, from the wish to the solidified block. Pure.

    intended ─► signed ─► broadcast ─► included ─► solidified
       ▲          │          ▲  │         │ │
       │          │          └──┼retracted┘ ├────► failed
       └─ lapsed ─┴─────────────┘           │
       └─ failed for want of energy ────────┘      expired, once the attempts are used up

**From the first signature on, only the chain decides.** A signed transaction may have been paid, whatever a node said
of it. Another one is signed only after the proof that the one before can never be paid: its validity is over and it is
in no solidified block (`TransactionLapsed`), or it is in one and failed (`TransactionFailed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, assert_never

from contracts.values import Address, Amount, Hash
from eventlog import Decider

Kind = Literal["network", "resources", "duplicate", "expired", "invalid", "energy", "execution"]
"""Why something did not succeed; the same words as `tron.errors`, whose README says what to do about each."""

Status = Literal["unknown", "intended", "signed", "broadcast", "included", "solidified", "failed", "expired"]
FINAL: frozenset[Status] = frozenset({"solidified", "failed", "expired"})
HOPELESS: frozenset[Kind] = frozenset({"resources", "invalid", "execution"})
"""Refused for one of these, a transaction is not signed anew once it has lapsed: it would be refused again."""

OPERATIONS = "operation/"
"""The prefix of the operations' streams."""

# ---- what is to be done -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContractCall:
    """A function of one of our contracts. Names and arguments are those of the typed contracts, in snake case."""

    contract: str  # "music-nft"
    method: str  # "buy_edition"
    args: dict[str, Any]
    value_sun: Amount = 0
    kind: Literal["call"] = "call"


@dataclass(frozen=True, slots=True)
class TrxPayment:
    to: Address
    amount_sun: Amount
    kind: Literal["trx"] = "trx"


@dataclass(frozen=True, slots=True)
class TokenPayment:
    """A transfer of any TRC-20 token, in its smallest unit."""

    token: Address
    to: Address
    amount: Amount
    kind: Literal["trc20"] = "trc20"


Payload = ContractCall | TrxPayment | TokenPayment

# ---- events: the journal ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperationIntended:
    operation_id: str
    sender: str  # the name of the key that pays
    payload: Payload
    requested_by: str


@dataclass(frozen=True, slots=True)
class TransactionSigned:
    """The bytes that are handed to the network, again and again, until this attempt is settled."""

    attempt: int  # from 1
    tx_id: Hash
    owner: Address
    wire: str  # hex
    signed_at: datetime
    expires_at: datetime  # no block whose predecessor is of this time or later can hold it
    reference_block: int  # solidified; later blocks only can hold it
    fee_limit_sun: Amount


@dataclass(frozen=True, slots=True)
class TransactionBroadcast:
    """A node took it. That is no promise: it may still never be in a block."""

    attempt: int
    tx_id: Hash


@dataclass(frozen=True, slots=True)
class TransactionIncluded:
    """It is in a block that is not solidified yet."""

    tx_id: Hash
    block_number: int
    block_hash: Hash


@dataclass(frozen=True, slots=True)
class TransactionRetracted:
    """Its block was reorganised away; it is handed in again."""

    tx_id: Hash
    block_number: int
    block_hash: Hash


@dataclass(frozen=True, slots=True)
class TransactionLapsed:
    """Its validity is over and it is in none of the solidified blocks up to `block_number`: it can never be paid."""

    attempt: int
    tx_id: Hash
    block_number: int
    kind: Kind
    reason: str  # the last answer of a node, as far as it is known


@dataclass(frozen=True, slots=True)
class TransactionFailed:
    """It is in a solidified block and changed nothing, but cost its fee."""

    attempt: int
    tx_id: Hash
    block_number: int
    fee_sun: Amount
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class OperationSolidified:
    """Done, for good."""

    tx_id: Hash
    block_number: int
    block_hash: Hash
    fee_sun: Amount
    energy_used: int


@dataclass(frozen=True, slots=True)
class OperationFailed:
    """It was not done and will not be. `tx_id` is of the last attempt, None when that was never signed."""

    kind: Kind
    reason: str
    tx_id: Hash | None


@dataclass(frozen=True, slots=True)
class OperationExpired:
    """It was not done: none of the attempts was ever put into a block, and all have lapsed."""

    attempts: int
    tx_id: Hash
    reason: str


@dataclass(frozen=True, slots=True)
class OperationsSettled:
    """All operations that were intended at or before position `upto` of the log are final: nobody looks there again."""

    upto: int


SETTLED = "sender"
"""The stream of `OperationsSettled`."""

Event = (
    OperationIntended
    | TransactionSigned
    | TransactionBroadcast
    | TransactionIncluded
    | TransactionRetracted
    | TransactionLapsed
    | TransactionFailed
    | OperationSolidified
    | OperationFailed
    | OperationExpired
)

FINAL_EVENTS = (OperationSolidified, OperationFailed, OperationExpired)
"""Nothing follows one of these."""

# ---- commands ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intend:
    """`refusal` says why it can't be done, where that is known at once: it is reported, not tried."""

    intended: OperationIntended
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    signed: TransactionSigned


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing was signed, and there is no use in it."""

    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class RecordBroadcast:
    tx_id: str


@dataclass(frozen=True, slots=True)
class RecordInclusion:
    tx_id: str
    block_number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class RecordRetraction:
    tx_id: str


@dataclass(frozen=True, slots=True)
class RecordResult:
    """It is in a solidified block. `failure` says why it failed there, None where it succeeded."""

    tx_id: str
    block_number: int
    block_hash: str
    fee_sun: int
    energy_used: int
    failure: tuple[Kind, str] | None
    most_attempts: int


@dataclass(frozen=True, slots=True)
class RecordLapse:
    """It is proven that it can never be in a block: see `TransactionLapsed`."""

    tx_id: str
    block_number: int
    kind: Kind
    reason: str
    most_attempts: int


Command = (
    Intend | Sign | GiveUp | RecordBroadcast | RecordInclusion | RecordRetraction | RecordResult | RecordLapse
)  # fmt: skip

# ---- state and decisions ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    """How far an operation has come. `attempts` counts signatures; `signed` is the one that is not settled yet."""

    status: Status = "unknown"
    intended: OperationIntended | None = None
    attempts: int = 0
    signed: TransactionSigned | None = None
    block: tuple[int, str] | None = None


class OperationConflict(Exception):
    """An operation's id came again with other contents."""


def decide(command: Command, state: Operation) -> Sequence[Event]:
    """What a command leads to; nothing, where another instance or an earlier run has done it already."""
    if isinstance(command, Intend):
        return _intend(command, state)
    if state.intended is None or state.status in FINAL:
        return []
    if isinstance(command, Sign):
        wanted = state.status == "intended" and command.signed.attempt == state.attempts + 1
        return [command.signed] if wanted else []
    if isinstance(command, GiveUp):
        return [OperationFailed(command.kind, command.reason, None)] if state.status == "intended" else []
    if state.signed is None or state.signed.tx_id != command.tx_id:
        return []
    return _of_transaction(command, state, state.signed)


def _intend(command: Intend, state: Operation) -> Sequence[Event]:
    wish = command.intended
    if state.intended is None:
        refused = [OperationFailed("invalid", command.refusal, None)] if command.refusal is not None else []
        return [wish, *refused]
    if state.intended != wish:
        raise OperationConflict(f"operation {wish.operation_id}: expected {state.intended}, got {wish}")
    return []


def _of_transaction(
    command: RecordBroadcast | RecordInclusion | RecordRetraction | RecordResult | RecordLapse,
    state: Operation,
    signed: TransactionSigned,
) -> Sequence[Event]:
    match command:
        case RecordBroadcast():
            return [TransactionBroadcast(signed.attempt, signed.tx_id)] if state.status == "signed" else []
        case RecordInclusion(tx_id, number, block_hash):
            if state.block == (number, block_hash):
                return []
            moved = [] if state.block is None else [TransactionRetracted(tx_id, *state.block)]
            return [*moved, TransactionIncluded(tx_id, number, block_hash)]
        case RecordRetraction(tx_id):
            return [] if state.block is None else [TransactionRetracted(tx_id, *state.block)]
        case RecordResult():
            return _result(command, state, signed)
        case RecordLapse(tx_id, number, kind, reason, most):
            lapsed = TransactionLapsed(signed.attempt, tx_id, number, kind, reason)
            if kind in HOPELESS:
                return [lapsed, OperationFailed(kind, reason, tx_id)]
            if state.attempts >= most:
                return [lapsed, OperationExpired(state.attempts, tx_id, reason)]
            return [lapsed]
        case never:
            assert_never(never)


def _result(command: RecordResult, state: Operation, signed: TransactionSigned) -> Sequence[Event]:
    number, fee_sun = command.block_number, command.fee_sun
    if command.failure is None:
        return [OperationSolidified(signed.tx_id, number, command.block_hash, fee_sun, command.energy_used)]
    kind, reason = command.failure
    failed = TransactionFailed(signed.attempt, signed.tx_id, number, fee_sun, kind, reason)
    if kind == "energy" and state.attempts < command.most_attempts:
        return [failed]
    return [failed, OperationFailed(kind, reason, signed.tx_id)]


def evolve(state: Operation, event: Event) -> Operation:
    match event:
        case OperationIntended():
            return Operation("intended", event)
        case TransactionSigned():
            return replace(state, status="signed", attempts=event.attempt, signed=event, block=None)
        case TransactionBroadcast():
            return replace(state, status="broadcast")
        case TransactionIncluded():
            return replace(state, status="included", block=(event.block_number, event.block_hash))
        case TransactionRetracted():
            return replace(state, status="broadcast", block=None)
        case TransactionLapsed() | TransactionFailed():
            return replace(state, status="intended", signed=None, block=None)
        case OperationSolidified():
            return replace(state, status="solidified")
        case OperationFailed():
            return replace(state, status="failed")
        case OperationExpired():
            return replace(state, status="expired")
        case never:
            assert_never(never)


operation: Decider[Command, Operation, Event] = Decider(Operation(), decide, evolve)


def operation_stream(operation_id: str) -> str:
    return f"{OPERATIONS}{operation_id}"

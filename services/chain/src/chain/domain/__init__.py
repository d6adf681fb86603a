"""What the chain service records; pure: no clock, no ids, no I/O.

blocks.py: what solidified blocks say; the chain has decided already, so there are no commands. watch.py: of which
contracts, and by which ABIs. operation.py: what this service does on the chain for others, with the decisions that keep
it from paying twice.
"""

from chain.domain import operation as _operation
from chain.domain.blocks import (
    CONTRACTS,
    CURSOR,
    MAX_INTERNAL,
    WATCH,
    ZERO,
    Args,
    BlocksIngested,
    ContractEvent,
    ContractsWatched,
    InternalTransfer,
    LogDecoded,
    MoreInternalTransfers,
    Scope,
    TransactionSolidified,
    UndecodedLog,
    event_stream,
    past_stream,
    transaction_stream,
    undecoded_stream,
)
from chain.domain.watch import AbiRegistered, BlocksBackfilled, ContractAdded, LogsReviewed
from privacy import EVENTS as ORDERS

EVENTS: dict[str, type] = {
    "ContractEvent.v1": ContractEvent,
    "UndecodedLog.v1": UndecodedLog,
    "LogDecoded.v1": LogDecoded,
    "TransactionSolidified.v1": TransactionSolidified,
    "MoreInternalTransfers.v1": MoreInternalTransfers,
    "ContractsWatched.v1": ContractsWatched,
    "ContractAdded.v1": ContractAdded,
    "AbiRegistered.v1": AbiRegistered,
    "BlocksIngested.v1": BlocksIngested,
    "BlocksBackfilled.v1": BlocksBackfilled,
    "LogsReviewed.v1": LogsReviewed,
    "OperationIntended.v1": _operation.OperationIntended,
    "TransactionSigned.v1": _operation.TransactionSigned,
    "TransactionBroadcast.v1": _operation.TransactionBroadcast,
    "TransactionIncluded.v1": _operation.TransactionIncluded,
    "TransactionRetracted.v1": _operation.TransactionRetracted,
    "TransactionLapsed.v1": _operation.TransactionLapsed,
    "TransactionFailed.v1": _operation.TransactionFailed,
    "OperationSolidified.v1": _operation.OperationSolidified,
    "OperationFailed.v1": _operation.OperationFailed,
    "OperationExpired.v1": _operation.OperationExpired,
    "OperationsSettled.v1": _operation.OperationsSettled,
    **ORDERS,
}

__all__ = [
    "CONTRACTS",
    "CURSOR",
    "EVENTS",
    "MAX_INTERNAL",
    "WATCH",
    "ZERO",
    "AbiRegistered",
    "Args",
    "BlocksBackfilled",
    "BlocksIngested",
    "ContractAdded",
    "ContractEvent",
    "ContractsWatched",
    "InternalTransfer",
    "LogDecoded",
    "LogsReviewed",
    "MoreInternalTransfers",
    "Scope",
    "TransactionSolidified",
    "UndecodedLog",
    "event_stream",
    "past_stream",
    "transaction_stream",
    "undecoded_stream",
]

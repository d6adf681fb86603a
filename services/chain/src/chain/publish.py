"""What we tell the others: events of the contracts on their topics, and what became of operations."""

from __future__ import annotations

import orjson

from chain.decoding import encoded_message, public_message
from chain.domain import CONTRACTS, BlocksIngested, ContractEvent, LogDecoded
from chain.domain import operation as op
from contracts import Message, operations
from contracts.chain import BlocksSolidified
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec, orders

TOPICS = (
    *(TopicSpec(f"chain.{contract}") for contract in CONTRACTS),
    TopicSpec("chain.events"),
    TopicSpec("chain.operations"),
    TopicSpec("chain.blocks", partitions=1),
)
KEPT = {"blocks, transactions and events of contracts": "public-chain"}
"""What an erasure leaves, and on which ground."""
HEAD = TopicSpec("chain.head", partitions=1, config={"retention.ms": str(7 * 86_400_000)})
"""Provisional blocks, from a log of their own."""

BESIDE_THE_LOG = (HEAD,)
RELAYED = {HEAD.name: "head_entries"}
"""Relays beside the one of the log: by name the table that each publishes, with `position` and `recorded_at`."""

CONTRACT_EVENT = "ContractEvent"
UNTOLD = frozenset({"TransactionSolidified", "MoreInternalTransfers", "UndecodedLog"})
AS_STORED = UNTOLD | {CONTRACT_EVENT}
"""What most of the log consists of; to be published no objects need to be made of it."""


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event; None for administration, raw logs, transactions, steps in between."""
    if recorded.type in UNTOLD:
        return None
    if recorded.type == CONTRACT_EVENT and (told := _as_stored(recorded)) is not None:
        return told
    match event := recorded.event:
        case ContractEvent() | LogDecoded():
            message = public_message(event)
        case BlocksIngested(first, last, last_hash, last_time):
            message = BlocksSolidified(first=first, last=last, last_hash=last_hash, last_time=last_time)
        case _:
            message = _of_operation(recorded)
    if message is None:
        return orders.answered(recorded, "chain", KEPT)
    return Publication(message.topic, message)


def _as_stored(recorded: RecordedEvent) -> Publication | None:
    """An event of the five contracts as the log has it, under the names of its message; None where that is not all."""
    if recorded.type_version != 1:
        return None
    stored = orjson.loads(recorded.data)
    message = encoded_message(stored["contract"], stored["name"], stored["args"], stored["source"])
    return Publication(f"chain.{stored['contract']}", message) if message is not None else None


def publish_head(recorded: RecordedEvent) -> Publication:
    """An entry of the head log is the message itself."""
    return Publication(HEAD.name, recorded.event)


def _of_operation(recorded: RecordedEvent) -> Message | None:
    operation_id = recorded.stream.removeprefix(op.OPERATIONS)
    match recorded.event:
        case op.TransactionBroadcast(attempt, tx_id):
            return operations.OperationBroadcast(operation_id=operation_id, tx_id=tx_id, attempt=attempt)
        case op.OperationSolidified() as done:
            return operations.OperationSolidified(
                operation_id=operation_id,
                tx_id=done.tx_id,
                block_number=done.block_number,
                block_hash=done.block_hash,
                fee_sun=done.fee_sun,
                energy_used=done.energy_used,
            )
        case op.OperationFailed(kind, reason, tx_id):
            return operations.OperationFailed(operation_id=operation_id, kind=kind, reason=reason, tx_id=tx_id)
        case op.OperationExpired(attempts, tx_id, reason):
            return operations.OperationExpired(operation_id=operation_id, attempts=attempts, tx_id=tx_id, reason=reason)
        case _:
            return None

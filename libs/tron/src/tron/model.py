"""What a node tells about the chain, typed. Addresses are base58check; hashes, topics and data hex without 0x.

Named tuples: tens of thousands are made a second, in a quarter of the time of frozen dataclasses.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple


class Transaction(NamedTuple):
    """A transaction as it stands in a block.

    `kind` is the contract type of the protocol: TransferContract, TriggerSmartContract, CreateSmartContract, … `to` is
    the receiver of a transfer (TRX or TRC-10), `amount_sun` the TRX it moves; `contract_address` is the contract called
    or created, `call_value_sun` the TRX sent along, `data` the call data (hex). `owner` is the
    zero address where there is none: transfers of the genesis block, shielded transfers. `result` is what the block
    itself says of the outcome (SUCCESS, REVERT, …), None where it says nothing: in the genesis block
    and in very old ones.
    """

    tx_id: str
    kind: str
    owner: str
    to: str | None
    amount_sun: int
    call_value_sun: int
    data: str
    contract_address: str | None
    fee_limit: int
    result: str | None = None


class Block(NamedTuple):
    """A block: `hash` is the block id, whose first 8 bytes are the number; `time_ms` is Unix time in milliseconds."""

    number: int
    hash: str
    parent_hash: str
    time_ms: int
    transactions: tuple[Transaction, ...]


class Log(NamedTuple):
    """A contract's log. (block hash, `index_in_block`) identifies it; the index counts over the whole block from 0."""

    address: str
    topics: tuple[str, ...]
    data: str
    index_in_block: int


class BlockLog(NamedTuple):
    """A log and where it stands: what identifies it wherever it is told."""

    block_number: int
    block_hash: str
    tx_id: str
    log: Log


class InternalTransfer(NamedTuple):
    """A call or creation inside a transaction. `rejected`: it was undone, no TRX moved."""

    caller: str
    to: str
    value_sun: int
    note: str
    rejected: bool


class TransactionInfo(NamedTuple):
    """The receipt of a transaction.

    `result` is the virtual machine's (SUCCESS, REVERT, OUT_OF_ENERGY, …), SUCCESS for one that never ran it. `fee_sun`
    is everything burned; `energy_fee_sun` and `bandwidth_fee_sun` are parts of it. `energy_used` is in units of energy,
    `bandwidth_used` in bytes paid from staked or free bandwidth. `output` is what the contract returned, or its
    revert data (hex); for a creation it is the code.
    """

    tx_id: str
    block_number: int
    block_time_ms: int
    success: bool
    result: str
    message: str
    fee_sun: int
    energy_used: int
    energy_fee_sun: int
    bandwidth_used: int
    bandwidth_fee_sun: int
    contract_address: str | None
    output: str
    logs: tuple[Log, ...]
    internal_transfers: tuple[InternalTransfer, ...]


def logs_of(block: Block, infos: Iterable[TransactionInfo], addresses: Container[str]) -> list[BlockLog]:
    """Return what some contracts logged in a block, as its receipts tell it, in the chain's order."""
    return [
        BlockLog(block.number, block.hash, info.tx_id, log)
        for info in infos
        for log in info.logs
        if log.address in addresses
    ]

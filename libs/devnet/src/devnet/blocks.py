"""Blocks: header, hash, Merkle root, and the genesis block with its allocations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from devnet.keys import FAUCET, Account, accounts, producers
from devnet.proto import HEADER, Dict, encode, varint
from devnet.settings import Settings
from devnet.state import Undo
from devnet.transactions import Transaction, build

VERSION = 32
GENESIS_OWNER = b"0x" + b"0" * 21  # java-tron writes this text, not an address, as the sender of the allocations
GENESIS_WITNESS = (
    b"A new system must allow existing systems to be linked together without requiring any central control"
    b" or coordination"
)


class Contents(Protocol):
    """What a block holds: in memory, or on the disk (`archive`)."""

    @property
    def transactions(self) -> list[Transaction]:
        """In their order, each with its receipt."""
        ...

    @property
    def logs(self) -> list[Dict]:
        """Ready to be served by JSON-RPC."""
        ...

    def body(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns an answer about the block, made once."""
        ...


@dataclass(slots=True)
class Held:
    """The contents of a young block, in memory."""

    transactions: list[Transaction]
    logs: list[Dict] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def body(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns an answer about the block, made when it is asked first."""
        if key not in self.bodies:
            self.bodies[key] = make()
        return self.bodies[key]


@dataclass(slots=True)
class Block:
    """A sealed block. `undo` is kept as long as the block can be reorganised away."""

    header: Dict
    id: bytes
    signature: bytes
    contents: Contents
    undo: Undo | None = None

    @property
    def transactions(self) -> list[Transaction]:
        """In their order, each with its receipt."""
        return self.contents.transactions

    @property
    def logs(self) -> list[Dict]:
        """Ready to be served by JSON-RPC."""
        return self.contents.logs

    @property
    def number(self) -> int:
        """The height."""
        return int(self.header.get("number", 0))

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970; 0 for the genesis block."""
        return int(self.header.get("timestamp", 0))

    @property
    def witness(self) -> bytes:
        """The producer's address."""
        return bytes(self.header["witness_address"])

    @property
    def size(self) -> int:
        """Bytes of the block in its wire form."""
        header = len(encode(HEADER, self.header))
        header += 1 + len(varint(header)) + (67 if self.signature else 0)
        sizes = [header, *(transaction.size for transaction in self.transactions)]
        return sum(1 + len(varint(size)) + size for size in sizes)


def merkle_root(transactions: list[Transaction]) -> bytes:
    """Returns the root over the hashes of the transactions; zero for none. An odd node moves up alone."""
    level = [hashlib.sha256(transaction.encoded()).digest() for transaction in transactions]
    if not level:
        return bytes(32)
    while len(level) > 1:
        pairs = [level[index : index + 2] for index in range(0, len(level), 2)]
        level = [hashlib.sha256(b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def block_id(header: Dict) -> bytes:
    """Returns the number in eight bytes, then the last 24 of the SHA-256 of the header."""
    digest = hashlib.sha256(encode(HEADER, header)).digest()
    return int(header.get("number", 0)).to_bytes(8, "big") + digest[8:]


def seal(
    number: int,
    parent: bytes,
    timestamp: int,
    producer: Account,
    transactions: list[Transaction],
    undo: Undo | None = None,
) -> Block:
    """Returns the block signed by its producer, its transactions knowing their place."""
    header: Dict = {
        "timestamp": timestamp,
        "txTrieRoot": merkle_root(transactions),
        "parentHash": parent,
        "number": number,
        "witness_address": producer.raw_address,
        "version": VERSION,
    }
    for index, transaction in enumerate(transactions):
        transaction.block, transaction.index = number, index
    signature = producer.sign(hashlib.sha256(encode(HEADER, header)).digest())
    identity = block_id(header)
    return Block(header, identity, signature, Held(transactions, _logs(number, identity, transactions)), undo)


def allocations(settings: Settings) -> list[tuple[str, bytes, int]]:
    """Returns name, address and balance in sun of every account that exists from the start."""
    rows = [("faucet", FAUCET.raw_address, settings.faucet_balance_sun)]
    rows += [
        (f"dev{index}", account.raw_address, settings.account_balance_sun)
        for index, account in enumerate(accounts(settings.accounts))
    ]
    rows += [
        (f"producer{index}", account.raw_address, 0) for index, account in enumerate(producers(settings.producers))
    ]
    return rows


def genesis(settings: Settings) -> Block:
    """Returns block 0: one unsigned transfer per allocation, as java-tron's. The same settings give the same block."""
    transactions = [
        build("TransferContract", {"owner_address": GENESIS_OWNER, "to_address": address, "amount": amount}, {})
        for _, address, amount in allocations(settings)
    ]
    header: Dict = {
        "txTrieRoot": merkle_root(transactions),
        "parentHash": bytes(32),
        "witness_address": GENESIS_WITNESS,
    }
    for index, transaction in enumerate(transactions):
        transaction.block, transaction.index = 0, index
    return Block(header, block_id(header), b"", Held(transactions))


def _logs(height: int, identity: bytes, transactions: list[Transaction]) -> list[Dict]:
    logs: list[Dict] = []
    block_hash, number = "0x" + identity.hex(), hex(height)
    for transaction in transactions:
        transaction_hash = "0x" + transaction.id.hex()
        for address, topics, data in transaction.receipt.logs:
            logs.append(
                {
                    "address": "0x" + address.hex(),
                    "blockHash": block_hash,
                    "blockNumber": number,
                    "data": "0x" + data.hex(),
                    "logIndex": hex(len(logs)),
                    "removed": False,
                    "topics": ["0x" + topic.hex() for topic in topics],
                    "transactionHash": transaction_hash,
                    "transactionIndex": hex(transaction.index),
                }
            )
    return logs

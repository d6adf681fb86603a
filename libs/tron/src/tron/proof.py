"""Proof that a block is what its id says: the id is the header's hash, the header holds the root of the transactions.

So a block whose transactions are incomplete, changed or in another order cannot pass for the one with this id, and a
chain of parents proves every block below. Receipts and logs are in no hash of TRON's: for those a second node must be
asked. Source: java-tron, `BlockCapsule.getBlockId`, `MerkleTree`, `TransactionCapsule.getMerkleHash`; held against
recorded blocks by a test. Only answers with `visible: false` (hex addresses) can be proven.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

from tron.keys import signer
from tron.transaction import content, number

Json = dict[str, Any]

_RESULTS = (
    "DEFAULT", "SUCCESS", "REVERT", "BAD_JUMP_DESTINATION", "OUT_OF_MEMORY", "PRECOMPILED_CONTRACT",
    "STACK_TOO_SMALL", "STACK_TOO_LARGE", "ILLEGAL_OPERATION", "STACK_OVERFLOW", "OUT_OF_ENERGY", "OUT_OF_TIME",
    "JVM_STACK_OVER_FLOW", "UNKNOWN", "TRANSFER_FAILED", "INVALID_CODE",
)  # fmt: skip  # Transaction.Result.contractResult in its numbering
_RESULT_NUMBERS = {name: index for index, name in enumerate(_RESULTS)}
_OUTCOMES = {"SUCESS": 0, "FAILED": 1}  # the protocol spells it so


def mismatch(block: Json) -> str | None:
    """Return what is wrong between a block's id, header and transactions, or None if each proves the next.

    Raises `KeyError`, `TypeError` or `ValueError` for a block of another shape.
    """
    header: Json = block["block_header"]["raw_data"]
    expected = header_id(header)
    if block["blockID"] != expected:
        return f"its header hashes to the id {expected}"
    root = merkle_root(block.get("transactions", [])).hex()
    if header["txTrieRoot"] != root:
        return f"its {len(block.get('transactions', []))} transactions have the root {root}, not {header['txTrieRoot']}"
    return None


def header_id(header: Json) -> str:
    """Return the block id of a header: its number, then the last 24 bytes of its hash."""
    return f"{header.get('number', 0):016x}{_header_hash(header).hex()[16:]}"


def producer(block: Json) -> str:
    """Return the address of the key that signed a block: of its witness, or of the one that the witness lets sign.

    Raises as `mismatch`; the genesis block is signed by nobody.
    """
    header: Json = block["block_header"]
    return signer(_header_hash(header["raw_data"]), bytes.fromhex(header["witness_signature"]))


def _header_hash(header: Json) -> bytes:
    raw = (
        number(1, header.get("timestamp", 0))
        + content(2, bytes.fromhex(header["txTrieRoot"]))
        + content(3, bytes.fromhex(header["parentHash"]))
        + number(7, header.get("number", 0))
        + number(8, header.get("witness_id", 0))
        + content(9, bytes.fromhex(header["witness_address"]))
        + number(10, header.get("version", 0))
        + content(11, bytes.fromhex(header.get("accountStateRoot", "")))
    )
    return sha256(raw).digest()


def merkle_root(transactions: list[Json]) -> bytes:
    """Return the root over the transactions with their signatures and results; 32 zeros for none."""
    level = [sha256(_encoded(transaction)).digest() for transaction in transactions]
    if not level:
        return bytes(32)
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(pair[0] + pair[1]).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def _encoded(transaction: Json) -> bytes:
    parts = [content(1, bytes.fromhex(transaction["raw_data_hex"]))]
    parts += [content(2, bytes.fromhex(signature)) for signature in transaction.get("signature", [])]
    parts += [
        _result(result.get("fee", 0), result.get("ret", "SUCESS"), result.get("contractRet", "DEFAULT"))
        for result in transaction.get("ret", [])
    ]
    return b"".join(parts)


@lru_cache(256, typed=True)
def _result(fee: int, outcome: str, contract_result: str) -> bytes:
    body = number(1, fee) + number(2, _OUTCOMES[outcome]) + number(3, _RESULT_NUMBERS[contract_result])
    return b"\x2a" + bytes([len(body)]) + body  # field 5, also when it is empty

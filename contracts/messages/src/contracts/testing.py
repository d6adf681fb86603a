"""For tests: addresses, hashes and sources that are valid and tell each other apart."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from contracts.chain import Source

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def address(number: int) -> str:
    """The `number`-th TRON address of the tests."""
    raw = b"\x41" + hashlib.sha256(b"address %d" % number).digest()[:20]
    value = int.from_bytes(raw + hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4], "big")
    text = ""
    while value:
        value, digit = divmod(value, 58)
        text = _BASE58[digit] + text
    return text


def hash_of(*parts: object) -> str:
    """32 bytes in hex, the same for the same parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def source(block: int, log_index: int = 0, contract: int = 0, tx: str | None = None) -> Source:
    """The place of a log on an imagined chain with a block every three seconds."""
    return Source(
        contract=address(contract),
        block_number=block,
        block_hash=hash_of("block", block),
        block_time=EPOCH + timedelta(seconds=3 * block),
        tx_id=tx or hash_of("tx", block, log_index),
        log_index=log_index,
    )

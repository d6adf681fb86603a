"""Transactions of one's own: encoded (protobuf), hashed and signed here, without asking a node.

The encoding is that of java-tron's `Transaction` message, held against recorded ones by the tests. A field with its
default value is left out, as proto3 does, so that our transaction id is the node's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Protocol

from tron.address import raw
from tron.codec import refuse
from tron.keys import Key

MAX_INT64 = 2**63 - 1
MAX_FEE_LIMIT_SUN = 15_000_000_000
"""The network's `getMaxFeeLimit`: 15,000 TRX."""
MAX_VALIDITY_MS = 24 * 60 * 60 * 1000
MAX_BYTES = 500 * 1024
SIGNATURE_BYTES = 72
"""Of one signature, framed, and the frame around the rest."""


class Payload(Protocol):
    """What a transaction does: `Transfer`, `tron.contract.Call`, `Creation`."""

    def contract(self, owner: bytes) -> tuple[int, str, bytes]:
        """Return the protocol's contract type, its message name, and the encoded message; `owner` has 21 bytes."""


@lru_cache(4096, typed=True)  # tags and lengths come again and again
def varint(number: int) -> bytes:
    """Return a protobuf varint (of a non-negative number)."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(tag: int, value: int) -> bytes:
    """Return an integer field, or nothing for 0."""
    return varint(tag << 3) + varint(value) if value else b""


def content(tag: int, value: bytes) -> bytes:
    """Return a bytes, string or message field, or nothing if it is empty."""
    return varint(tag << 3 | 2) + varint(len(value)) + value if value else b""


def wire_address(address: str) -> bytes:
    """Return the 21 bytes that the protocol uses."""
    return b"\x41" + raw(address)


def amount(value: object, path: str) -> int:
    """Return the amount of sun if it fits the protocol's int64; raises `InvalidArgument` naming the path."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INT64:
        raise refuse(path, "an amount of sun (0..2^63-1)", value)
    return value


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move TRX."""

    to: str
    amount_sun: int

    def contract(self, owner: bytes) -> tuple[int, str, bytes]:
        """See `Payload`."""
        body = content(1, owner) + content(2, wire_address(self.to)) + number(3, amount(self.amount_sun, "amount_sun"))
        return 1, "TransferContract", body


@dataclass(frozen=True, slots=True)
class Reference:
    """A recent block that a transaction names, so that it is valid on this chain only, and only for a while."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction: `wire` is what `broadcasthex` takes. It can be kept and broadcast again without paying
    twice: the network takes a transaction id once, and none after `expires_ms`.
    """

    tx_id: str
    wire: bytes
    owner: str
    expires_ms: int
    reference_number: int


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction that lacks only its signature; `digest` is what the owner's key signs."""

    raw_data: bytes
    digest: bytes
    owner: str
    expires_ms: int
    reference_number: int

    def signed(self, signature: bytes) -> Signed:
        """Return the transaction with the owner's signature (65 bytes: r, s, v)."""
        wire = content(1, self.raw_data) + content(2, signature)
        return Signed(self.digest.hex(), wire, self.owner, self.expires_ms, self.reference_number)


def build(
    payload: Payload, owner: str, reference: Reference, *, now_ms: int, expires_ms: int, fee_limit_sun: int = 0
) -> Unsigned:
    """Return the transaction for `owner` to sign. Equal arguments give an equal one, so `now_ms` tells two apart.

    Raises `InvalidArgument` for what the network takes from nobody: amounts out of range, more than 24 hours of
    validity, more than 500 KiB.
    """
    if expires_ms - now_ms > MAX_VALIDITY_MS:
        raise refuse("expires_ms", f"at most {MAX_VALIDITY_MS} ms after now_ms", expires_ms - now_ms)
    if amount(fee_limit_sun, "fee_limit_sun") > MAX_FEE_LIMIT_SUN:
        raise refuse("fee_limit_sun", f"at most {MAX_FEE_LIMIT_SUN}", fee_limit_sun)
    kind, name, message = payload.contract(wire_address(owner))
    parameter = content(1, f"type.googleapis.com/protocol.{name}".encode()) + content(2, message)
    raw_data = (
        content(1, bytes.fromhex(reference.hash[12:16]))  # the last two bytes of the block's number
        + content(4, bytes.fromhex(reference.hash[16:32]))
        + number(8, expires_ms)
        + content(11, number(1, kind) + content(2, parameter))
        + number(14, now_ms)
        + number(18, fee_limit_sun)
    )
    if len(raw_data) + SIGNATURE_BYTES > MAX_BYTES:
        raise refuse("payload", f"a transaction of at most {MAX_BYTES} bytes", len(raw_data) + SIGNATURE_BYTES)
    return Unsigned(raw_data, sha256(raw_data).digest(), owner, expires_ms, reference.number)


def sign(
    payload: Payload, key: Key, reference: Reference, *, now_ms: int, expires_ms: int, fee_limit_sun: int = 0
) -> Signed:
    """Return the transaction built and signed with `key`. Raises as `build`."""
    unsigned = build(payload, key.address, reference, now_ms=now_ms, expires_ms=expires_ms, fee_limit_sun=fee_limit_sun)
    return unsigned.signed(key.sign(unsigned.digest))

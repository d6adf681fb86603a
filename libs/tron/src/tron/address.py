"""Addresses: 20 bytes in the virtual machine, 0x41 + those in hex, and base58check (`T…`) for people.

The base58 form is the one that this package hands out. Conversions are cached, because ingestion meets the same
addresses again and again; an uncached one takes about 3 µs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256

from Crypto.Hash import keccak

from tron.errors import InvalidAddress

ZERO = "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"
"""The address of 20 zero bytes: the source of what is minted, the target of what is burned."""

_CACHE = 200_000
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_BASE10 = 58**10
_HEX20 = re.compile(r"[0-9a-fA-F]{40}")


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 hash (the one of Ethereum and TRON, not NIST's SHA3-256)."""
    return bytes(keccak.new(digest_bits=256, data=data).digest())


def _pairs(value: int, count: int) -> str:
    text = ""
    for _ in range(count):
        value, rest = divmod(value, 3364)
        text = _PAIRS[rest] + text
    return text


@lru_cache(_CACHE)
def base58(raw: bytes) -> str:
    """Return the base58check form (34 characters, `T…`) of a 20-byte address."""
    if len(raw) != 20:
        raise InvalidAddress(f"expected 20 bytes, got {len(raw)}")
    payload = b"\x41" + raw
    checksum = sha256(sha256(payload).digest()).digest()[:4]
    value = int.from_bytes(payload + checksum, "big")
    value, low = divmod(value, _BASE10)
    value, middle = divmod(value, _BASE10)
    top, high = divmod(value, _BASE10)
    return _pairs(top, 2) + _pairs(high, 5) + _pairs(middle, 5) + _pairs(low, 5)


@lru_cache(_CACHE)
def raw(address: str) -> bytes:
    """Return the 20 bytes of an address in any of its forms: base58check, `41…` hex, 20-byte hex, `0x…`.

    Raises `InvalidAddress` for anything else, also for a wrong base58 checksum.
    """
    if not isinstance(address, str):
        raise InvalidAddress(f"expected a text, got {type(address).__name__}")
    if len(address) == 34 and address[0] == "T":
        return _from_base58(address)
    digits = address[2:] if address[:2] in ("0x", "0X") else address
    if len(digits) == 42 and digits[:2] == "41":
        digits = digits[2:]
    if not _HEX20.fullmatch(digits):
        raise InvalidAddress(f"not a TRON address: {address[:80]!r}")
    return bytes.fromhex(digits)


def _from_base58(address: str) -> bytes:
    value = 0
    try:
        for letter in address:
            value = value * 58 + _VALUES[letter]
        data = value.to_bytes(25, "big")
    except (KeyError, OverflowError):
        raise InvalidAddress(f"not base58check: {address!r}") from None
    payload, checksum = data[:21], data[21:]
    if payload[0] != 0x41 or sha256(sha256(payload).digest()).digest()[:4] != checksum:
        raise InvalidAddress(f"wrong checksum or prefix: {address!r}")
    return payload[1:]


def normalise(address: str) -> str:
    """Return the base58check form of an address in any form. Raises `InvalidAddress`."""
    return base58(raw(address))


def hex41(address: str) -> str:
    """Return the `41…` form (42 hex digits) that the node's HTTP interface uses with `visible: false`."""
    return "41" + raw(address).hex()


def is_address(text: str) -> bool:
    """Return whether the text is an address in base58check form with a right checksum."""
    try:
        return len(text) == 34 and bool(raw(text))
    except InvalidAddress:
        return False


def from_public_key(public_key: bytes) -> str:
    """Return the address of an uncompressed public key (64 bytes, or 65 with its leading 0x04)."""
    return base58(keccak256(public_key[-64:])[-20:])

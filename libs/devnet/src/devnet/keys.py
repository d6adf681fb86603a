"""Addresses, hashes and signatures of TRON, and the development keys of this network.

A TRON address is 21 bytes: the prefix 0x41 and the last 20 bytes of the Keccak-256 of the public key.
It is written either as 42 hex digits or, with a checksum, in base58 ("T…"). Inside the virtual machine
only the 20 bytes exist.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak as _keccak

PREFIX = b"\x41"
DEVELOPMENT_SEED = "annals devnet development key, never use on a public network"

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def keccak(data: bytes) -> bytes:
    """Returns the 32-byte Keccak-256 of `data` (the original padding, not SHA3-256)."""
    return _keccak.new(digest_bits=256, data=data).digest()


def base58check(payload: bytes) -> str:
    """Returns `payload` in base58 with a double-SHA-256 checksum of four bytes."""
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


@lru_cache(maxsize=100_000)
def to_base58(address: bytes) -> str:
    """Returns the base58 form of an address. Like java-tron it accepts any length of bytes."""
    return base58check(address)


@lru_cache(maxsize=100_000)
def from_base58(text: str) -> bytes:
    """Returns the 21 bytes of a base58 address.

    Raises:
        ValueError: a character, the checksum, the length or the prefix is wrong.
    """
    number = 0
    for character in text:
        if character not in _DIGITS:
            raise ValueError(f"{text!r} is not a base58 address: character {character!r}")
        number = number * 58 + _DIGITS[character]
    data = number.to_bytes(25, "big") if number < 1 << 200 else b""
    payload, checksum = data[:-4], data[-4:]
    if payload[:1] != PREFIX or hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] != checksum:
        raise ValueError(f"{text!r} is not a base58 address: wrong length, prefix or checksum")
    return payload


def public_key_address(key: PublicKey) -> bytes:
    """Returns the 21-byte address of a public key."""
    return PREFIX + keccak(key.format(compressed=False)[1:])[12:]


def recover(signature: bytes, digest: bytes) -> bytes:
    """Returns the address that signed `digest`. The last byte of the signature is 0, 1, 27 or 28.

    Raises:
        ValueError: the signature does not have 65 bytes or belongs to no point of the curve.
    """
    if len(signature) < 65:
        raise ValueError(f"Signature size is {len(signature)}")
    recovery = signature[64] - 27 if signature[64] >= 27 else signature[64]
    if recovery not in (0, 1):
        raise ValueError(f"Header byte out of range: {signature[64]}")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([recovery]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception for a point off the curve
        raise ValueError("Invalid point compression") from error
    return public_key_address(key)


@dataclass(frozen=True, slots=True)
class Account:
    """A development account: its private key in hex (64 digits) and its address in base58 and bytes."""

    private_key: str
    address: str

    @property
    def raw_address(self) -> bytes:
        """The 21 bytes of the address."""
        return from_base58(self.address)

    def sign(self, digest: bytes) -> bytes:
        """Returns the recoverable signature (65 bytes) of a 32-byte digest."""
        return PrivateKey(bytes.fromhex(self.private_key)).sign_recoverable(digest, hasher=None)


def development_account(label: str) -> Account:
    """Returns the account whose key is SHA-256 of the public development seed and `label`. Worthless by design."""
    number = int.from_bytes(hashlib.sha256(f"{DEVELOPMENT_SEED}/{label}".encode()).digest(), "big")
    key = PrivateKey((number % (_CURVE_ORDER - 1) + 1).to_bytes(32, "big"))
    return Account(key.to_hex(), to_base58(public_key_address(key.public_key)))


@lru_cache(maxsize=8)
def _accounts(count: int) -> tuple[Account, ...]:
    return tuple(development_account(f"account/{index}") for index in range(count))


def accounts(count: int) -> list[Account]:
    """Returns the first `count` pre-funded development accounts, the same on every devnet."""
    return list(_accounts(count))


FAUCET = development_account("faucet")


@lru_cache(maxsize=4)
def producers(count: int) -> tuple[Account, ...]:
    """Returns the block producers (super representatives) in their order of rotation."""
    return tuple(development_account(f"producer/{index}") for index in range(count))

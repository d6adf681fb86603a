"""Who signs: a key of this process, one read from an encrypted keystore file, or a service that keeps it (a KMS).

A `Signer` knows its address and signs digests; nothing else of it is ever asked for, logged or stored.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt

from tron.address import keccak256
from tron.keys import Key, signer

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SCRYPT = {"n": 1 << 18, "r": 8, "p": 1}
_MOST_MEMORY = 1 << 30
"""Bytes that scrypt may take: a file that asks for more is refused instead of ending the process."""


class Signer(Protocol):
    """Signs for one address."""

    @property
    def address(self) -> str:
        """The base58check address that pays."""

    async def sign(self, digest: bytes) -> bytes:
        """Return the 65-byte recoverable signature (r, s, v) of a 32-byte digest."""


class LocalSigner:
    """Signs with a key in this process's memory."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self.address = key.address

    async def sign(self, digest: bytes) -> bytes:
        """See `Signer`."""
        return self._key.sign(digest)

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"


class KeystoreError(ValueError):
    """A keystore file that is none, or that this password does not open."""


def open_keystore(text: str, password: str) -> Key:
    """Return the key in a keystore file (Web3 Secret Storage, version 3; scrypt or PBKDF2, AES-128-CTR).

    Raises `KeystoreError`, which names what was expected and never holds the password or the key.
    """
    try:
        crypto = {name.lower(): value for name, value in json.loads(text).items()}["crypto"]
        if crypto["cipher"] != "aes-128-ctr":
            raise KeystoreError(f"keystore: expected the cipher aes-128-ctr, got {crypto['cipher']!r:.40}")
        derived = _derive(crypto["kdf"], crypto["kdfparams"], password)
        sealed = bytes.fromhex(crypto["ciphertext"])
        mac, counter = bytes.fromhex(crypto["mac"]), bytes.fromhex(crypto["cipherparams"]["iv"])
    except KeystoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KeystoreError(f"keystore: not a file of version 3: {type(error).__name__} {error}") from None
    if not hmac.compare_digest(keccak256(derived[16:32] + sealed), mac):
        raise KeystoreError("keystore: the password does not open it, or it was changed")
    return Key(_cipher(derived, counter).decrypt(sealed))


def read_keystore(path: Path, password: str) -> Key:
    """Return the key in a file. Raises as `open_keystore`, naming the file, and OSError."""
    try:
        return open_keystore(path.read_text(), password)
    except (KeystoreError, UnicodeDecodeError) as error:
        raise KeystoreError(f"{path}: {error}") from None


def seal_keystore(key: Key, password: str, cost: Mapping[str, int] | None = None) -> str:
    """Return the keystore file of a key; `cost` has scrypt's n, r and p (2^18, 8 and 1 if left out)."""
    params = {"dklen": 32, **(cost or _SCRYPT), "salt": os.urandom(32).hex()}
    counter = os.urandom(16)
    derived = _derive("scrypt", params, password)
    sealed = _cipher(derived, counter).encrypt(key.secret)
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": counter.hex()},
        "ciphertext": sealed.hex(),
        "kdf": "scrypt",
        "kdfparams": params,
        "mac": keccak256(derived[16:32] + sealed).hex(),
    }
    return json.dumps({"version": 3, "id": str(uuid4()), "address": key.address, "crypto": crypto}, indent=2)


def recoverable(der: bytes, digest: bytes, address: str) -> bytes:
    """Return the recoverable form of a DER signature, as key services give it: low s, and the v of `address`.

    Raises `ValueError` when the signature is not one of this address.
    """
    r, s = _integers(der)
    halves = r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")
    for v in (0, 1):
        candidate = halves + bytes([v])
        if signer(digest, candidate) == address:
            return candidate
    raise ValueError(f"signature: expected one of {address}, got another key's")


def _derive(kdf: str, params: Mapping[str, Any], password: str) -> bytes:
    salt, length = bytes.fromhex(params["salt"]), int(params["dklen"])
    if length < 32:
        raise KeystoreError(f"keystore: expected a derived key of at least 32 bytes, got {length}")
    if kdf == "pbkdf2" and params["prf"] == "hmac-sha256":
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, int(params["c"]), length)
    if kdf != "scrypt":
        raise KeystoreError(f"keystore: expected scrypt or PBKDF2 with hmac-sha256, got {kdf!r:.40}")
    n, r, p = (int(params[name]) for name in "nrp")
    if 128 * n * r > _MOST_MEMORY:
        raise KeystoreError(f"keystore: expected scrypt within {_MOST_MEMORY} bytes, got n={n}, r={r}")
    # Not hashlib's: OpenSSL refuses r=1 with n=2^18, which the standard's own example has.
    return bytes(scrypt(password, salt, key_len=length, N=n, r=r, p=p))  # type: ignore[arg-type]


def _cipher(derived: bytes, counter: bytes) -> Any:
    return AES.new(derived[:16], AES.MODE_CTR, nonce=b"", initial_value=counter)


def _integers(der: bytes) -> tuple[int, int]:
    """The two integers of an ASN.1 sequence: 30 length 02 length r 02 length s."""
    try:
        if der[0] != 0x30 or der[1] != len(der) - 2 or der[2] != 2 or der[4 + der[3]] != 2:
            raise ValueError("not a sequence of two integers")
        r, s = der[4 : 4 + der[3]], der[6 + der[3] :]
        if len(s) != der[5 + der[3]]:
            raise ValueError("lengths do not add up")
    except (IndexError, ValueError) as error:
        raise ValueError(f"signature: expected DER, got {len(der)} other bytes ({error})") from None
    return int.from_bytes(r, "big"), int.from_bytes(s, "big")

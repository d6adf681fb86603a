"""Private keys: sign digests, know their address, never show themselves."""

from __future__ import annotations

import coincurve

from tron.address import from_public_key


class Key:
    """A secp256k1 private key. Its repr shows the address only."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise ValueError(f"expected a private key of 32 bytes, got {len(secret)}")
        self._key = coincurve.PrivateKey(secret)  # refuses 0 and what is beyond the curve's order
        self.address = from_public_key(self._key.public_key.format(compressed=False))

    @classmethod
    def from_hex(cls, secret: str) -> Key:
        """Return the key of 64 hex digits, with or without 0x."""
        return cls(bytes.fromhex(secret.removeprefix("0x")))

    @classmethod
    def random(cls) -> Key:
        """Return a new key from the operating system's randomness."""
        return cls(coincurve.PrivateKey().secret)

    @property
    def secret(self) -> bytes:
        """The 32 secret bytes."""
        return bytes(self._key.secret)

    def sign(self, digest: bytes) -> bytes:
        """Return the 65-byte recoverable signature (r, s, v with v 0 or 1) of a 32-byte digest."""
        return bytes(self._key.sign_recoverable(digest, hasher=None))

    def __repr__(self) -> str:
        return f"Key({self.address})"


def signer(digest: bytes, signature: bytes) -> str:
    """Return the address whose key made a recoverable signature; v may be 0/1 or 27/28. Raises `ValueError`."""
    try:
        v = signature[64] - 27 if signature[64] >= 27 else signature[64]
        public = coincurve.PublicKey.from_signature_and_message(signature[:64] + bytes([v]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError alike
        raise ValueError(f"not a signature: {error}") from error
    return from_public_key(public.format(compressed=False))

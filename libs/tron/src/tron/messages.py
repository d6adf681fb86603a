"""Messages that a wallet signs outside any transaction: TIP-191, as by TronLink and TronWeb's `signMessageV2`."""

from __future__ import annotations

from tron.address import keccak256
from tron.keys import signer


def message_digest(text: str) -> bytes:
    """Return the 32 bytes that a wallet signs for a text; the prefix keeps it from being a transaction's."""
    message = text.encode()
    return keccak256(b"\x19TRON Signed Message:\n%d" % len(message) + message)


def message_signer(text: str, signature: str) -> str:
    """Return the address whose key signed a text; the signature is 65 bytes in hex. Raises `ValueError`."""
    raw = bytes.fromhex(signature.removeprefix("0x"))
    if len(raw) != 65:
        raise ValueError(f"signature: expected 65 bytes, got {len(raw)}")
    return signer(message_digest(text), raw)

"""Keys and tokens for development and operations: `python -m service.tokens --help`."""

from __future__ import annotations

import argparse
import base64
import binascii
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


def generate_keys() -> tuple[str, str]:
    """A new Ed25519 pair as PEM: (private, public)."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


def parse_public_keys(text: str) -> list[Ed25519PublicKey]:
    """Ed25519 public keys from PEM blocks, or 32 bytes in base64(url), separated by commas; empty gives none."""
    keys = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if part.startswith("-----BEGIN"):
            # An environment variable often has its line breaks written out.
            key = load_pem_public_key(part.replace("\\n", "\n").encode())
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError(f"jwt_public_key: expected an Ed25519 key, got {type(key).__name__}")
        else:
            try:
                raw = base64.b64decode(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4), validate=True)
            except binascii.Error:
                raise ValueError("jwt_public_key: expected PEM or base64") from None
            if len(raw) != 32:
                raise ValueError(f"jwt_public_key: expected 32 bytes in base64, got {len(raw)}")
            key = Ed25519PublicKey.from_public_bytes(raw)
        keys.append(key)
    return keys


def mint(
    private_key: str,
    subject: str,
    roles: Sequence[str] = (),
    *,
    lifetime: timedelta = timedelta(hours=1),
    issuer: str = "annals",
    audience: str = "annals",
    now: datetime | None = None,
) -> str:
    """A token for `subject`, signed with an Ed25519 private key (PEM, PKCS #8). Raises ValueError for another key."""
    key = load_pem_private_key(private_key.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"private key: expected Ed25519, got {type(key).__name__}")
    if not subject:
        raise ValueError("subject: expected at least one character")
    issued = now or datetime.now(UTC)
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "roles": list(roles),
        "iat": issued,
        "exp": issued + lifetime,
    }
    return jwt.encode(claims, key, algorithm="EdDSA")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the private key comes from `ANNALS_JWT_PRIVATE_KEY` or a file, never from an argument."""
    parser = argparse.ArgumentParser(prog="python -m service.tokens", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("keys", help="print a new key pair: private, then public")
    minting = commands.add_parser("mint", help="print a token")
    minting.add_argument("subject")
    minting.add_argument("--role", action="append", default=[], dest="roles", help="may be given several times")
    minting.add_argument("--hours", type=float, default=1.0, help="lifetime (default: 1)")
    minting.add_argument("--issuer", default="annals")
    minting.add_argument("--audience", default="annals")
    minting.add_argument("--key-file", help="private key (PEM); default: the variable ANNALS_JWT_PRIVATE_KEY")
    given = parser.parse_args(argv)
    if given.command == "keys":
        print("".join(generate_keys()), end="")
        return 0
    private_key = os.environ.get("ANNALS_JWT_PRIVATE_KEY", "").replace("\\n", "\n")
    if given.key_file:
        with open(given.key_file, encoding="ascii") as file:
            private_key = file.read()
    if not private_key:
        print("no private key: set ANNALS_JWT_PRIVATE_KEY or give --key-file", file=sys.stderr)
        return 2
    lifetime = timedelta(hours=given.hours)
    print(
        mint(private_key, given.subject, given.roles, lifetime=lifetime, issuer=given.issuer, audience=given.audience)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Key-encryption keys: they wrap the data keys of subjects, and are never where these are."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.errors import KekError

KEY_BYTES = 32
NONCE_BYTES = 12


DEVELOPMENT = "development:" + base64.b64encode(b"a key that's no secret to anyone").decode()
"""Keys for development and tests, as `Keks.parse` takes them. Everybody knows them."""


class Kek(Protocol):
    """A key-encryption key. A KMS has one behind two calls, with the subject as its encryption context."""

    async def wrap(self, subject: str, key: bytes) -> bytes:
        """The data key of a subject, encrypted."""

    async def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """The data key. Raises KekError when it was wrapped by another key, or for another subject."""


class LocalKek:
    """A key of 32 bytes in this process's memory (AES-256-GCM), from the environment or a file."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise KekError(f"key-encryption key: expected {KEY_BYTES} bytes, got {len(secret)}")
        self._cipher = AESGCM(secret)

    async def wrap(self, subject: str, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, subject.encode())

    async def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject.encode())
        except (InvalidTag, ValueError):
            raise KekError(f"the data key of {subject} does not open: wrapped by another key, or changed") from None


class Keks(Mapping[str, Kek]):
    """All key-encryption keys by name; the first is the `current` one, which wraps whatever is new."""

    def __init__(self, keks: Mapping[str, Kek]) -> None:
        if not keks:
            raise KekError("key-encryption keys: expected at least one")
        self._keks = dict(keks)
        self.current = next(iter(self._keks))

    @classmethod
    def parse(cls, text: str) -> Keks:
        """Keys from `name:base64,name:base64`, the current one first; or `file:PATH` of such a text.

        Raises KekError, which never holds a key.
        """
        if text.startswith("file:"):
            try:
                text = Path(text.removeprefix("file:")).read_text().strip()
            except OSError as error:
                raise KekError(f"key-encryption keys: {error.strerror}: {error.filename}") from None
        keks: dict[str, Kek] = {}
        for number, part in enumerate(text.replace("\n", ",").split(","), 1):
            name, colon, secret = part.strip().partition(":")
            if not name or not colon or name in keks:
                raise KekError(f"key-encryption key {number}: expected name:base64, each name once")
            try:
                keks[name] = LocalKek(base64.b64decode(secret, validate=True))
            except (binascii.Error, ValueError):
                raise KekError(f"key-encryption key {name}: expected base64 of {KEY_BYTES} bytes") from None
        return cls(keks)

    def __getitem__(self, name: str) -> Kek:
        try:
            return self._keks[name]
        except KeyError:
            raise KekError(f"no key-encryption key {name}: keep it until all data keys are wrapped anew") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._keks)

    def __len__(self) -> int:
        return len(self._keks)

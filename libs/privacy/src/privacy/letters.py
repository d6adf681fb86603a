"""Dead letters: what others have sent and nobody could take in. It may tell anything of anybody, so it is sealed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import SecretStr, ValidationError

from privacy.errors import ErasedSubject
from privacy.keys import KeyStore
from privacy.months import MonthKeys
from privacy.values import SUBJECT_IDS, Personal, Sealed
from privacy.vault import Vault

FIELD = "dead_letter"


class Letters:
    """Seals letters under the key of whom they name, else of the month."""

    def __init__(self, vault: Vault, keys: KeyStore, months: MonthKeys) -> None:
        self._vault = vault
        self._keys = keys
        self._months = months

    async def seal(self, letters: Sequence[tuple[bytes | None, bytes]]) -> list[bytes]:
        """Each letter sealed, in order; with it comes the key of its record. Raises KekError."""
        named = [_subject(key) for key, _ in letters]
        while True:
            gone = await self._keys.erased([name for name in named if name is not None])
            month = self._months.of()
            values = [
                Personal(month if name is None or name in gone else name, FIELD, SecretStr(b64encode(body).decode()))
                for name, (_, body) in zip(named, letters, strict=True)
            ]
            try:
                return [json.dumps(asdict(sealed)).encode() for sealed in await self._vault.seal(values)]
            except ErasedSubject:  # just now
                continue

    async def open(self, sealed: bytes) -> bytes | None:
        """The letter, None once its key is destroyed. Raises BrokenBox and KekError."""
        [clear] = await self._vault.open([Sealed(**json.loads(sealed))])
        return None if clear is None else b64decode(clear.get_secret_value())


def _subject(key: bytes | None) -> str | None:
    """Whom the key of a record names; None where it names nobody."""
    try:
        return SUBJECT_IDS.validate_python((key or b"").decode())
    except (UnicodeDecodeError, ValidationError):
        return None

"""Dead letters: what others have sent and nobody could take in. It may tell anything of anybody, so it is sealed."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr, TypeAdapter, ValidationError

from contracts.values import SubjectId
from privacy.errors import ErasedSubject
from privacy.keys import KeyStore
from privacy.values import Personal, Sealed
from privacy.vault import Vault

FIELD = "dead_letter"
KEPT_DAYS = 30
"""How long a month's key outlives the month."""
LOOK_SECONDS = 3_600.0
MONTHS_BACK = 24

_SUBJECT: TypeAdapter[str] = TypeAdapter(SubjectId)


def _now() -> datetime:
    return datetime.now(UTC)


class Letters:
    """Seals letters under the key of whom they name, else of the month; a worker that destroys the keys of old months.

    The key of a month is no person's: their ids have no slash.
    """

    name = "dead-letters"

    def __init__(self, vault: Vault, keys: KeyStore, clock: Callable[[], datetime] = _now) -> None:
        self._vault = vault
        self._keys = keys
        self._clock = clock

    async def seal(self, letters: Sequence[tuple[bytes | None, bytes]]) -> list[bytes]:
        """Each letter sealed, in order; with it comes the key of its record. Raises KekError."""
        named = [_subject(key) for key, _ in letters]
        while True:
            gone = await self._keys.erased([name for name in named if name is not None])
            month = f"letters/{self._clock():%Y-%m}"
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

    async def run(self) -> None:
        while True:
            await self.forget()
            await asyncio.sleep(LOOK_SECONDS)

    async def forget(self) -> int:
        """Destroy the keys of months that ended more than KEPT_DAYS ago; returns how many there were."""
        return await self._keys.erase(_months_before(self._clock() - timedelta(days=KEPT_DAYS)))


def _subject(key: bytes | None) -> str | None:
    """Whom the key of a record names; None where it names nobody."""
    try:
        return _SUBJECT.validate_python((key or b"").decode())
    except (UnicodeDecodeError, ValidationError):
        return None


def _months_before(at: datetime) -> Iterator[str]:
    """The keys of the months that had ended by then, the newest first."""
    month = at.replace(day=1)
    for _ in range(MONTHS_BACK):
        month = (month - timedelta(days=1)).replace(day=1)
        yield f"letters/{month:%Y-%m}"

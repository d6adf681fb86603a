"""Dead letters are kept sealed: what nobody could take in may tell anything of anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Sealing(Protocol):
    """Seals and opens bodies of messages. `privacy.Letters` is one."""

    async def seal(self, letters: Sequence[tuple[bytes | None, bytes]]) -> list[bytes]:
        """Each body sealed, in order; with it comes the record's key, which may name whom it is about."""

    async def open(self, sealed: bytes) -> bytes | None:
        """The body, None once its key is destroyed."""


class _InClear:
    """Keeps bodies as they came: for topics in which nobody is told of."""

    async def seal(self, letters: Sequence[tuple[bytes | None, bytes]]) -> list[bytes]:
        return [body for _, body in letters]

    async def open(self, sealed: bytes) -> bytes | None:
        return sealed


IN_CLEAR: Sealing = _InClear()

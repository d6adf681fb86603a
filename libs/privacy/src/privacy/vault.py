"""Sealing and opening personal values."""

from __future__ import annotations

import base64
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from privacy import metrics
from privacy.errors import BrokenBox, VaultLocked
from privacy.keks import NONCE_BYTES
from privacy.keys import KeyStore
from privacy.values import Personal, Sealed

REMEMBERED = 50_000
REMEMBERED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    cipher: AESGCM
    until: float


class Vault:
    """Seals personal values under the keys of their subjects, and opens them while these keys exist.

    Keys are remembered: `remembered` of them, each for `seconds`. So that long after a key was destroyed, it is in no
    process's memory; whoever certifies an erasure waits for it. A `locked` vault opens nothing until `unlock()`: keys
    may have been restored from before an erasure.
    """

    def __init__(
        self,
        keys: KeyStore,
        *,
        remembered: int = REMEMBERED,
        seconds: float = REMEMBERED_SECONDS,
        clock: Callable[[], float] = monotonic,
        locked: bool = False,
    ) -> None:
        self.seconds = seconds
        self.locked = locked
        self._keys = keys
        self._most = remembered
        self._clock = clock
        self._known: OrderedDict[str, _Remembered] = OrderedDict()

    def unlock(self) -> None:
        """From now on what is sealed may be opened: whoever was erased has no key any more."""
        self.locked = False

    async def seal(self, values: Sequence[Personal]) -> list[Sealed]:
        """Each value sealed, in order; a subject's first one makes its key. Raises ErasedSubject and KekError.

        Nothing is lost if the process ends before the event is appended: there is a key that opens nothing.
        """
        ciphers = await self._ciphers({value.subject for value in values}, self._keys.make)
        return [_seal(ciphers[value.subject], value) for value in values]

    async def open(self, values: Sequence[Sealed]) -> list[SecretStr | None]:
        """Each value in clear, None where the subject was erased. Raises VaultLocked, BrokenBox and KekError."""
        if self.locked:
            raise VaultLocked("the vault is locked: erasures of the log have yet to be carried out in the key store")
        ciphers = await self._ciphers({value.subject for value in values}, self._keys.find)
        opened = [_open(ciphers.get(value.subject), value) for value in values]
        gone = opened.count(None)
        metrics.opened.labels("clear").inc(len(opened) - gone)
        metrics.opened.labels("erased").inc(gone)
        return opened

    async def _ciphers(
        self, subjects: set[str], load: Callable[[Collection[str]], Awaitable[dict[str, bytes]]]
    ) -> dict[str, AESGCM]:
        """The cipher of each subject, remembered or loaded; `find` leaves out those who have none."""
        now = self._clock()
        ciphers = {}
        for subject in subjects:
            known = self._known.get(subject)
            if known is not None and now < known.until:
                self._known.move_to_end(subject)
                ciphers[subject] = known.cipher
        if missing := subjects - ciphers.keys():
            for subject, key in (await load(missing)).items():
                ciphers[subject] = AESGCM(key)
                self._known[subject] = _Remembered(ciphers[subject], now + self.seconds)
                self._known.move_to_end(subject)
            self._forget(now)
        return ciphers

    def _forget(self, now: float) -> None:
        """Lets go of what is too old or too much."""
        for subject in [subject for subject, known in self._known.items() if known.until <= now]:
            del self._known[subject]
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def _bound_to(subject: str, field: str) -> bytes:
    return f"annals/1\0{subject}\0{field}".encode()


def _seal(cipher: AESGCM, personal: Personal) -> Sealed:
    nonce = os.urandom(NONCE_BYTES)
    clear = personal.value.get_secret_value().encode()
    box = nonce + cipher.encrypt(nonce, clear, _bound_to(personal.subject, personal.field))
    return Sealed(personal.subject, personal.field, base64.b64encode(box).decode())


def _open(cipher: AESGCM | None, sealed: Sealed) -> SecretStr | None:
    if cipher is None:
        return None
    box = base64.b64decode(sealed.box)
    try:
        clear = cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], _bound_to(sealed.subject, sealed.field))
    except InvalidTag:
        raise BrokenBox(f"{sealed.field} of {sealed.subject}: changed, or another's") from None
    return SecretStr(clear.decode())

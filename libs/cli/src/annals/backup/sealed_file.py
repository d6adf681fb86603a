"""Files that are compressed and encrypted while they are written: no clear byte of a backup is ever stored.

    annals-sealed.v1 ⏎ {"kek": name, "key": wrapped} ⏎ chunk chunk … last chunk

Each file has a key of its own, wrapped by a key-encryption key for this file's name, so no file can be passed off as
another. Chunks of 1 MiB are AES-256-GCM; the nonce is the chunk's number and whether it is the last, so chunks can't be
reordered, left out or cut off, and nothing is handed on before it was authenticated.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from annals.backup.errors import BackupError
from privacy import Keks
from privacy.keks import KEY_BYTES

MAGIC = b"annals-sealed.v1\n"
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16
FASTEST = 1  # of gzip: half the size at three times the speed of its default


async def new_header(name: str, keks: Keks) -> tuple[bytes, bytes]:
    """A header and the new key that it holds, wrapped by the current key-encryption key."""
    key = AESGCM.generate_key(KEY_BYTES * 8)
    wrapped = await keks[keks.current].wrap(name, key)
    header = {"kek": keks.current, "key": base64.b64encode(wrapped).decode()}
    return MAGIC + json.dumps(header).encode() + b"\n", key


async def read_header(name: str, file: IO[bytes], keks: Keks) -> bytes:
    """The key of an open file, which stands behind its header afterwards. Raises BackupError and KekError."""
    if file.readline(len(MAGIC)) != MAGIC:
        raise BackupError(f"{name}: expected a file of format {MAGIC.decode().strip()}")
    header = json.loads(file.readline())
    return await keks[header["kek"]].unwrap(name, base64.b64decode(header["key"]))


@contextmanager
def sealing(file: IO[bytes], key: bytes) -> Iterator[IO[bytes]]:
    """What is written to the file inside the block is compressed and encrypted into `file`, which is left open."""
    chunks = _Sealing(file, key)
    with gzip.GzipFile(fileobj=chunks, mode="wb", compresslevel=FASTEST, mtime=0) as compressed:
        yield cast(IO[bytes], compressed)
    chunks.finish()


@contextmanager
def opening(name: str, file: IO[bytes], key: bytes) -> Iterator[IO[bytes]]:
    """The inverse of `sealing`. Reading raises BackupError where the file was changed or cut off."""
    chunks = io.BufferedReader(_Opening(name, file, key), CHUNK_BYTES)
    with gzip.GzipFile(fileobj=chunks, mode="rb") as expanded:
        yield cast(IO[bytes], expanded)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class _Sealing(io.RawIOBase):
    def __init__(self, file: IO[bytes], key: bytes) -> None:
        self._file = file
        self._cipher = AESGCM(key)
        self._waiting = bytearray()
        self._number = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # gzip hands over bytes only
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:  # one is kept back, for the last must be known as such
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, chunk: bytes, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), chunk, None))
        self._number += 1


class _Opening(io.RawIOBase):
    def __init__(self, name: str, file: IO[bytes], key: bytes) -> None:
        self._name = name
        self._file = file
        self._cipher = AESGCM(key)
        self._next = file.read(CHUNK_BYTES + TAG_BYTES)
        self._number = 0
        self._open = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader's is writable
        if not self._open and self._next:
            self._open = memoryview(self._chunk())
        size = min(len(buffer), len(self._open))
        buffer[:size] = self._open[:size]
        self._open = self._open[size:]
        return size

    def _chunk(self) -> bytes:
        sealed, self._next = self._next, self._file.read(CHUNK_BYTES + TAG_BYTES)
        try:
            chunk = self._cipher.decrypt(_nonce(self._number, last=not self._next), sealed, None)
        except InvalidTag:
            raise BackupError(
                f"{self._name}: chunk {self._number} is not what was written: changed or cut off"
            ) from None
        self._number += 1
        return chunk

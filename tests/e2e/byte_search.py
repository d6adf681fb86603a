"""Looks for texts wherever a system may have left them: in files, in Kafka's segments, in every row of PostgreSQL.

A text is found as it is and in what else may hold it: other cases, UTF-16, JSON's and URLs' escapes, hex, base64.
Compressed records of Kafka are searched unpacked, and values that PostgreSQL has compressed through SQL: in its files
these don't show.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

CHUNK = 1 << 25
ROWS = 1_000
TABLES = """
    SELECT n.nspname AS schema, c.relname AS name,
           array_agg(format('%I', a.attname)) FILTER (WHERE a.atttypid = 'bytea'::regtype) AS bytes,
           array_agg(format('%I::text', a.attname)) FILTER (WHERE a.atttypid <> 'bytea'::regtype) AS texts
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'm') GROUP BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Found:
    """A text that was found: its name, in which form, and where."""

    name: str
    form: str
    place: str


@dataclass(frozen=True, slots=True)
class _Needle:
    name: str
    form: str
    bytes: bytes
    is_folded: bool
    """Whether letters of both cases count."""


class ByteSearch:
    """Searches for texts, given by name. What it yields is empty where there is none of them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._needles = [needle for name, text in texts.items() for needle in _needles(name, text)]
        self._overlap = max(len(needle.bytes) for needle in self._needles) - 1

    def bytes(self, data: bytes, place: str) -> Iterator[Found]:
        """What stands in some bytes."""
        folded = data.lower()
        for needle in self._needles:
            if needle.bytes in (folded if needle.is_folded else data):
                yield Found(needle.name, needle.form, place)

    def files(self, folder: Path) -> Iterator[Found]:
        """What stands in the files of a folder, as they are on the disk."""
        for parent, _, names in os.walk(folder, followlinks=True):  # a server's data may lie elsewhere
            for path in (Path(parent, name) for name in sorted(names)):
                if path.is_file():
                    yield from self._file(path)

    def _file(self, path: Path) -> Iterator[Found]:
        with path.open("rb") as file:
            tail = b""
            while chunk := file.read(CHUNK):
                if chunk.count(0) < len(chunk):  # the unused end of a segment of WAL
                    yield from self.bytes(tail + chunk, str(path))
                tail = chunk[-self._overlap :]

    def segments(self, folder: Path) -> Iterator[Found]:
        """What stands in Kafka's log segments below a folder, unpacked. Raises if one can't be unpacked."""
        for path in sorted(folder.resolve().rglob("*.log")):
            batches = _MemoryRecordsPy(path.read_bytes())
            while (raw := batches._next_slice) is not None:
                batches._cache_next()
                batch = _DefaultRecordBatchPy(raw)
                batch._maybe_uncompress()
                yield from self.bytes(bytes(batch._buffer), f"{path}@{batch.base_offset}")

    async def rows(self, url: str) -> AsyncIterator[Found]:
        """What stands in the rows of a database, whatever PostgreSQL did to store them; only a superuser sees all."""
        async with connected(url) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            for schema, name, columns, texts in await connection.fetch(TABLES):
                wanted = ", ".join([*(texts or []), *(columns or [])])
                query = f'SELECT {wanted} FROM "{schema}"."{name}"'
                async for row in connection.cursor(query, prefetch=ROWS):
                    cells = [cell.encode() if isinstance(cell, str) else cell for cell in row if cell is not None]
                    for found in self.bytes(b"\n".join(cells), f"{schema}.{name}"):
                        yield found


def _needles(name: str, text: str) -> Iterator[_Needle]:
    """Each form once. Bytes fold the letters of ASCII only: others are looked for in both cases."""
    needles = {}
    for case in (text, text.lower(), text.upper()):
        utf8 = case.encode()
        folded = {
            "text": utf8,
            "utf-16-le": case.encode("utf-16-le"),
            "utf-16-be": case.encode("utf-16-be"),
            "hex": utf8.hex().encode(),
            "json": json.dumps(case)[1:-1].encode(),
            "url": quote(case, safe="").encode(),
        }
        for form, found in folded.items():
            needles.setdefault((found.lower(), True), form)
        for shift in range(3):
            needles.setdefault((_base64_inside(utf8, shift), False), f"base64+{shift}")
    return (_Needle(name, form, found, is_folded) for (found, is_folded), form in needles.items())


def _base64_inside(text: bytes, shift: int) -> bytes:
    """The characters that base64 makes of a text alone, when `shift` bytes more than a multiple of three precede it."""
    encoded = base64.b64encode(bytes(shift) + text)
    return encoded[-(-shift * 8 // 6) : (shift + len(text)) * 8 // 6]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def databases(url: str) -> list[str]:
    """The addresses of all databases of a server."""
    async with connected(url) as connection:
        names = await connection.fetch("SELECT datname FROM pg_database WHERE datallowconn")
    return [f"{url.rpartition('/')[0]}/{row['datname']}" for row in names]


async def flush(url: str) -> None:
    """Has a server vacuum all its databases and write everything to its files."""
    for database in await databases(url):
        async with connected(database) as connection:
            await connection.execute("VACUUM")
    async with connected(url) as connection:
        await connection.execute("CHECKPOINT")

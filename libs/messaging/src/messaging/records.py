"""Reading records whose header names are not UTF-8.

Kafka does not look into headers, and aiokafka decodes their names while it iterates: one such record, which any
producer may write, would raise from every `getmany` for ever. Header names that are no UTF-8 mean nothing to anybody,
so they are read as escapes (`\\xff`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

logger = logging.getLogger(__name__)


def tolerate_header_names() -> None:
    """Makes aiokafka's consumers in this process read such records; costs nothing where there are none."""
    if fetcher.MemoryRecords is not _Records:
        logger.warning("a record has a header name that is not UTF-8; such names are escaped from now on")
        fetcher.MemoryRecords = _Records


class _Records(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka has no types
    """What a fetch returned: batches, each cut out unread."""

    def next_batch(self, *_: Any) -> Any:
        raw = self._next_slice
        if raw is None or raw[self.MAGIC_OFFSET] < 2:  # the formats before Kafka 0.11 have no headers
            return super().next_batch()
        self._cache_next()
        return _Batch(raw)


class _Batch:
    """A batch read by aiokafka, and anew where a header name stopped it."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._batch = DefaultRecordBatch(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return _read(_DefaultRecordBatchPy(self._raw))


def _read(batch: Any) -> Iterator[Any]:
    """Yields the records of a batch in format 2, as the Kafka protocol guide describes it."""
    batch._maybe_uncompress()
    buffer, at = batch._buffer, batch._pos

    def number() -> int:
        nonlocal at
        value, at = decode_varint(buffer, at)
        return int(value)

    def text() -> bytes | None:
        nonlocal at
        if (length := number()) < 0:
            return None
        at += length
        return bytes(buffer[at - length : at])

    for _ in range(batch._num_records):
        number()  # length
        number()  # attributes, unused
        timestamp = batch.first_timestamp + number()
        offset = batch.base_offset + number()
        key, value = text(), text()
        headers = [((text() or b"").decode(errors="backslashreplace"), text()) for _ in range(number())]
        yield _DefaultRecordPy(offset, timestamp, batch.timestamp_type, key, value, headers)

"""The verbatim copy of a log on its private topic `<service>.log`: a row of `events` as one JSON object.

Enough to write the row again (position, versions, ids, times and the stored JSON unchanged), so that a log restored
from a backup can be brought up to date from the topic.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import orjson
from aiokafka import ConsumerRecord
from orjson import Fragment

from eventlog import RecordedEvent
from eventlog.restore import StoredEvent
from messaging.errors import Malformed

_METADATA = ',"metadata":'
_DATA = ',"data":'


def encode(recorded: RecordedEvent, log_id: UUID) -> tuple[bytes, bytes, list[tuple[str, bytes | None]]]:
    """Returns key, value and headers of the copy of an event."""
    row = {
        "position": recorded.position,
        "stream": recorded.stream,
        "version": recorded.version,
        "event_id": str(recorded.event_id),
        "type": recorded.type,
        "type_version": recorded.type_version,
        "occurred_at": recorded.occurred_at,
        "recorded_at": recorded.recorded_at,
        # Both go in as they are: the copy must be the same to the byte, and parsing them would be wasted.
        "metadata": Fragment(recorded.metadata_json),
        "data": Fragment(recorded.data),
    }
    return recorded.stream.encode(), orjson.dumps(row), [*_headers(log_id)]


@lru_cache(maxsize=64)
def _headers(log_id: UUID) -> tuple[tuple[str, bytes], ...]:
    return ("content-type", b"application/json"), ("annalslog", str(log_id).encode())


def decode(record: ConsumerRecord[bytes, bytes]) -> StoredEvent:
    """Returns the event of a copied record. Raises Malformed when it is none."""
    where = f"{record.topic}[{record.partition}]@{record.offset}"
    try:
        text = (record.value or b"").decode()
        row = json.loads(text)
        # The JSON texts are cut out, not parsed and written anew, which could change a number. Neither marker can
        # stand inside an earlier field: there its quotes would be escaped.
        metadata_at, data_at = text.index(_METADATA), text.index(_DATA)
        return StoredEvent(
            position=int(row["position"]),
            stream=str(row["stream"]),
            version=int(row["version"]),
            event_id=UUID(row["event_id"]),
            type=str(row["type"]),
            type_version=int(row["type_version"]),
            data=text[data_at + len(_DATA) : -1],
            metadata=text[metadata_at + len(_METADATA) : data_at],
            occurred_at=datetime.fromisoformat(row["occurred_at"]),
            recorded_at=datetime.fromisoformat(row["recorded_at"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"{where}: expected a stored event, found {error!r}") from error


def log_id(record: ConsumerRecord[bytes, bytes]) -> UUID:
    """Returns the id of the log that an event was copied from. Raises Malformed when the record names none."""
    try:
        return UUID((dict(record.headers)["annalslog"] or b"").decode())
    except (KeyError, ValueError) as error:
        raise Malformed(f"{record.topic}[{record.partition}]@{record.offset}: annalslog: {error!r}") from error

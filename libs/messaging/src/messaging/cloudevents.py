"""CloudEvents 1.0 in the binary mode of its Kafka binding: attributes are headers, the message is the JSON body.

Source: CloudEvents specification 1.0.2 and its "Kafka Protocol Binding". The key is the stream, so that the events of
one stream keep their order. Three headers beyond the standard say where the event stands in its log: `annalslog`
(the log's UUID), `annalsposition` and `annalsversion`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts import Message, message_class
from eventlog import RecordedEvent, tracing
from messaging.errors import Malformed, UnknownType
from messaging.received import Received
from messaging.topics import MAX_VALUE_BYTES

Headers = Sequence[tuple[str, bytes | None]]
MessageClass = Callable[[str], type[Message] | None]

MAX_HEADERS = 64
MAX_ATTRIBUTE_CHARACTERS = 1_024
_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
# RFC 3339; `datetime.fromisoformat` alone would take dates without a time and times without a zone.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_OTHERS = ("content-type", "traceparent")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message of which only the JSON is at hand: it becomes the body as it is."""

    type: str
    body: str


def encode(
    message: Message | Encoded,
    recorded: RecordedEvent,
    service: str,
    log_id: UUID,
    onward: tracing.Onward = tracing.UNCHANGED,
) -> tuple[bytes, bytes, list[tuple[str, bytes | None]]]:
    """Returns key, value and headers of the record that publishes `message` on behalf of a recorded event.

    The id is the event's own: publishing it again gives the same record, but for the span that `onward` hands on.
    """
    key = recorded.stream.encode()
    headers: list[tuple[str, bytes | None]] = [
        *_alike(message.type, service, log_id),
        ("ce_id", str(recorded.event_id).encode()),
        ("ce_subject", key),
        ("ce_time", recorded.occurred_at.isoformat().encode()),
        ("annalsposition", str(recorded.position).encode()),
        ("annalsversion", str(recorded.version).encode()),
    ]
    # Most events have no trace, and need not be parsed to know it.
    came = recorded.metadata.traceparent if '"traceparent"' in recorded.metadata_json else None
    if (traceparent := onward(came)) is not None:
        headers.append(("traceparent", traceparent.encode()))
    body = message.body if isinstance(message, Encoded) else message.model_dump_json()
    return key, body.encode(), headers


@lru_cache(maxsize=1_024)
def _alike(ce_type: str, service: str, log_id: UUID) -> tuple[tuple[str, bytes], ...]:
    """The headers that all messages of a type have."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_source", f"/{service}".encode()),
        ("ce_type", ce_type.encode()),
        ("content-type", b"application/json"),
        ("annalslog", str(log_id).encode()),
    )


def decode(record: ConsumerRecord[bytes, bytes], classes: MessageClass = message_class) -> Received:
    """Returns the typed message of a record, however hostile the record is.

    Raises Malformed when it is no valid CloudEvent or its body does not fit its type, UnknownType when the type is
    not known here. Both name topic, partition, offset, the attribute, the expected and the found.
    """
    where = f"{record.topic}[{record.partition}]@{record.offset}"
    attributes = _attributes(where, record.headers)
    version = _required(where, attributes, "ce_specversion")
    if version != "1.0":
        raise Malformed(f"{where}: ce_specversion: expected 1.0, found {version!r}")
    media_type = attributes.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Malformed(f"{where}: content-type: expected application/json, found {media_type!r}")
    ce_type = _required(where, attributes, "ce_type")
    event_id = _required(where, attributes, "ce_id")
    source = _required(where, attributes, "ce_source")
    key = _text(where, "key", record.key)
    cls = classes(ce_type)
    if cls is None:
        raise UnknownType(where, ce_type)
    return Received(
        message=_body(where, record.value, cls),
        id=event_id,
        source=source,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=key,
        subject=attributes.get("ce_subject"),
        time=_time(where, attributes.get("ce_time")),
        # A garbled trace is no reason to refuse a fact (W3C Trace Context: ignore it).
        traceparent=trace if (trace := attributes.get("traceparent")) and _TRACEPARENT.fullmatch(trace) else None,
        log=_uuid(where, attributes.get("annalslog")),
        position=_integer(where, attributes, "annalsposition"),
        version=_integer(where, attributes, "annalsversion"),
    )


def type_of(record: ConsumerRecord[bytes, bytes]) -> bytes | None:
    """The type that a record says it is of, whatever else may be wrong with it."""
    return next((value for name, value in record.headers if name == "ce_type"), None)


def _attributes(where: str, headers: Headers) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise Malformed(f"{where}: headers: expected at most {MAX_HEADERS}, found {len(headers)}")
    if (plain := _plain(headers)) is not None:
        return plain
    attributes: dict[str, str] = {}
    for name, value in headers:
        if not (name.startswith(("ce_", "annals")) or name in _OTHERS):
            continue
        if name in attributes:
            raise Malformed(f"{where}: {name}: expected once, found twice")
        attributes[name] = _text(where, name, value)
    return attributes


def _plain(headers: Headers) -> dict[str, str] | None:
    """All headers if nothing is wrong with any of them; else one by one it has to be found out with which."""
    try:
        attributes = {name: value.decode() for name, value in headers if value is not None}
    except UnicodeDecodeError:
        return None
    texts = attributes.values()
    if len(attributes) < len(headers) or not all(texts) or not "".join(texts).isprintable():
        return None
    return attributes if max(map(len, texts), default=0) <= MAX_ATTRIBUTE_CHARACTERS // 4 else None


def _text(where: str, name: str, value: bytes | None) -> str:
    if not value:
        raise Malformed(f"{where}: {name}: expected a text, found {'an empty one' if value == b'' else 'none'}")
    if len(value) > MAX_ATTRIBUTE_CHARACTERS:
        raise Malformed(f"{where}: {name}: expected at most {MAX_ATTRIBUTE_CHARACTERS} bytes, found {len(value)}")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{where}: {name}: expected UTF-8, found {value[:32]!r}") from None
    if not text.isprintable():  # control characters: NUL is refused by PostgreSQL, line breaks forge log lines
        raise Malformed(f"{where}: {name}: expected printable characters, found {text[:32]!r}")
    return text


def _required(where: str, attributes: Mapping[str, str], name: str) -> str:
    try:
        return attributes[name]
    except KeyError:
        raise Malformed(f"{where}: {name}: expected a header, found none") from None


def _time(where: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return _read_time(text)
    except ValueError:
        raise Malformed(f"{where}: ce_time: expected an RFC 3339 time, found {text[:64]!r}") from None


@lru_cache(maxsize=4_096)  # all that is of one block has one time
def _read_time(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    # At most microseconds: Python has no finer times.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


_read_uuid = lru_cache(maxsize=64)(UUID)  # of a log: there are few


def _uuid(where: str, text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return _read_uuid(text)
    except ValueError:
        raise Malformed(f"{where}: annalslog: expected a UUID, found {text[:64]!r}") from None


def _integer(where: str, attributes: Mapping[str, str], name: str) -> int | None:
    if (text := attributes.get(name)) is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise Malformed(f"{where}: {name}: expected a whole number, found {text[:64]!r}")
    return int(text)


def _body(where: str, value: bytes | None, cls: type[Message]) -> Message:
    if value is None:
        raise Malformed(f"{where}: body: expected a JSON object, found none")
    if len(value) > MAX_VALUE_BYTES:
        raise Malformed(f"{where}: body: expected at most {MAX_VALUE_BYTES} bytes, found {len(value)}")
    try:
        return cls.model_validate_json(value, strict=True)  # 1.0 or true is no whole number
    except ValidationError as error:
        raise Malformed(f"{where}: body of {cls.type}: {_first_error(error)}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise Malformed(f"{where}: body of {cls.type}: expected JSON, found {type(error).__name__}") from None


def _first_error(error: ValidationError) -> str:
    """What was expected where. What was found is not quoted: it may tell of somebody, and errors stay."""
    first: Any = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"] if first["type"] != "extra_forbidden") or "body"
    expected = first["msg"].partition(", got ")[0]  # as our own types end theirs
    found = first["input"]
    size = f" of {len(found)}" if isinstance(found, str | bytes | list | dict) else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {expected}, found {type(found).__name__}{size}{more}"

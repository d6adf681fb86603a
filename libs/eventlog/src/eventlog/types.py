"""The one choke point between stored events and classes: names, versions, JSON, upcasting."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import repeat
from typing import Any

from pydantic import Json, TypeAdapter, ValidationError

from eventlog.errors import InvalidEvent, UnknownEventType
from eventlog.operations import OPERATIONS

MAX_EVENT_BYTES = 900_000  # stays below Kafka's max.message.bytes of 1 MiB with its headers

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_NUMBERS = {"float", "decimal", "complex", "function-plain"}  # pydantic's schemas of what may be NaN, or anything
_NO_NUMBER = ("null", "NaN", "Infinity")  # how JSON has a float or Decimal that is none
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # and not a backslash before a "u0000"
_STORED_NAME = re.compile(r"^([A-Za-z][A-Za-z0-9_.-]*)\.v([1-9][0-9]*)$")


class EventTypes:
    """Maps stored names such as ``RewardCredited.v1`` to frozen dataclasses, and old versions to current ones.

    `types` names the current version of each class. `upcasters` maps the stored name of an old version to a function
    that turns its JSON object into that of the next version. The `OPERATIONS` of every log are always among them.
    """

    def __init__(self, types: Mapping[str, type], upcasters: Mapping[str, Upcaster] | None = None) -> None:
        self._names: dict[type, tuple[str, int]] = {}
        self._codecs: dict[tuple[str, int], _Codec] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        if taken := OPERATIONS.keys() & types.keys():
            raise ValueError(f"{', '.join(sorted(taken))}: every log has these events already; choose another name")
        for stored, cls in {**OPERATIONS, **types}.items():
            name, version = _split(stored)
            if cls in self._names:
                raise ValueError(f"{cls.__name__} is named twice: {self._names[cls]} and {stored}")
            self._names[cls] = (name, version)
            self._codecs[name, version] = _codec(cls)
        for stored, upcaster in (upcasters or {}).items():
            self._upcasters[_split(stored)] = upcaster
        for name, version in self._upcasters:
            if (name, version) in self._codecs:
                raise ValueError(f"upcaster {name}.v{version} would never be called: {name}.v{version} has a class")
            if (name, version + 1) not in self._codecs | self._upcasters:
                raise ValueError(f"upcaster {name}.v{version} leads nowhere: no {name}.v{version + 1}")
        self._given = types, upcasters

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was made from, so classes and upcasters must be importable by name."""
        return EventTypes, self._given

    def __contains__(self, cls: type) -> bool:
        return cls in self._names

    def name(self, cls: type) -> str:
        """The stored name without its version, for instance to select events of this class."""
        try:
            return self._names[cls][0]
        except KeyError:
            raise UnknownEventType(f"{cls.__qualname__} has no stored name: add it to the event types") from None

    def names(self, classes: Iterable[type]) -> list[str]:
        """The stored names without versions of several classes."""
        return [self.name(cls) for cls in classes]

    def encode(self, event: object) -> tuple[str, int, str]:
        """Stored name, type version and JSON of an event. Raises UnknownEventType or InvalidEvent."""
        return self.encode_all([event])[0]

    def encode_all(self, events: Sequence[object]) -> list[tuple[str, int, str]]:
        """Stored name, type version and JSON of each event. Raises UnknownEventType or InvalidEvent."""
        of_class: dict[type, list[object]] = {}
        for event in events:
            of_class.setdefault(type(event), []).append(event)
        encoded = {cls: self._encode(cls, members) for cls, members in of_class.items()}
        if len(encoded) == 1:
            return list(*encoded.values())
        return [next(encoded[type(event)]) for event in events]

    def _encode(self, cls: type, events: Sequence[object]) -> Iterator[tuple[str, int, str]]:
        self.name(cls)
        name, version = self._names[cls]
        codec = self._codecs[name, version]
        try:  # all in one call, since asking pydantic for errors costs more than the encoding of an event
            texts: list[str] = codec.many.dump_python(events, round_trip=True, warnings="error")
        except ValueError as error:  # pydantic's, or Python's for an integer of too many digits
            raise InvalidEvent(f"{name}.v{version}: {error}") from error
        for text in texts if max(map(len, texts)) > MAX_EVENT_BYTES // 4 else ():
            if (size := len(text.encode())) > MAX_EVENT_BYTES:
                raise InvalidEvent(f"{name}.v{version}: {size} bytes, at most {MAX_EVENT_BYTES}")
        if any(map(has_nul, texts)):
            raise InvalidEvent(f"{name}.v{version}: PostgreSQL cannot read the character U+0000")
        if codec.may_hold_nan:  # what nobody could read would bring its stream to a standstill
            for text in texts:
                if any(word in text for word in _NO_NUMBER):
                    self.decode(name, version, text)
        return zip(repeat(name), repeat(version), texts)

    def decode(self, type_name: str, type_version: int, data: str) -> Any:
        """The current class of a stored event. Raises UnknownEventType or InvalidEvent."""
        key = (type_name, type_version)
        if key not in self._codecs:
            key, data = self._upcast(key, data)
        try:
            return self._codecs[key].one.validate_json(data)
        except ValidationError as error:
            raise InvalidEvent(f"stored event {type_name}.v{type_version} does not fit its class: {error}") from error

    def decode_all(self, type_name: str, type_version: int, data: Sequence[str]) -> Sequence[Any] | None:
        """The events of one stored type in their order, in a third of the time that `decode` takes for each.

        None if there is one that can't be decoded, or if the version is an old one: `decode` knows more.
        """
        codec = self._codecs.get((type_name, type_version))
        if codec is None:
            return None
        try:
            events: list[Any] = codec.many.validate_python(data)
        except ValidationError:
            return None
        return events

    def _upcast(self, key: tuple[str, int], data: str) -> tuple[tuple[str, int], str]:
        """Lifts the JSON of an old version, version by version, to the first that has a class."""
        if key not in self._upcasters:
            known = [f"v{version}" for name, version in sorted(self._codecs | self._upcasters) if name == key[0]]
            known_here = f"this release knows {', '.join(known) or 'no event of this name'}"
            raise UnknownEventType(f"no class for stored event {key[0]}.v{key[1]}: {known_here}")
        value, (name, version) = json.loads(data), key
        try:
            while (name, version) not in self._codecs:
                value = self._upcasters[name, version](value)
                version += 1
            return (name, version), json.dumps(value)  # what comes out is JSON again, not whatever Python has for it
        except Exception as error:
            raise InvalidEvent(f"stored event {name}.v{key[1]}: no upcast from v{version}: {error!r}") from error


class _Codec:
    """JSON of one class, and back."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self.one: TypeAdapter[Any] = TypeAdapter(cls)
        self.may_hold_nan = _holds(self.one.core_schema, _NUMBERS)

    @cached_property
    def many(self) -> TypeAdapter[Any]:
        """Of lists of JSON texts."""
        return TypeAdapter(list[Json[self._cls]])  # type: ignore[name-defined]  # a class for each


@cache  # what pydantic makes of a class takes milliseconds, and is the same for all logs
def _codec(cls: type) -> _Codec:
    return _Codec(cls)


def has_nul(json_text: str) -> bool:
    """Whether a JSON text has the character U+0000, the one that PostgreSQL cannot read."""
    return "u0000" in json_text and _NUL.search(json_text) is not None


def _split(stored: str) -> tuple[str, int]:
    match = _STORED_NAME.match(stored)
    if not match:
        raise ValueError(f"stored name {stored!r}: expected Name.v<number>")
    return match[1], int(match[2])


def _holds(schema: Any, kinds: Collection[str]) -> bool:
    """Whether a pydantic schema has a part of one of these kinds."""
    if isinstance(schema, Mapping):
        kind = schema.get("type")  # of a mapping of fields, the field of that name
        return (isinstance(kind, str) and kind in kinds) or any(_holds(part, kinds) for part in schema.values())
    return isinstance(schema, list | tuple) and any(_holds(part, kinds) for part in schema)

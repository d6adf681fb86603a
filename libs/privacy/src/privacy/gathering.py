"""What a log holds of one subject, in clear, and nothing that it holds of others. Pure, but for the vault.

An event tells of a subject if its stream or a value of it names the subject. Of a list or a mapping that names the
subject in some places, what names it is told and the rest, which is of others, is left out; what is sealed for others
stays sealed and is not told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from eventlog import RecordedEvent
from privacy.values import Sealed
from privacy.vault import Vault

_SEALED = frozenset(Sealed.__dataclass_fields__)

Told = dict[str, Any]
"""An event as its subject reads it: where it stands in the log, and what it says."""


async def told(events: Iterable[RecordedEvent], subject: str, vault: Vault) -> list[Told]:
    """Those of the events that tell of the subject, in order. Raises VaultLocked, BrokenBox and KekError."""
    found = [(recorded, json.loads(recorded.data)) for recorded in events]
    kept = [
        (recorded, _of(data, subject))
        for recorded, data in found
        if _names(data, subject) or _is_named(recorded.stream, subject)
    ]
    boxes = [box for _, data in kept for box in _boxes(data)]
    clear = iter(await vault.open(boxes))
    return [
        {
            "position": recorded.position,
            "stream": recorded.stream,
            "type": recorded.type,
            "at": recorded.occurred_at.isoformat(),
            "data": _opened(data, clear),
        }
        for recorded, data in kept
    ]


def _is_named(text: str, subject: str) -> bool:
    return subject in text.split("/")


def _names(value: Any, subject: str) -> bool:
    match value:
        case str():
            return _is_named(value, subject)
        case dict():
            return subject in value or any(_names(part, subject) for part in value.values())
        case list():
            return any(_names(part, subject) for part in value)
        case _:
            return False


def _of(value: Any, subject: str) -> Any:
    """A value without what is another's."""
    match value:
        case dict() if value.keys() == _SEALED:
            return Sealed(**value) if value["subject"] == subject else None
        case dict() if subject in value:
            return {subject: _of(value[subject], subject)}
        case dict():
            return {name: _of(part, subject) for name, part in value.items()}
        case list():
            named = [part for part in value if _names(part, subject)]
            return [_of(part, subject) for part in named or value]
        case _:
            return value


def _boxes(value: Any) -> Iterator[Sealed]:
    """What is sealed, in the order in which `_opened` comes to it."""
    match value:
        case Sealed():
            yield value
        case dict():
            for part in value.values():
                yield from _boxes(part)
        case list():
            for part in value:
                yield from _boxes(part)
        case _:
            pass


def _opened(value: Any, clear: Iterator[Any]) -> Any:
    match value:
        case Sealed():
            secret = next(clear)
            return None if secret is None else _parts(secret.get_secret_value())
        case dict():
            return {name: _opened(part, clear) for name, part in value.items()}
        case list():
            return [_opened(part, clear) for part in value]
        case _:
            return value


def _parts(text: str) -> Any:
    """What was sealed as JSON, for it has parts; every other text as it is."""
    return json.loads(text) if text.startswith(("{", "[")) else text

"""The base of every public message and the register of their types.

On Kafka a message is a CloudEvent in binary mode: its type, id, subject and time are headers, its fields the JSON body.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

_TYPE = re.compile(
    r"(?P<topic>[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*)\.(?P<name>[A-Z][A-Za-z0-9]*)\.v(?P<version>[1-9][0-9]*)"
)
_classes: dict[str, type[Message]] = {}


class Message(BaseModel):
    """A fact one service tells the others. Frozen; unknown fields are ignored, so that messages can grow.

    Subclasses name their type, and with it their topic:
    ``class PrimarySale(Message, type="chain.music-nft.PrimarySale.v1")``.
    """

    # Of a hundred types a service meets a few: what checks them is made at their first use, not when it starts.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    type: ClassVar[str]
    topic: ClassVar[str]

    def __init_subclass__(cls, type: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if type is None:
            return  # a base of other messages
        match = _TYPE.fullmatch(type)
        if not match:
            raise TypeError(f"{cls.__name__}: type {type!r}: expected <service>.<topic>.<Name>.v<number>")
        if type in _classes:
            raise TypeError(f"{cls.__name__}: type {type} is taken by {_classes[type].__name__}")
        cls.type, cls.topic = type, match["topic"]
        _classes[type] = cls


def message_class(ce_type: str) -> type[Message] | None:
    """The class of a CloudEvents type, None when this release doesn't know it."""
    return _classes.get(ce_type)


def message_types() -> dict[str, type[Message]]:
    """All known types, sorted."""
    return dict(sorted(_classes.items()))

"""One question to the network and its answer, between the socket and the APIs: what faults get hold of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from devnet.chain import TRUE, View

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Question:
    """A request: `path` without the face's prefix, such as "wallet/getnowblock"; `body` is its JSON or its query."""

    face: str
    method: str
    path: str
    body: Any
    view: View = TRUE

    @property
    def calls(self) -> list[Any]:
        """The calls of a JSON-RPC request; none of another."""
        if self.path != "jsonrpc":
            return []
        return self.body if isinstance(self.body, list) else [self.body]

    @property
    def names(self) -> list[str]:
        """What a fault's paths are held against: the path, and for JSON-RPC "jsonrpc/<method>" of each call too."""
        return [self.path, *(name_of(call) for call in self.calls)]


def name_of(call: Any) -> str:
    """Returns "jsonrpc/<method>"."""
    return f"jsonrpc/{call.get('method') if isinstance(call, dict) else None}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. With `cut` the connection is closed after so many bytes of the body; 0: no word at all."""

    body: bytes
    status: int = 200
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    @classmethod
    def of(cls, value: Any, status: int = 200, media_type: str = JSON) -> Answer:
        """Returns the answer that says `value`: bytes as they are, anything else as JSON."""
        return cls(value if isinstance(value, bytes) else orjson.dumps(value), status, media_type)


SILENCE = Answer(b"", cut=0)

Ask = Callable[[Question], Awaitable[Answer]]

"""States of recently used streams, so that a decision reads only what is new."""

from __future__ import annotations

from typing import Any

Versioned = tuple[int, Any]


class RecentStates:
    """The last known state of each stream with its version; of about `most` streams, those used last.

    Two generations: what is remembered goes to the young one; once that is half of all, it becomes the old one and
    what was old is forgotten. An order of use, kept for each stream, would cost each decision several times as much.
    """

    def __init__(self, most: int = 50_000) -> None:
        self._half = max(1, most // 2)
        self._young: dict[str, Versioned] = {}
        self._old: dict[str, Versioned] = {}

    def get(self, stream: str, initial: Any = None) -> Versioned:
        """The version and the state; 0 and `initial` where nothing is known."""
        return self._young.get(stream) or self._old.get(stream, (0, initial))

    def remember(self, stream: str, version: int, state: Any) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[stream] = (version, state)

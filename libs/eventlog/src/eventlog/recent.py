"""States of recently used streams, so that a decision reads only what is new."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class RecentStates:
    """The last known state of each stream with its version; of more than `most` streams, those used last."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._states: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def get(self, stream: str, initial: Any = None) -> tuple[int, Any]:
        """The version and the state; 0 and `initial` where nothing is known."""
        return self._states.get(stream, (0, initial))

    def remember(self, stream: str, version: int, state: Any) -> None:
        self._states[stream] = (version, state)
        self._states.move_to_end(stream)
        while len(self._states) > self._most:
            self._states.popitem(last=False)

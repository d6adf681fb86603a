"""Pages of a log: the relay and the projections of a process follow it side by side, and share what they read."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import Any

from eventlog.events import RecordedEvent

KEPT = 4  # pages: who is further behind reads for itself
FRESH_SECONDS = 5.0  # a standby that takes over may have less than the server that was read

Read = Callable[[int, int, int], Coroutine[Any, Any, Sequence[RecordedEvent]]]


class Events(list[RecordedEvent]):
    """Events that several readers share, each of which may want few types of them."""

    @cached_property
    def places(self) -> Mapping[str, Sequence[int]]:
        """Where those of each type are, in order. Looking at each event for each reader takes longer than it seems."""
        found: dict[str, list[int]] = {}
        for place, recorded in enumerate(self):
            found.setdefault(recorded.type, []).append(place)
        return found


class Pages:
    """The last pages that were read or are being read; an event that two readers get is one object, decoded once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: deque[_Page] = deque(maxlen=KEPT)

    async def after(self, position: int, upto: int, limit: int) -> Sequence[RecordedEvent]:
        """As `read`: events with position < theirs <= upto in order, at most `limit`; none only if there are none."""
        for page in [*reversed(self._kept)]:
            if page.begins <= position < page.begins + page.limit and page.fresh():
                events = await page.events()
                first = bisect_right(events, position, key=_position)
                if first < len(events):
                    last = min(first + limit, bisect_right(events, upto, key=_position))
                    return events if last - first == len(events) else events[first:last]
        page = _Page(position, limit, self._read(position, upto, limit))
        self._kept.append(page)
        return await page.events()

    def forget(self) -> None:
        """Keeps none of them."""
        self._kept.clear()


class _Page:
    """The events behind the position where it begins; one reading, whoever waits for it."""

    def __init__(self, begins: int, limit: int, reading: Coroutine[Any, Any, Sequence[RecordedEvent]]) -> None:
        self.begins = begins
        self.limit = limit
        self._read_at = monotonic()
        self._reading = asyncio.ensure_future(_shared(reading))
        self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())  # each who waits raises it

    def fresh(self) -> bool:
        """Whether it can be used: neither failed nor read long ago."""
        task = self._reading
        failed = task.done() and (task.cancelled() or task.exception() is not None)
        return not failed and monotonic() - self._read_at < FRESH_SECONDS

    async def events(self) -> Events:
        return await asyncio.shield(self._reading)


async def _shared(reading: Coroutine[Any, Any, Sequence[RecordedEvent]]) -> Events:
    return Events(await reading)


def _position(recorded: RecordedEvent) -> int:
    return recorded.position

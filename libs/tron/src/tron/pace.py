"""How fast a node may be asked: as many requests at once as it bears, and no more in a second or a day than agreed."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from time import monotonic
from types import TracebackType

from tron.errors import BudgetSpent, NodeUnavailable

FIRST_REQUESTS = 4
DAY_SECONDS = 86_400
PATIENCE_SECONDS = 5.0
"""A request waits so long for its turn in the budget; a longer wait is `BudgetSpent`, so that another node is asked."""
LONGEST_CLOSED_SECONDS = 60.0
MOST_CLOSED_SECONDS = 900.0
"""However long a node says that it wants to be left alone, it is asked again after so long."""


class Pace:
    """How many requests may be under way: one more after as many good answers, half as many after a failure."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(min(FIRST_REQUESTS, most))
        self._busy = 0
        self._slowed_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def allowed(self) -> int:
        """Requests that may be under way now."""
        return int(self._allowed)

    async def __aenter__(self) -> None:
        while self._busy >= self.allowed:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # our turn came; it is somebody else's now
                raise
        self._busy += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy -= 1
        if error is None:
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        elif isinstance(error, NodeUnavailable) and monotonic() - self._slowed_at > 1:
            self._slowed_at = monotonic()  # once a second: failures come in crowds
            self._allowed = max(1.0, self._allowed / 2)
        for _ in range(max(0, self.allowed - self._busy)):
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class _Bucket:
    """Holds up to `size` requests and fills at `rate` a second. Taking more than it holds is a debt, and a wait."""

    def __init__(self, rate: float, size: float) -> None:
        self._rate = rate
        self._size = size
        self._level = size
        self._at = monotonic()

    @property
    def level(self) -> float:
        now = monotonic()
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def wait(self, requests: int) -> float:
        return max(0.0, (requests - self.level) / self._rate)

    def take(self, requests: int) -> None:
        self._level = self.level - requests


class Budget:
    """What a provider lets us send, kept by us rather than found out by refusals.

    In any second at most `per_second` requests and as many again saved up; in any 24 hours at most `per_day`, of which
    an hour's share may be used at once: so that the head is still read in the evening of a day that began with a
    backfill. None is no limit. After a refusal it is closed: as long as the node says, else longer each time.
    Nothing is remembered beyond the process.
    """

    def __init__(self, per_second: float | None = None, per_day: int | None = None) -> None:
        self._day = _Bucket(per_day * 23 / 24 / DAY_SECONDS, per_day / 24) if per_day is not None else None
        second = _Bucket(per_second, max(1.0, per_second)) if per_second is not None else None
        self._buckets = [bucket for bucket in (second, self._day) if bucket is not None]
        self._open_at = 0.0
        self._refusals = 0

    def wait(self, requests: int = 1) -> float:
        """Return the seconds until so many requests may be sent; 0 is now."""
        return max(self._open_at - monotonic(), *(bucket.wait(requests) for bucket in self._buckets), 0.0)

    async def take(self, requests: int, origin: str, path: str) -> None:
        """Wait until so many requests may be sent. Raises `BudgetSpent` if that takes more than PATIENCE_SECONDS."""
        seconds = self.wait(requests)
        if seconds > PATIENCE_SECONDS:
            raise BudgetSpent(origin, path, f"our budget allows no request for {seconds:.0f} s", seconds)
        for bucket in self._buckets:
            bucket.take(requests)
        if seconds:
            await asyncio.sleep(seconds)
        else:
            self._refusals = max(0, self._refusals - 1)

    def close(self, seconds: float | None) -> None:
        """Send nothing for so long: what the node said after a refusal, at most 15 min; or None if it said nothing."""
        if monotonic() < self._open_at:
            return  # refusals come in crowds
        self._refusals = min(self._refusals + 1, 10)
        longest = min(LONGEST_CLOSED_SECONDS, 0.1 * 2.0**self._refusals)
        drawn = random.uniform(longest / 2, longest)  # noqa: S311  # jitter needs no secrecy
        self._open_at = monotonic() + (drawn if seconds is None else min(seconds, MOST_CLOSED_SECONDS))

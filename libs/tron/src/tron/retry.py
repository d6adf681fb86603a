"""Bounded retries with full jitter, kept outside the client so that each caller chooses its own patience."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tron.errors import NodeUnavailable, RateLimited

T = TypeVar("T")


def back_off(failures: int, first: float, longest: float) -> float:
    """Return the seconds to pause after so many failures in a row: half to all of `first`, doubled with each."""
    bound = min(longest, first * 2.0 ** min(failures, 10))
    return random.uniform(bound / 2, bound)  # noqa: S311  # jitter needs no secrecy


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently to try again after `on` (the pauses are seconds, drawn from 0 to a growing bound).

    A rate limit's own `retry_after` is waited for instead, up to `longest`.
    """

    attempts: int = 5
    first: float = 0.2
    longest: float = 8.0
    on: tuple[type[Exception], ...] = (NodeUnavailable,)

    async def __call__(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Return what the operation returns; raise its last error once the attempts are used up."""
        for attempt in range(1, self.attempts):
            try:
                return await operation()
            except self.on as error:
                await asyncio.sleep(self.pause(attempt, error))
        return await operation()

    def pause(self, attempt: int, error: Exception) -> float:
        """Return the seconds to wait after the given failed attempt (1, 2, …)."""
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(error.retry_after, self.longest)
        bound = min(self.first * 2.0 ** (attempt - 1), self.longest)
        return random.uniform(0, bound)  # noqa: S311  # jitter needs no secrecy

"""Lost races: whoever appended later than another decides again, on what that one has appended."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from eventlog.errors import WrongExpectedVersion

ATTEMPTS = 10
T = TypeVar("T")


async def retry_on_conflict(decide: Callable[[], Awaitable[T]]) -> T:
    """What `decide` returns; it loads, decides and commits, and is called again after each lost race.

    The last of ten attempts raises WrongExpectedVersion, or PostgreSQL's DeadlockDetectedError.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return await decide()
        except (WrongExpectedVersion, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - jitter
    return await decide()

"""Keys of months: for what tells of people and names none, so that no request for erasure could reach it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from privacy.keys import KeyStore

KEPT_DAYS = 30
"""How long a month's key outlives the month."""
LOOK_SECONDS = 3_600.0
MONTHS_BACK = 24


def _now() -> datetime:
    return datetime.now(UTC)


class MonthKeys:
    """Names the keys of one purpose, as subjects of the key store, and destroys the old ones; a worker.

    None is a person's: a person's id has no slash.
    """

    def __init__(self, keys: KeyStore, purpose: str, clock: Callable[[], datetime] = _now) -> None:
        self.name = f"keys:{purpose}"
        self._keys = keys
        self._purpose = purpose
        self._clock = clock

    def of(self, at: datetime | None = None) -> str:
        """The key of the month of a time in UTC, by default of this month."""
        return f"{self._purpose}/{(at or self._clock()).astimezone(UTC):%Y-%m}"

    def is_kept(self, at: datetime) -> bool:
        """Whether the key of that month is there to be used now: a month to come has none, nor has one long past."""
        now = self._clock()
        return at <= now and self.of(at) not in self._old(now)

    async def run(self) -> None:
        while True:
            await self.destroy_old()
            await asyncio.sleep(LOOK_SECONDS)

    async def destroy_old(self) -> int:
        """Destroy the keys of months that ended more than KEPT_DAYS ago; returns how many there were."""
        return await self._keys.erase(self._old(self._clock()))

    def _old(self, now: datetime) -> Iterator[str]:
        """The keys of the months that had ended KEPT_DAYS ago, the newest first."""
        month = (now - timedelta(days=KEPT_DAYS)).replace(day=1)
        for _ in range(MONTHS_BACK):
            month = (month - timedelta(days=1)).replace(day=1)
            yield self.of(month)

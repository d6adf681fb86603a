"""What people ask of projections at work: stand still, go on, go slower. The table `controls`, looked at all the time.

A live projection is controlled under the name of its schema, a rebuild of it under that of the schema it fills.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import asyncpg

from projections import metrics
from projections.errors import NoGeneration

logger = logging.getLogger("projections")

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Control:
    """What was asked of one generation."""

    subscription: str
    paused_at: datetime | None = None
    paused_by: str | None = None
    why: str | None = None
    events_per_second: int | None = None

    @property
    def paused(self) -> str | None:
        """Who paused it, since when and why, in a sentence; None while it runs."""
        if self.paused_at is None:
            return None
        reason = f": {self.why}" if self.why else ""
        return f"{self.subscription} is paused since {self.paused_at:%Y-%m-%d %H:%M:%S} UTC by {self.paused_by}{reason}"


async def pause(pool: asyncpg.Pool, subscription: str, *, by: str, why: str | None = None) -> None:
    """Make the runner of every instance, or a rebuild, stop before its next batch. Raises NoGeneration."""
    if not by.strip():
        raise ValueError("pause: a name is required")
    await _ask(pool, subscription, "paused_at = now(), paused_by = $2, why = $3", by.strip(), why)


async def resume(pool: asyncpg.Pool, subscription: str) -> None:
    """Let it go on where it stopped. Raises NoGeneration."""
    await _ask(pool, subscription, "paused_at = NULL, paused_by = NULL, why = NULL")


async def throttle(pool: asyncpg.Pool, subscription: str, events_per_second: int | None) -> None:
    """Change how fast a rebuild may go; None: as fast as it can. Raises NoGeneration if none is under way."""
    await _ask(pool, subscription, "events_per_second = $2", events_per_second)


async def controls(
    conn: asyncpg.Connection | asyncpg.Pool, subscriptions: Iterable[str] | None = None
) -> dict[str, Control]:
    """What was asked, of some generations or of all; those of which nothing was are left out."""
    records = await conn.fetch(
        """SELECT subscription, paused_at, paused_by, why, events_per_second FROM controls
           WHERE $1::text[] IS NULL OR subscription = ANY ($1)""",
        None if subscriptions is None else list(subscriptions),
    )
    return {record["subscription"]: Control(**dict(record)) for record in records}


async def begin(conn: asyncpg.Connection, subscription: str, events_per_second: int | None) -> None:
    """For work that starts, or starts again: it is not paused, and keeps its speed unless another is given."""
    await conn.execute(
        """INSERT INTO controls AS c (subscription, events_per_second) VALUES ($1, $2)
           ON CONFLICT (subscription) DO UPDATE SET paused_at = NULL, paused_by = NULL, why = NULL,
               events_per_second = coalesce($2, c.events_per_second)""",
        subscription,
        events_per_second,
    )


async def forget(conn: asyncpg.Connection, subscription: str) -> None:
    """The work is done."""
    await conn.execute("DELETE FROM controls WHERE subscription = $1", subscription)


async def _ask(pool: asyncpg.Pool, subscription: str, assignments: str, *values: object) -> None:
    async with pool.acquire() as conn, conn.transaction():
        known = await conn.fetchval(
            """SELECT EXISTS (SELECT FROM checkpoints WHERE subscription = $1)
                   OR EXISTS (SELECT FROM controls WHERE subscription = $1)""",
            subscription,
        )
        if not known:
            raise NoGeneration(f"{subscription} does not exist: nothing to control")
        await conn.execute(
            "INSERT INTO controls (subscription) VALUES ($1) ON CONFLICT (subscription) DO NOTHING", subscription
        )
        await conn.execute(f"UPDATE controls SET {assignments} WHERE subscription = $1", subscription, *values)  # noqa: S608 - constants


class Pace:
    """How fast a rebuild may go, looked up after each batch and while it waits."""

    def __init__(self, conn: asyncpg.Connection, subscription: str, on_pause: Callable[[], None]) -> None:
        self._conn = conn
        self._subscription = subscription
        self._on_pause = on_pause
        self._since = monotonic()

    async def keep(self, events: int) -> None:
        """Wait until a batch of so many events has had its time, and for as long as a pause lasts."""
        while True:
            found = await controls(self._conn, [self._subscription])
            asked = found.get(self._subscription, Control(self._subscription))
            if asked.paused:
                self._on_pause()
                left = POLL_SECONDS
            elif asked.events_per_second is None:
                break
            else:
                left = events / asked.events_per_second - (monotonic() - self._since)
            if left <= 0:
                break
            await asyncio.sleep(min(left, POLL_SECONDS))
        self._since = monotonic()


class Gate:
    """Lets the batches of live generations through unless they are paused."""

    def __init__(self, pool: asyncpg.Pool, subscriptions: Iterable[str]) -> None:
        self._pool = pool
        self._open = {subscription: asyncio.Event() for subscription in subscriptions}

    async def passed(self, subscription: str) -> None:
        """Wait until a batch may be written."""
        await self._open[subscription].wait()

    async def watch(self) -> None:
        """Look at the controls until cancelled."""
        while True:
            try:
                self._set(await controls(self._pool, self._open))
            except Exception:  # the database is away, for the runner too; until it is back nothing is known to change
                logger.exception("controls of projections: cannot be read, trying again")
            await asyncio.sleep(POLL_SECONDS)

    def _set(self, found: dict[str, Control]) -> None:
        for subscription, gate in self._open.items():
            reason = found[subscription].paused if subscription in found else None
            if reason and gate.is_set():
                logger.warning(reason)
            metrics.PAUSED.labels(subscription).set(reason is not None)
            gate.clear() if reason else gate.set()

"""Watches what the law wants by a date: requests that are overdue, services that don't answer, screenings due."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import DBAPIError

from compliance import metrics, queries
from service import Queries, is_not_made, seeing_all
from service.health import Check

LOOK_SECONDS = 15.0


class Overdue:
    """Says by metrics and by a check which requests and services are late; a worker. Any number may run."""

    name = "overdue"

    def __init__(self, reads: Queries, services: Sequence[str], silent_seconds: float) -> None:
        self._reads = reads
        self._services = services
        self._silent_seconds = silent_seconds
        self._complaints: list[str] = []

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except DBAPIError as error:
                if not is_not_made(error):  # the read model is made by its worker, a moment after this one begins
                    raise
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> None:
        """Measures as of `now`."""
        with seeing_all():
            late = await self._reads.first(queries.overdue(now))
            screenings = await self._reads.first(queries.count_due(now))
            since = {row["service"]: row["ordered_at"] for row in await self._reads.all(queries.unanswered())}
        waited = {name: (now - at).total_seconds() for name, at in since.items()}
        overdue_seconds = (now - late["due_at"]).total_seconds() if late["requests"] else 0.0
        metrics.SCREENINGS_DUE.set(screenings["due"])
        metrics.OVERDUE.set(late["requests"])
        metrics.OVERDUE_SECONDS.set(overdue_seconds)
        for service in {*self._services, *waited}:
            metrics.UNANSWERED_SECONDS.labels(service).set(waited.get(service, 0.0))
        self._complaints = [
            f"{name} has not answered what was ordered at {since[name]:%Y-%m-%d %H:%M} UTC"
            for name, seconds in sorted(waited.items())
            if seconds > self._silent_seconds
        ]
        if late["requests"]:
            self._complaints.append(f"{late['requests']} overdue, the first since {late['due_at']:%Y-%m-%d %H:%M} UTC")

    def check(self) -> Check:
        """Fails while a request is overdue or a service silent; the service goes on, since only a person can help."""

        async def probe() -> str:
            if self._complaints:
                raise RuntimeError("; ".join(self._complaints))
            return "no request is overdue, no service silent"

        return Check("erasures", probe, vital=False)

"""What data subjects have asked for and the law wants answered. The query is the one of the officers' route."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from annals.services import find
from annals.terminal import plain_table

SERVICE = "compliance"
Request = dict[str, Any]


async def requests(now: datetime, until: datetime | None, limit: int) -> list[Request]:
    """The open requests, at most `limit`, due soonest first; with `until` those due by then. Raises UnknownName."""
    service = find(SERVICE)
    queries = service.part("queries")
    found = await service.read(queries.queue(list(queries.KINDS.values()), now, None, limit))
    return [one for one in found if until is None or one["due_at"] <= until]


def table(found: Sequence[Request], now: datetime) -> Table:
    """A line for each: until when there is time, and for what it waits."""
    told = plain_table("due", "left", "kind", "request", "subject", "law", "state", "waits for")
    for one in found:
        days = (one["due_at"] - now).days
        left = f"{-days:,} days late" if days < 0 else f"{days:,} days"
        about = (one[column] for column in ("kind", "request_id", "subject", "law", "state"))
        told.add_row(f"{one['due_at']:%Y-%m-%d %H:%M}", left, *about, ", ".join(one["waiting_for"]))
    return told

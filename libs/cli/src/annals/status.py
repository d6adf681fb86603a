"""How the services are: logs, projections, what is put aside, whether they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg
import httpx
from rich.table import Table

from annals.services import Installed, installed
from projections import Status, status


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as its database and its `/ready` show it."""

    name: str
    ready: bool
    detail: str
    events: int
    parked_messages: int
    projections: tuple[Status, ...]

    @property
    def ok(self) -> bool:
        return self.ready and not self.parked_messages and not any(p.parked_events for p in self.projections)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


async def collect() -> list[ServiceStatus]:
    """The status of every installed service, asked for at the same time."""
    return list(await asyncio.gather(*(_status(service) for service in installed().values())))


async def _status(service: Installed) -> ServiceStatus:
    ready, detail = await _ready(service)
    try:
        async with service.log() as log:
            events = await log.pool.fetchval("SELECT coalesce(max(position), 0) FROM events")
            parked = await log.pool.fetchval("SELECT count(*) FROM parked WHERE discarded_at IS NULL")
            known = {projection.schema for projection in service.projections}
            shown = tuple(s for s in await status(log.pool, log) if s.schema in known)
            return ServiceStatus(service.name, ready, detail, events, parked, shown)
    except (OSError, asyncpg.PostgresError) as error:
        return ServiceStatus(service.name, False, f"database: {error}", 0, 0, ())


async def _ready(service: Installed) -> tuple[bool, str]:
    settings = service.settings()
    url = f"http://{settings.http_host}:{settings.http_port}/ready"
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(url)
        failing = [f"{name}: {check['detail']}" for name, check in answer.json()["checks"].items() if not check["ok"]]
    except (httpx.TransportError, ValueError, KeyError) as error:
        return False, f"no answer from {url} ({type(error).__name__})"
    return answer.status_code == 200, "; ".join(failing)


def table(services: Sequence[ServiceStatus]) -> Table:
    """One line per projection, grouped by service."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    result.add_column("service", no_wrap=True)
    result.add_column("state")
    for column in ("log", "put aside"):
        result.add_column(column, justify="right")
    result.add_column("projection", no_wrap=True)
    for column in ("position", "behind", "seconds", "parked"):
        result.add_column(column, justify="right")
    for service in services:
        state = "[green]ready[/]" if service.ready else f"[red]{service.detail or 'not ready'}[/]"
        first = (service.name, state, f"{service.events:,}", f"{service.parked_messages:,}")
        for projection in service.projections or (None,):
            shown = () if projection is None else _line(projection)
            result.add_row(*first, *shown)
            first = ("", "", "", "")
    return result


def _line(projection: Status) -> tuple[str, ...]:
    return (
        f"{projection.name} v{projection.version}",
        f"{projection.position:,}",
        f"{projection.lag_events:,}",
        f"{projection.lag_seconds:.1f}",
        f"{projection.parked_events:,}",
    )

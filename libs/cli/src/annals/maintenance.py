"""Rebuild, roll back, audit: what an SRE does to read models, with progress."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import projections
from annals.services import find, find_projection
from eventlog import Watermark
from projections import Comparison
from projections.job import OnProgress


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rebuild came to; `equal` is None unless the rows were compared."""

    projection: str
    events: int
    seconds: float
    swapped: bool
    equal: bool | None
    comparison: Comparison | None

    def sentence(self) -> str:
        rate = self.events / self.seconds if self.seconds else 0
        compared = {None: "", True: ", every row the same as before", False: ", rows differ from before"}[self.equal]
        text = f"{self.projection}: {self.events:,} events in {self.seconds:.1f} s ({rate:,.0f}/s), swapped{compared}"
        return text if self.equal is not False else f"{text}\n{self.comparison}"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "comparison": comparison_dict(self.comparison) if self.comparison else None}


async def rebuild(name: str, *, compare: bool, rate: float | None, console: Console) -> Outcome:
    """Rebuild `service.projection`. Raises UnknownName and ProjectionError."""
    service, projection = find_projection(name)
    async with service.log() as log:
        with _bar(console, name) as on_progress:
            rebuilt = await projections.rebuild(
                log.pool,
                log,
                Watermark(log.pool),
                projection,
                on_progress=on_progress,
                compare=compare,
                events_per_second=rate,
            )
    equal = rebuilt.comparison.equal if rebuilt.comparison else None
    return Outcome(name, rebuilt.events, rebuilt.seconds, rebuilt.swapped, equal, rebuilt.comparison)


async def rollback(name: str) -> None:
    """Serve the former generation of `service.projection` again. Raises UnknownName and ProjectionError."""
    service, projection = find_projection(name)
    async with service.log() as log:
        await projections.rollback(log.pool, log, Watermark(log.pool), projection)


async def audit(name: str, console: Console) -> list[Comparison]:
    """Audit one projection, or all of a service. Raises UnknownName and ProjectionError."""
    service_name, dot, _ = name.partition(".")
    service = find(service_name)
    chosen = [find_projection(name)[1]] if dot else service.projections
    comparisons = []
    async with service.log() as log:
        for projection in chosen:
            with _bar(console, f"{service_name}.{projection.name}") as on_progress:
                comparisons.append(
                    await projections.audit(log.pool, log, Watermark(log.pool), projection, on_progress=on_progress)
                )
    return comparisons


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    return {**asdict(comparison), "equal": comparison.equal}


@contextlib.contextmanager
def _bar(console: Console, name: str) -> Iterator[OnProgress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} · {task.fields[rate]:,.0f} events/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=1, rate=0.0)

        def update(now: projections.Progress) -> None:
            progress.update(
                task,
                description=f"{name} {now.phase}",
                completed=now.position,
                total=max(now.target, 1),
                rate=now.events_per_second,
            )

        yield update

"""What an SRE does to read models: rebuild, replay to a point, roll back, audit, pause, drop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import projections
from annals.errors import NotNow
from annals.services import find, find_projection
from eventlog import EventLog, Watermark
from messaging import leader
from projections import AsOf, Comparison, KeysRebuilt, NoGeneration, Projection
from projections.generation import Suffix
from projections.job import OnProgress

MOST_A_SECOND = 1_000_000_000


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


async def rebuild(
    name: str, *, compare: bool, rate: int | None, resume: bool = False, workers: int = 1, console: Console
) -> Outcome:
    """Rebuild `service.projection`. Raises UnknownName and ProjectionError."""
    async with _projection(name) as (log, projection):
        with _bar(console, name) as on_progress:
            rebuilt = await projections.rebuild(
                log.pool,
                log,
                Watermark(log.pool),
                projection,
                on_progress=on_progress,
                compare=compare,
                events_per_second=rate,
                resume=resume,
                workers=workers,
            )
    equal = rebuilt.comparison.equal if rebuilt.comparison else None
    return Outcome(name, rebuilt.events, rebuilt.seconds, rebuilt.swapped, equal, rebuilt.comparison)


async def rebuild_keys(name: str, keys: Sequence[str], *, rate: int | None, console: Console) -> KeysRebuilt:
    """Rebuild the rows of some partition keys. Raises UnknownName, LookupError, ProjectionError."""
    async with _projection(name) as (log, projection):
        with _bar(console, name) as on_progress:
            return await projections.rebuild_keys(
                log.pool,
                log,
                Watermark(log.pool),
                projection,
                keys,
                on_progress=on_progress,
                events_per_second=rate,
            )


async def as_of(name: str, point: Point, *, label: str | None, rate: int | None, console: Console) -> AsOf:
    """Replay `service.projection` to a point. Raises UnknownName, ValueError, ProjectionError."""
    async with _projection(name) as (log, projection):
        with _bar(console, name) as on_progress:
            return await projections.as_of(
                log.pool,
                log,
                Watermark(log.pool),
                projection,
                position=point.position,
                recorded=point.recorded,
                occurred=point.occurred,
                label=label,
                on_progress=on_progress,
                events_per_second=rate,
            )


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a log; one of the three."""

    position: int | None = None
    recorded: datetime | None = None
    occurred: datetime | None = None


async def pause(name: str, *, by: str, why: str | None, rebuild: bool) -> None:
    """Pause a live projection or its rebuild. Raises UnknownName and NoGeneration."""
    async with _projection(name) as (log, projection):
        with _missing(_nothing_runs(name, rebuild)):
            await projections.pause(log.pool, _subscription(projection, rebuild), by=by, why=why)


async def resume(name: str, *, rebuild: bool) -> None:
    """Let it go on. Raises UnknownName and NoGeneration."""
    async with _projection(name) as (log, projection):
        with _missing(_nothing_runs(name, rebuild)):
            await projections.resume(log.pool, _subscription(projection, rebuild))


async def throttle(name: str, rate: int | None) -> None:
    """Change the speed of a running rebuild. Raises UnknownName and NoGeneration."""
    async with _projection(name) as (log, projection):
        with _missing(_nothing_runs(name, rebuild=True)):
            await projections.throttle(log.pool, _subscription(projection, rebuild=True), rate)


async def drop(name: str, label: str | None, *, old: bool) -> list[str]:
    """Drop the rows before the last swap, or one or all replays to a point; returns the schemas.

    Raises UnknownName, NoGeneration, RebuildRunning.
    """
    async with _projection(name) as (log, projection):
        if not old:
            return await projections.drop_as_of(log.pool, log, projection, label)
        if not await projections.drop_old(log.pool, log, projection):
            raise NoGeneration(f"{name}: no former rows are kept")
        return [projection.schema + Suffix.OLD]


async def clear(name: str) -> list[str]:
    """Remove all rows of all read models of a service that stands still; returns the projections that had any.

    Raises UnknownName, RebuildRunning; NotNow in production, and while the service runs.
    """
    service = find(name)
    if service.settings().environment == "production":
        raise NotNow(f"{name} is in production, where read models serve on: annals rebuild {name}.PROJECTION")
    async with service.log() as log:
        if (leads := (await leader.instances(log.pool, f"relay:{name}")).leader) is not None:
            raise NotNow(f"{name} runs as {leads}: stop it first, or let it serve on: annals rebuild {name}.PROJECTION")
        return [
            projection.name for projection in service.projections if await projections.clear(log.pool, log, projection)
        ]


async def rollback(name: str) -> None:
    """Serve the former generation of `service.projection` again. Raises UnknownName and ProjectionError."""
    async with _projection(name) as (log, projection):
        with _missing(f"{name}: no former rows are kept to go back to"):
            await projections.rollback(log.pool, log, Watermark(log.pool), projection)


async def audit(name: str, only: Sequence[str], console: Console) -> list[Comparison]:
    """Audit `service.projection`, or those of a service, all or `only` some. Raises UnknownName, ProjectionError."""
    service_name, dot, _ = name.partition(".")
    service = find(service_name)
    named = [service.projection(projection) for projection in only]
    chosen = [find_projection(name)[1]] if dot else named or service.projections
    comparisons = []
    async with service.log() as log:
        for projection in chosen:
            with _bar(console, f"{service_name}.{projection.name}") as on_progress:
                comparisons.append(
                    await projections.audit(log.pool, log, Watermark(log.pool), projection, on_progress=on_progress)
                )
    return comparisons


@contextlib.asynccontextmanager
async def _projection(name: str) -> AsyncIterator[tuple[EventLog, Projection]]:
    """`service.projection` and the log of the service. Raises UnknownName."""
    service, projection = find_projection(name)
    async with service.log() as log:
        yield log, projection


@contextlib.contextmanager
def _missing(sentence: str) -> Iterator[None]:
    """Says in the reader's words that a generation is not there."""
    try:
        yield
    except NoGeneration as error:
        raise NoGeneration(sentence) from error


def _nothing_runs(name: str, rebuild: bool) -> str:
    return f"{name}: no rebuild is running" if rebuild else f"{name}: has no rows yet: did its service ever run?"


def _subscription(projection: Projection, rebuild: bool) -> str:
    return projection.schema + (Suffix.NEW if rebuild else Suffix.LIVE)


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
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
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

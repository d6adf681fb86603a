"""How a path is measured: ours and the baseline take turns, so that both see the same machine; the median counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console

Run = Callable[[Any], Awaitable[float]]
"""Does the work once and returns units per second."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way through the system, and the bare thing it is compared with."""

    name: str
    unit: str
    ours: Run
    baseline: Run


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over the runs."""

    path: str
    unit: str
    ours: float
    baseline: float
    ratio: float
    runs: list[dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure(path: Path, servers: Any, runs: int, console: Console) -> Measured:
    """Runs both in turns. The ratio is that of the medians."""
    done: list[dict[str, float]] = []
    for number in range(runs):
        console.print(f"{path.name}: run {number + 1} of {runs}", highlight=False)
        done.append({"ours": await path.ours(servers), "baseline": await path.baseline(servers)})
    ours, baseline = median(run["ours"] for run in done), median(run["baseline"] for run in done)
    return Measured(path.name, path.unit, ours, baseline, ours / baseline, done)

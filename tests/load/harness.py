"""How a path is measured: ours and the baseline take turns, so that both see the same machine; the median counts."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from servers import Servers

Run = Callable[[Servers], Awaitable[float]]
"""Does the work once and returns what the path's unit says."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a path has to reach. `ratio` is ours over the baseline."""

    ratio: float | None = None
    ours: float | None = None
    at_most: bool = False

    def met(self, ours: float, ratio: float) -> bool:
        found = ((ours, self.ours), (ratio, self.ratio))
        return all(goal is None or (value <= goal if self.at_most else value >= goal) for value, goal in found)

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        ratio = "" if self.ratio is None else f"{sign} {self.ratio:g} x"
        ours = "" if self.ours is None else f"{sign} {self.ours:,.0f}"
        return ", ".join(text for text in (ratio, ours) if text)


@dataclass(frozen=True, slots=True)
class Path:
    """One way through the system, and the bare thing it is compared with."""

    name: str
    unit: str
    ours: Run
    baseline: Run
    goal: Goal = Goal()
    runs: int = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over the runs; `ratio` is that of the medians."""

    path: str
    unit: str
    ours: float
    baseline: float
    ratio: float
    runs: list[dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure(path: Path, servers: Servers, runs: int | None, tell: Callable[[str], None]) -> Measured:
    """Runs both in turns, `runs` times or as often as the path says, and tells of each."""
    done: list[dict[str, float]] = []
    total = runs or path.runs
    for number in range(1, total + 1):
        run = {"ours": await path.ours(servers), "baseline": await path.baseline(servers)}
        done.append(run)
        tell(f"{path.name} {number}/{total}: {run['ours']:,.0f} against {run['baseline']:,.0f} {path.unit}")
    ours, baseline = median(run["ours"] for run in done), median(run["baseline"] for run in done)
    return Measured(path.name, path.unit, ours, baseline, ours / baseline, done)


def say(text: str) -> None:
    """Tells more of a run than its figure."""
    print(text, file=sys.stderr)


async def per_second(count: int, work: Callable[[], Awaitable[object]]) -> float:
    """How many of `count` things a second `work` does."""
    gc.collect()
    gc.freeze()  # what was made ready for this is not to be looked through again and again
    try:
        begun = time.perf_counter()
        await work()
        return count / (time.perf_counter() - begun)
    finally:
        gc.unfreeze()

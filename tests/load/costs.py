"""CPU time by process: what work costs, however busy the machine is with other things meanwhile."""

from __future__ import annotations

import contextlib
from collections import Counter

import psutil


class Costs:
    """CPU seconds that the processes below this one have used since it was made, by what they are."""

    def __init__(self) -> None:
        self._seen: dict[psutil.Process, tuple[str, float]] = {}
        self.read()
        self._before = {process: seconds for process, (_, seconds) in self._seen.items()}

    def read(self) -> None:
        """Look again; what a process uses between the last look and its end is missing."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._seen[process] = _kind(process), times.user + times.system

    def seconds(self) -> dict[str, float]:
        """As of the last look, the dearest first."""
        sums: Counter[str] = Counter()
        for process, (kind, seconds) in self._seen.items():
            sums[kind] += seconds - self._before.get(process, 0.0)
        return dict(sums.most_common())

    def per_event(self, events: int) -> str:
        """A line: µs of CPU time an event, in all and of each."""
        found = {kind: seconds * 1e6 / events for kind, seconds in self.seconds().items()}
        parts = ", ".join(f"{kind} {cost:.0f}" for kind, cost in found.items() if cost >= 1)
        return f"CPU µs an event: {sum(found.values()):.0f} = {parts}"


def _kind(process: psutil.Process) -> str:
    command = process.cmdline()
    match command:
        case [title, *_] if title.startswith("postgres: "):
            role = title.split()[1]
            return f"PostgreSQL of {role}" if "(" in title else "PostgreSQL"
        case [_, "-m", module, *_]:
            return module
        case [program, *_]:
            return {"postgres": "PostgreSQL", "java": "Kafka"}.get(program.rpartition("/")[2], "others")
        case _:
            return "others"

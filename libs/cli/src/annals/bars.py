"""Progress bars for work that counts steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from messaging.reading import OnProgress, Step


@contextlib.contextmanager
def steps(console: Console | None, name: str) -> Iterator[OnProgress]:
    """Shows how far each phase has come; shows nothing without a console, or in a file."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=console is None or not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=1)

        def update(step: Step) -> None:
            progress.update(task, description=f"{name} {step.phase}", completed=step.done, total=max(step.total, 1))

        yield update


@contextlib.contextmanager
def counting(console: Console | None, name: str, phase: str) -> Iterator[Callable[[int, int], None]]:
    """As `steps`, for work of one phase: gets how many are done, and of how many."""
    with steps(console, name) as on_step:
        yield lambda done, total: on_step(Step(phase, done, total))

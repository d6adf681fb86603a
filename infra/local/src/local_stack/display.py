"""Shows a stack starting: a live table on a terminal, plain lines anywhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from local_stack.stack import SERVERS, Report

_MARKS = {"ready": "[green]✔[/]", "failed": "[red]✘[/]", "stopped": "[dim]■[/]", "waiting": " "}


@contextmanager
def display(console: Console) -> Iterator[Report]:
    """Gives the function to report progress to; see `local_stack.stack.Report`."""
    if console.is_terminal:
        with _table(console) as report:
            yield report
        return
    begun = time.monotonic()

    def line(server: str, state: str, detail: str) -> None:
        console.print(
            f"{time.monotonic() - begun:5.1f} s  {server:<10}  {state:<8}  {detail}".rstrip(), highlight=False
        )

    yield line


@contextmanager
def _table(console: Console) -> Iterator[Report]:
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<10}"),
        TextColumn("{task.fields[mark]} {task.fields[state]:<8}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console) as progress:
        rows: dict[str, TaskID] = {
            server: progress.add_task(server, total=1, start=False, mark=" ", state="waiting", detail="")
            for server in SERVERS
        }

        def update(server: str, state: str, detail: str) -> None:
            if server not in rows:  # an owner may report on processes of its own
                rows[server] = progress.add_task(server, total=1, start=False, mark=" ", state="waiting", detail="")
            row = rows[server]
            progress.update(row, mark=_MARKS.get(state, " "), state=state, detail=detail)
            if state == "starting":
                progress.start_task(row)
            else:
                progress.update(row, completed=1)
                progress.stop_task(row)

        yield update

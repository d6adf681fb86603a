"""`make bench`: each path against its bare baseline in the same run; prints a table, writes .local/bench.json.

python tests/load [--only append_batch,rebuild] [--runs 5] [--events 400000] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import uvloop
from harness import Measured, Path, measure
from paths import PATHS
from rich.console import Console
from rich.table import Table
from servers import servers

from local_stack.paths import local

EVENTS = 400_000


async def main(chosen: Sequence[Path], runs: int | None, events: int, console: Console) -> list[Measured]:
    """Starts the servers, measures, stops them."""

    def say(text: str) -> None:
        console.print(text, highlight=False)

    async with servers(events) as started:
        return [await measure(path, started, runs, say) for path in chosen]


def table(found: Sequence[Measured]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="bold")
    result.add_column("path")
    for column in ("ours", "baseline", "ratio"):
        result.add_column(column, justify="right")
    for column in ("unit", "goal", ""):
        result.add_column(column)
    for one in found:
        goal = PATHS[one.path].goal
        verdict = "" if not str(goal) else "met" if goal.met(one.ours, one.ratio) else "[bold red]missed"
        figures = (f"{one.ours:,.0f}", f"{one.baseline:,.0f}", f"{one.ratio:.2f}")
        result.add_row(one.path, *figures, one.unit, str(goal), verdict)
    return result


def named(text: str) -> list[Path]:
    """The paths of a comma list."""
    names = text.split(",")
    if unknown := [name for name in names if name not in PATHS]:
        raise argparse.ArgumentTypeError(f"no path {', '.join(unknown)}; there are {', '.join(PATHS)}")
    return [PATHS[name] for name in names]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=named, default=list(PATHS.values()), help="comma list of paths")
    parser.add_argument("--runs", type=int, help="of each path; else as many as it needs")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"in the log that is only read ({EVENTS:,})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    given = parser.parse_args()
    measured = uvloop.run(main(given.only, given.runs, given.events, Console(stderr=True)))
    written = json.dumps([one.to_dict() for one in measured], indent=2) + "\n"
    (local() / "bench.json").write_text(written)
    if given.json:
        print(written, end="")
    else:
        Console().print(table(measured))
        Console(stderr=True).print(f"written to {local() / 'bench.json'}", highlight=False)

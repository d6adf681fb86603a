"""`make bench`: each path against its bare baseline in the same run; prints a table, writes .local/bench.json.

python tests/load [--only append_batch] [--runs 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
from pathlib import Path

from harness import Measured, measure
from paths import PATHS, Servers
from rich.console import Console
from rich.table import Table

from local_stack import kafka, postgres
from local_stack.paths import local
from local_stack.stack import scratch_folder


async def main(only: str | None, runs: int) -> list[Measured]:
    """Starts the servers, measures, stops them."""
    console = Console(stderr=True)
    with scratch_folder(f"test-bench-{secrets.token_hex(3)}") as (folder, lock):
        database_process, server = await postgres.start(folder, password=secrets.token_hex(16), hold=(lock,))
        kafka_process, bootstrap = await kafka.start(folder, hold=(lock,))
        try:
            servers = Servers(server, bootstrap)
            chosen = [path for path in PATHS if only in (None, path.name)]
            return [await measure(path, servers, runs, console) for path in chosen]
        finally:
            await kafka_process.stop()
            await database_process.stop()


def table(found: list[Measured]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="bold")
    result.add_column("path")
    for column in ("ours", "baseline", "ratio"):
        result.add_column(column, justify="right")
    result.add_column("unit")
    for one in found:
        result.add_row(one.path, f"{one.ours:,.0f}", f"{one.baseline:,.0f}", f"{one.ratio:.2f}", one.unit)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[path.name for path in PATHS])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    measured = asyncio.run(main(given.only, given.runs))
    Console().print(table(measured))
    target: Path = local() / "bench.json"
    target.write_text(json.dumps([one.to_dict() for one in measured], indent=2) + "\n")
    Console(stderr=True).print(f"written to {target}", highlight=False)

"""What the owners of the rewards' rules ask."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import shell, simulating
from annals.shell import Commands, Json, StackName, console, errors

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Rewards and their rules.")


@app.callback()
def _group() -> None:
    """A group, although it has one command so far."""


@app.command()
def simulate(
    rules: Annotated[
        typer.FileText,
        typer.Option("--rules", metavar="FILE", help='Changes: {"listening": {"amount": "1000"}}; - for a pipe.'),
    ],
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="First moment of the period, e.g. 2026-05-01.")],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, which does not belong to it.")],
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Most users shown.")] = 20,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Show what a period would have come to under other rules.

    Its activities are decided anew, in memory, from the log; nothing is written. The parameters in the file replace
    those of the rules that were in force; GET /rules of the service shows their names. Held rewards count; what
    officers decided about single rewards afterwards is left out, before and after. Times without a zone are UTC.

    $ annals rewards simulate --rules stricter.json --from 2026-05-01 --to 2026-06-01
    $ echo '{"voting": {"amount": "0"}}' | annals rewards simulate --rules - --from 2026-05-01 --to 2026-05-08 --json
    """
    period = shell.period(since, until)
    text = rules.read()
    shell.use(stack)
    found = shell.run(simulating.simulate(text, *period, errors))
    if as_json:
        shell.print_json(simulating.to_dict(found))
        return
    for table in simulating.tables(found, limit):
        console.print(table)
        console.print()
    rate = found.events / found.seconds if found.seconds else 0
    console.say(
        f"{found.activities:,} activities decided anew; {found.events:,} events in {found.seconds:.1f} s "
        f"({rate:,.0f}/s). Amounts in DCMX; nothing was changed."
    )

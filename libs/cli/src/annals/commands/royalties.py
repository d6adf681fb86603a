"""What the keepers of the books ask."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import books, shell
from annals.errors import UnknownName
from annals.shell import Commands, Json, StackName, console, errors

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Royalties and their books.")


@app.command()
def reconcile(
    node: Annotated[
        str | None, typer.Option("--node", metavar="URL", help="TRON node (default: the service's, or the chain's).")
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Hold the books against the contracts: each account that they keep, and the TRX they have, to the sun.

    The contracts are read at a solidified block; the books are as of that block, once all of it has come. What differs
    is shown with its transactions since both were the same, and recorded in the log. Exit code 1 if anything does.

    $ annals royalties reconcile
    $ annals royalties reconcile --node https://api.trongrid.io --json
    """
    shell.use(stack)
    outcome = shell.run(books.reconcile(node, errors))
    if as_json:
        shell.print_json(books.to_dict(outcome))
    else:
        for table in books.tables(outcome):
            console.print(table)
            console.print()
        console.say(books.told(outcome))
    shell.end(good=outcome.ok)


@app.command("what-if")
def what_if(
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="First moment of the period, e.g. 2026-05-01.")],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, which does not belong to it.")],
    split: Annotated[
        typer.FileText | None,
        typer.Option("--split", metavar="FILE", help='[{"recipient": "T…", "ppm": 600000}, …]; - for a pipe.'),
    ] = None,
    fee_bps: Annotated[
        int | None, typer.Option("--fee-bps", min=0, max=10_000, metavar="N", help="Platform fee in basis points.")
    ] = None,
    track: Annotated[int | None, typer.Option("--track", min=0, metavar="ID", help="Show this track only.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Most lines shown.")] = 20,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Show what a period would have come to under another split or fee.

    What was paid for tracks and sold off the chain is divided anew, in memory, from the log; nothing is written. The
    split is that of all tracks and agreements for the whole period. Times without a zone are UTC.

    $ annals royalties what-if --fee-bps 300 --from 2026-05-01 --to 2026-06-01
    $ annals royalties what-if --split thirds.json --track 7 --from 2026-01-01 --to 2027-01-01 --json
    """
    if split is None and fee_bps is None:
        raise UnknownName("expected --split, --fee-bps or both: otherwise all stays as it was")
    period = shell.period(since, until)
    shares = split.read() if split is not None else None
    shell.use(stack)
    outcome = shell.run(books.what_if(shares, fee_bps, *period, track, errors))
    if as_json:
        shell.print_json(books.changes(outcome))
        return
    console.print(books.table_of(outcome, limit))
    rate = outcome.events / outcome.seconds if outcome.seconds else 0
    console.say(
        f"{outcome.payments:,} payments and sales divided anew; {outcome.events:,} events in {outcome.seconds:.1f} s "
        f"({rate:,.0f}/s). Nothing was changed."
    )

"""What the keepers of the books ask."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import reconciling, shell
from annals.shell import Commands, Json, StackName, console, errors

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Royalties and their books.")


@app.callback()
def _group() -> None:
    """A group, although it has one command so far."""


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
    outcome = shell.run(reconciling.reconcile(node, errors))
    if as_json:
        shell.print_json(reconciling.to_dict(outcome))
    else:
        for table in reconciling.tables(outcome):
            console.print(table)
            console.print()
        console.say(reconciling.told(outcome))
    shell.end(good=outcome.ok)

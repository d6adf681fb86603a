"""`annals dlq`: what was put aside."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import dlq, shell
from annals.shell import Commands, Json, StackName, Yes, console

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Messages and events that were put aside.")

Name = Annotated[str, typer.Argument(help="As `annals dlq ls` shows it, such as rewards/12.")]


@app.command("ls")
def list_them(
    names: Annotated[list[str] | None, typer.Argument(help="Services; all if none is named.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """List what was put aside. Exit code 1 if there is anything.

    $ annals dlq ls
    $ annals dlq ls rewards --json
    """
    shell.use(stack)
    found = shell.run(dlq.entries(names or []))
    if as_json:
        shell.print_json([entry.to_dict() for entry in found])
    else:
        console.print(dlq.table(found) if found else "Nothing is put aside.")
    shell.end(good=not found)


@app.command()
def show(name: Name, stack: StackName = None) -> None:
    """Print everything known about one entry, as JSON.

    $ annals dlq show rewards/12
    """
    shell.use(stack)
    shell.print_json(shell.run(dlq.show(name)))


@app.command()
def retry(name: Name, stack: StackName = None) -> None:
    """Try an entry again, and those behind it.

    $ annals dlq retry rewards.pool_status/pool/listening
    """
    shell.use(stack)
    console.print(shell.run(dlq.retry(name)), highlight=False)


@app.command()
def discard(
    name: Name,
    why: Annotated[str, typer.Option(help="The reason; it stays on record.")],
    yes: Yes = False,
    stack: StackName = None,
) -> None:
    """Give an entry up for good; those behind it go on.

    $ annals dlq discard rewards/12 --why "sent twice by a test of ours"
    """
    shell.use(stack)
    shell.ask(f"Discard {name} for ever?", yes)
    console.print(shell.run(dlq.discard(name, why)), highlight=False)

"""`annals dlq`: what was put aside."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from annals import dlq, shell
from annals.dlq import Behind, Chosen, Outcome
from annals.shell import Commands, Json, Operator, StackName, Yes, console
from annals.terminal import plain_table, shortened

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Messages and events that were put aside.")

Name = Annotated[str, typer.Argument(help="As `annals dlq ls` shows it, such as rewards/12.")]
Names = Annotated[list[str] | None, typer.Argument(help="Services, or service.projection; all if none is named.")]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="Only of this key.")]


class Why(StrEnum):
    """Why something was put aside."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    FAILED = "failed"
    WAITING = "waiting"


Reason = Annotated[
    Why | None, typer.Option(metavar="REASON", help="Only for this reason: malformed, unknown, failed, waiting.")
]


@app.command("ls")
def list_them(
    names: Names = None,
    key: Key = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Most entries of each service or projection.")] = 1000,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """List what was put aside, oldest first, and how many stand behind each. Exit code 1 if there is anything.

    $ annals dlq ls
    $ annals dlq ls rewards --reason failed --json
    """
    shell.use(stack)
    found = shell.run(dlq.entries(Chosen(names or (), key, reason), limit))
    if as_json:
        shell.print_json([entry.to_dict() for entry in found])
    for line in [] if as_json else dlq.lines(found) if found else ["Nothing is put aside."]:
        console.print(line, soft_wrap=True)
    shell.end(good=not found)


@app.command()
def show(
    name: Name,
    behind: Annotated[bool, typer.Option("--behind", help="List what stands behind it instead.")] = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Print everything known about one entry, as JSON; or what will follow it, in order.

    $ annals dlq show rewards/12
    $ annals dlq show rewards.pool_status/pool/listening --behind
    """
    shell.use(stack)
    if not behind:
        fields = shell.run(dlq.show(name))
        shell.print_json(fields if as_json else {name: _shortened(value) for name, value in fields.items()})
        return
    found = shell.run(dlq.behind(name))
    if as_json:
        shell.print_json([asdict(one) for one in found])
    else:
        console.print(_followers(found) if found else "Nothing stands behind it.")


@app.command()
def retry(
    name: Annotated[str | None, typer.Argument(help="As `annals dlq ls` shows it; or a service with --all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All entries, of NAME if it is given.")] = False,
    key: Key = None,
    reason: Reason = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Try an entry again, and those behind it; or all that the options choose. Exit code 1 if an event fails again.

    $ annals dlq retry rewards.pool_status/pool/listening
    $ annals dlq retry --all rewards --reason failed
    """
    if name is None and not everything:
        raise typer.BadParameter("expected the name of an entry, or --all")
    if not everything and (key or reason):
        raise typer.BadParameter("--key and --reason go with --all")
    shell.use(stack)
    if everything:
        _tell(shell.run(dlq.retry_all(Chosen([name] if name else (), key, reason))), as_json)
    elif name is not None:
        _tell([shell.run(dlq.retry(name))], as_json)


@app.command()
def discard(
    name: Name,
    why: Annotated[str, typer.Option(help="The reason; it stays on record in the log.")],
    by: Operator,
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Give an entry up for good; those behind it go on. The decision is an event of the service's log.

    $ annals dlq discard rewards/12 --why "sent twice by a test of ours"
    """
    if not why.strip() or not by.strip():
        raise typer.BadParameter("--why and --by: expected a text")
    shell.use(stack)
    shell.ask(f"Discard {name} for ever?", yes)
    _tell([shell.run(dlq.discard(name, why=why, by=by))], as_json)


def _tell(outcomes: list[Outcome], as_json: bool) -> None:
    if as_json:
        shell.print_json([asdict(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            console.say(f"{outcome.name}: {outcome.text}")
        if not outcomes:
            console.print("Nothing is put aside.")
    shell.end(good=all(outcome.good for outcome in outcomes))


def _shortened(value: Any) -> Any:
    return shortened(value) if isinstance(value, str) else value


def _followers(found: list[Behind]) -> Table:
    table = plain_table("", "type", "id", "since")
    for one in found:
        table.add_row(one.what, one.type, one.id, f"{one.since:%Y-%m-%d %H:%M:%S} UTC")
    return table

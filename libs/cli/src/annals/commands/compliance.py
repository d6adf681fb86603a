"""What is asked of compliance by whoever moves in, and by its officers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from annals import due, importing, shell
from annals.errors import Exit
from annals.shell import Commands, Json, StackName, console, errors

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Records of the system before, and requests that are due.")
SHOWN = 10


@app.command()
def queue(
    due_in: Annotated[
        float | None, typer.Option("--due-in", min=0, metavar="DAYS", help="Only what is due until then, or overdue.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most requests shown.")] = 50,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Show the open requests of data subjects, of all kinds: overdue first, then what is due next.

    $ annals compliance queue
    $ annals compliance queue --due-in 7 --json
    """
    shell.use(stack)
    now = datetime.now(UTC)
    found = shell.run(due.requests(now, None if due_in is None else now + timedelta(days=due_in), limit))
    if as_json:
        shell.print_json(found)
        return
    console.print(due.table(found, now))


@app.command("import")
def import_(
    source_dir: Annotated[
        Path,
        typer.Option("--source-dir", metavar="DIR", exists=True, file_okay=False, help="Where the files are."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Find out what would become of it; write nothing.")
    ] = False,
    errors_to: Annotated[
        Path | None, typer.Option("--errors", metavar="FILE", help="Where each bad line is named, as JSON Lines.")
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Take over acceptances (*.jsonl) and audit logs (SQLite) of the system before.

    Facts keep the time at which they happened. A bad line is left out and named; all good ones go in. What is on
    record already is recognised, so an interrupted import is simply repeated. Only what is needed is taken over: fields
    such as IP addresses are left behind and counted. Exit code 1 if any line was bad.

    $ annals compliance import --source-dir ~/.dcmx --dry-run
    $ annals compliance import --source-dir ~/.dcmx --errors bad.jsonl
    """
    shell.use(stack)
    found = shell.run(importing.bring_in(source_dir, errors, dry_run=dry_run))
    if errors_to is not None:
        errors_to.write_text(importing.report(found))
    if as_json:
        shell.print_json({"dry_run": dry_run, **importing.to_dict(found)})
    else:
        for table in importing.tables(found, SHOWN):
            console.print(table)
            console.print()
        console.say(
            f"{found.lines:,} lines of {found.files:,} files: {found.new:,} {'would be' if dry_run else 'are'} new, "
            f"{found.known:,} known, {len(found.bad):,} bad."
        )
    if found.bad:
        raise typer.Exit(Exit.WRONG)

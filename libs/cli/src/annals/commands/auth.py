"""Who may call what."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from annals import shell
from annals.services import find, installed
from annals.shell import Commands, Json, console
from service.access import ROLES

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Who may call what.")


@app.callback()
def _group() -> None:
    """A group, although it has one command so far."""


@app.command()
def routes(
    service: Annotated[str | None, typer.Option(help="Of this service only.")] = None, as_json: Json = False
) -> None:
    """List every route with the roles that it admits, as its code declares them; no server is asked.

    `own`: one's own records only. `purpose`: those of others, for a purpose (Annals-Purpose) that is put on record.

    $ annals auth routes --service rewards
    $ annals auth routes --json
    """
    services = [find(service)] if service is not None else list(installed().values())
    found = {one.name: shell.run(one.access()) for one in services}
    if as_json:
        shell.print_json(
            [{"service": name, **asdict(access)} for name, accesses in found.items() for access in accesses]
        )
        return
    for name, accesses in found.items():
        table = Table("method", Column("path", no_wrap=True), *ROLES, title=name)
        for access in accesses:
            table.add_row(access.method, access.path, *map(access.of, ROLES))
        console.print(table)

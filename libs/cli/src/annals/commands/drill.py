"""`annals drill`: disasters for practice."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import shell
from annals.shell import Json, console, errors

app = typer.Typer(cls=shell.Commands, no_args_is_help=True, help="Disasters for practice, on servers of their own.")


@app.command()
def restore(
    seconds: Annotated[float, typer.Option(min=1, help="Load before the disaster.")] = 60,
    service: Annotated[str, typer.Option(metavar="NAME", help="The service that it happens to.")] = "rewards",
    as_json: Json = False,
) -> None:
    """Destroy the database and the key store of a service under load, restore both, and measure RPO and RTO.

    Good are less than 15 minutes of data lost, less than 10 minutes until the service is ready, a log, topics and read
    models in which nothing is wrong, and a subject who stays erased. Nothing that runs is touched.

    $ annals drill restore
    $ annals drill restore --service royalties --seconds 10 --json
    """
    from annals.drill import rehearse  # it needs servers, which no other command does

    outcome = shell.run(rehearse(errors, seconds=seconds, service=service))
    if as_json:
        shell.print_json(outcome.to_dict())
    else:
        for sentence in outcome.sentences():
            console.say(sentence)
    shell.end(good=outcome.ok)

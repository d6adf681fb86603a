"""`annals console`."""

from __future__ import annotations

import typer

from annals import services, shell
from annals.errors import UnknownName
from annals.shell import StackName
from service.main import main as service_main


def console(stack: StackName = None) -> None:
    """Run the console in this process: what runs, what happened and why, in a browser; `annals up` starts it, too.

    $ annals console
    """
    shell.use(stack, needs=None)
    if (create := services.programs().get("console")) is None:
        raise UnknownName("the console is not installed here: expected the package annals-console")
    raise typer.Exit(service_main(create, ["run"]))

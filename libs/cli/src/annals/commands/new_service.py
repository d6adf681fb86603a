"""Begin a new service."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import shell
from annals.new_service import make
from annals.shell import Json
from local_stack.paths import checkout


def new_service(
    name: Annotated[str, typer.Argument(help="Name of the service: letters from a to z.")],
    as_json: Json = False,
) -> None:
    """Add a service to this checkout: the smallest whole one, with its tests, and entered wherever services are listed.

    It welcomes each subject once. Go on from there: docs/adding-a-service.md says how.

    $ annals new-service demo
    """
    made = make(name, checkout())
    if as_json:
        shell.print_json({"name": name, "written": made.written, "changed": made.changed, "next": made.next})
        return
    for what, files in (("Written", made.written), ("Changed", made.changed)):
        shell.console.say(f"{what}:\n" + "".join(f"  {file}\n" for file in files))
    shell.console.say("Next:\n" + "\n".join(f"  {command}" for command in made.next))

"""What SREs do to a log."""

from __future__ import annotations

from typing import Annotated

import typer

from annals import recovery, shell
from annals.shell import Json, StackName, Yes, console, errors

app = typer.Typer(cls=shell.Commands, no_args_is_help=True, help="The log of a service.")


@app.command()
def recover(
    service: Annotated[str, typer.Argument(help="Name of the service, such as rewards.")],
    from_topic: Annotated[bool, typer.Option("--from-topic", help="From the copy on Kafka, SERVICE.log.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Write back what a log that was restored from a backup, or lost, lacks of what was published.

    Stop the service first. The log stays closed until it is up to date; a run that was killed goes on when it is
    repeated. A log that has other events than were published is refused, with the first position that differs.

    $ annals log recover rewards --from-topic
    $ annals log recover rewards --from-topic --yes --json
    """
    if not from_topic:
        raise typer.BadParameter("expected --from-topic, the only source there is")
    shell.use(stack)
    shell.ask(f"Write the published events that the log of {service} lacks back into it?", yes)
    outcome = shell.run(recovery.recover(service, errors))
    if as_json:
        shell.print_json(outcome.to_dict())
    else:
        console.say(outcome.sentence())
    shell.end(good=not outcome.ahead)

"""What SREs do to a log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from annals import archives, recovery, shell
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


@app.command()
def archive(
    service: Annotated[str, typer.Argument(help="Name of the service, such as rewards.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A new file.")],
    upto: Annotated[
        int | None, typer.Option("--upto", min=1, metavar="SEAL", help="Not more than this seal stands for.")
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Write what is sealed of a log to one compressed file of JSON lines, each segment held against its seal.

    The log stays as it is. `annals verify --archive` checks the file; `annals log attach` makes a log of it again.

    $ annals log archive rewards --output rewards.jsonl.gz
    $ annals log archive rewards --output rewards-2026.jsonl.gz --upto 412
    """
    shell.use(stack)
    written = shell.run(archives.write(service, output, upto))
    sentence = (
        f"{output}: {written.events:,} events of {service} up to position {written.last_position:,}, under "
        f"{written.seals:,} seals, the last one {written.last_hash.hex()}"
    )
    shell.say(sentence, as_json, **asdict(written))


@app.command()
def attach(
    service: Annotated[str, typer.Argument(help="Name of the service, such as rewards.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Of `annals log archive`.")],
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Write into a log what an archive has behind the log's end: all of it or nothing.

    Stop the service first, and bring the log up to date from Kafka afterwards (`annals log recover`). A log that went
    on differently is refused.

    $ annals log attach rewards rewards.jsonl.gz
    """
    shell.use(stack)
    shell.ask(f"Write the events of {file} that the log of {service} lacks into it?", yes)
    events = shell.run(archives.attach(service, file))
    shell.say(f"{service}: {events:,} events written", as_json, service=service, events=events)

"""What an auditor asks: who did what, and the proof of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from annals import shell
from annals import trail as trails
from annals.shell import Commands, Json, StackName, console, errors
from annals.terminal import plain_table

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Who did what, in all services, and the proof of it.")

Actor = Annotated[str | None, typer.Option("--actor", metavar="ID", help="Who did it.")]
Subject = Annotated[str | None, typer.Option("--subject", metavar="ID", help="To whom or what.")]
Action = Annotated[str | None, typer.Option("--action", metavar="NAME", help="What: the type of the event.")]
Service = Annotated[str | None, typer.Option("--service", metavar="NAME", help="Where.")]
Since = Annotated[datetime | None, typer.Option("--from", metavar="TIME", help="Not before; UTC without a zone.")]
Until = Annotated[datetime | None, typer.Option("--to", metavar="TIME", help="Before; UTC without a zone.")]


@app.command()
def search(
    actor: Actor = None,
    subject: Subject = None,
    action: Action = None,
    service: Service = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most entries shown.")] = 50,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Show who did what, newest first.

    $ annals trail search --actor u-17 --from 2026-05-01
    $ annals trail search --service rewards --action RulePublished --json
    """
    shell.use(stack)
    found = _found(limit, actor, subject, action, service, since, until)
    if as_json:
        shell.print_json(found)
        return
    table = plain_table()
    for column in ("at", "service", "actor", "action", "subject", "stream"):
        table.add_column(column, overflow="fold")
    for entry in found:
        shown = (entry[name] or "" for name in ("service", "actor", "action", "subject", "stream"))
        table.add_row(f"{entry['at']:%Y-%m-%d %H:%M:%S}", *shown)
    console.print(table)


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the JSON Lines go.")],
    actor: Actor = None,
    subject: Subject = None,
    action: Action = None,
    service: Service = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most entries, the newest.")] = 10_000,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Write entries with the proofs that they are in the logs, for somebody who has nothing but hashes of seals.

    Each comes with its event as it is stored. What is not sealed yet, of the last minute, is left out.

    $ annals trail export --subject u-17 --output u-17.jsonl
    """
    shell.use(stack)
    found = _found(limit, actor, subject, action, service, since, until)
    made = shell.run(trails.export(found))
    output.write_text("".join(shell.json_line(line) + "\n" for line in made.lines))
    left_out = f"; {made.unsealed:,} are not sealed yet and left out" if made.unsealed else ""
    sentence = f"{output}: {made.entries:,} entries with their proofs{left_out}"
    shell.say(sentence, as_json, entries=made.entries, unsealed=made.unsealed)
    if len(found) == limit:
        errors.say(f"There may be more than these {limit:,}: see --limit, --from and --to.")


@app.command()
def verify(
    file: Annotated[typer.FileText, typer.Argument(metavar="FILE", help="Of `annals trail export`; - for a pipe.")],
    root: Annotated[
        list[str] | None, typer.Option("--root", metavar="HASH", help="Of a seal that you trust, one for each service.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that entries are what the logs say; nothing is asked of anybody.

    $ annals trail verify u-17.jsonl --root 5f0c…
    """
    try:
        trusted = [bytes.fromhex(one) for one in root or []]
    except ValueError:
        raise typer.BadParameter(f"--root: expected a hash in hexadecimal, got {root!r}") from None
    try:
        found = trails.verify(file.read(), trusted)
    except trails.InvalidTrail as error:
        shell.say(f"no proof: {error}", as_json, ok=False, problem=str(error))
        shell.end(good=False)
    good = found.trusted or not trusted
    sentence = f"{found.entries:,} entries are in the logs, by seals that you trust"
    if not found.trusted:
        hashes = ", ".join(f"{name} {seal}" for name, seal in found.last_hashes.items())
        sentence = f"{found.entries:,} entries are in the logs, if these are the hashes of seals: {hashes}"
    shell.say(sentence, as_json, ok=good, entries=found.entries, trusted=found.trusted, hashes=found.last_hashes)
    shell.end(good)


def _found(limit: int, *wanted: str | datetime | None) -> list[dict[str, Any]]:
    names = ("actor", "subject", "action", "service", "since", "until")
    aware = [one.replace(tzinfo=one.tzinfo or UTC) if isinstance(one, datetime) else one for one in wanted]
    return shell.run(trails.entries(limit, **dict(zip(names, aware, strict=True))))

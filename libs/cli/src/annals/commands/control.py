"""What SREs say to projections and rebuilds at work, and what they throw away."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from annals import maintenance, shell
from annals.maintenance import MOST_A_SECOND
from annals.shell import Json, Operator, StackName, Yes

Projection = Annotated[str, typer.Argument(help="service.projection, such as rewards.pool_status")]
OfRebuild = Annotated[bool, typer.Option("--rebuild", help="Its running rebuild, not the live rows.")]


def pause(
    projection: Projection,
    by: Operator,
    why: Annotated[str | None, typer.Option(help="The reason, shown to whoever waits.")] = None,
    rebuild: OfRebuild = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Let a projection stand still in every instance, within a second; or its rebuild, after the batch at hand.

    Queries go on. A read that waits for a write of its own is answered with 503 and the reason.

    $ annals pause rewards.pool_status --why "the disk is being moved"
    $ annals pause rewards.pool_status --rebuild
    """
    shell.use(stack)
    shell.run(maintenance.pause(projection, by=by, why=why, rebuild=rebuild))
    option = " --rebuild" if rebuild else ""
    sentence = f"{_what(projection, rebuild)} is paused; `annals resume {projection}{option}` lets it go on."
    shell.say(sentence, as_json, projection=projection, rebuild=rebuild, paused=True, by=by, why=why)


def resume(projection: Projection, rebuild: OfRebuild = False, as_json: Json = False, stack: StackName = None) -> None:
    """Let a paused projection, or its rebuild, go on where it stopped.

    $ annals resume rewards.pool_status
    """
    shell.use(stack)
    shell.run(maintenance.resume(projection, rebuild=rebuild))
    sentence = f"{_what(projection, rebuild)} goes on."
    shell.say(sentence, as_json, projection=projection, rebuild=rebuild, paused=False)


def throttle(
    projection: Projection,
    rate: Annotated[str, typer.Option(help="Most events a second, or none for no limit.")],
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Change the speed of a running rebuild.

    $ annals throttle rewards.pool_status --rate 2000
    $ annals throttle rewards.pool_status --rate none
    """
    shell.use(stack)
    limit = _rate(rate)
    shell.run(maintenance.throttle(projection, limit))
    speed = "without a limit" if limit is None else f"at {limit:,} events a second"
    shell.say(f"The rebuild of {projection} goes on {speed}.", as_json, projection=projection, rate=limit)


def drop(
    projection: Projection,
    as_of: Annotated[str | None, typer.Option(metavar="LABEL", help="Of a replay to a point; `all` for all.")] = None,
    old: Annotated[bool, typer.Option("--old", help="The rows before the last swap; no rollback after that.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Drop the rows of replays to a point, or those kept for a rollback. Live rows are never dropped.

    $ annals drop rewards.pool_status --as-of 1234
    $ annals drop rewards.pool_status --old --yes
    """
    if (as_of is None) is not old:
        raise typer.BadParameter("expected either --as-of LABEL or --old")
    shell.use(stack)
    shell.ask(f"Drop {'the former rows' if old else f'as of {as_of}'} of {projection} for ever?", yes)
    dropped = list(shell.run(maintenance.drop(projection, None if as_of == "all" else as_of, old=old)))
    shell.say("\n".join(f"{schema} is gone." for schema in dropped), as_json, projection=projection, dropped=dropped)


def clear(
    service: Annotated[str, typer.Argument(help="A service that stands still, such as rewards.")],
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Throw away all read models of a service, outside production; it makes them anew from its log when it starts.

    The log stays, and so does how far the service has read its topics: else messages would take effect twice. The rows
    kept for a rollback go, too.

    $ annals clear rewards
    $ annals clear rewards --yes --json
    """
    shell.use(stack)
    shell.ask(f"Throw away all read models of {service}? No query is answered until it has made them anew.", yes)
    cleared = shell.run(maintenance.clear(service))
    sentence = (
        f"{service}: {', '.join(cleared)}: gone, and made anew at the next start." if cleared else "Nothing was there."
    )
    shell.say(sentence, as_json, service=service, cleared=cleared)


def _what(projection: str, rebuild: bool) -> str:
    return f"The rebuild of {projection}" if rebuild else projection


def _rate(text: str) -> int | None:
    if text == "none":
        return None
    if re.fullmatch("[0-9]{1,10}", text) and 0 < (rate := int(text)) <= MOST_A_SECOND:
        return rate
    raise typer.BadParameter(f"--rate: expected a whole number from 1 to {MOST_A_SECOND:,}, or `none`, found {text!r}")

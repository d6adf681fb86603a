"""`annals status` and `annals health`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from annals import health as examining
from annals import shell
from annals import status as work
from annals.shell import Json, StackName, console
from annals.status import ServiceStatus
from annals.terminal import plain_table


def status(
    names: Annotated[list[str] | None, typer.Argument(metavar="SERVICE", help="All if none is named.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.5, metavar="SECONDS", help="How often --watch looks.")] = 2.0,
    late: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Lag from which on something is wrong.")] = 60.0,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Show services: log, projections, consumers, relays, and what is wrong.

    Exit code 1 when something is: a server is down, a service is not ready, something is put aside, late, or led by
    nobody. With --watch and --json each look is one line.

    $ annals status
    $ annals status rewards --watch --every 1
    $ annals status --json | jq '.[] | select(.ok | not) | .problems'
    """
    shell.use(stack)
    if watch:
        _watch(names or (), late, every, as_json)
    report = shell.run(work.collect(late, names or ()))
    if as_json:
        shell.print_json([service.to_dict() for service in report])
    else:
        console.print(_shown(report))
    shell.end(good=all(service.ok for service in report))


def health(
    names: Annotated[list[str] | None, typer.Argument(metavar="SERVICE", help="All if none is named.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Ask PostgreSQL, Kafka, the nodes of the chain and every service's /health and /ready whether all is well.

    Exit code 1 when a check fails. It takes a few seconds at most, whatever is down. How far everything is, and what
    was put aside, `annals status` says.

    $ annals health
    $ annals health rewards --json
    """
    shell.use(stack)
    report = shell.run(examining.examine(names or ()))
    if as_json:
        shell.print_json([service.to_dict() for service in report])
    else:
        for service in report:
            state = ("well", "green") if service.ok else ("not well", "red")
            checks = len(service.from_here) + len(service.by_itself)
            console.print(Text.assemble((f"{service.name:<12}", "bold"), state, (f"  {checks} checks", "dim")))
            for text in service.problems:
                console.print(_problem(text))
    shell.end(good=all(service.ok for service in report))


def _watch(names: Sequence[str], late: float, every: float, as_json: bool) -> None:
    """Until Ctrl-C."""
    with shell.until_interrupted():
        if as_json:
            while True:
                shell.print_line([service.to_dict() for service in shell.run(work.collect(late, names))])
                time.sleep(every)
        with Live(console=console, auto_refresh=False) as live:
            while True:
                report = shell.run(work.collect(late, names))
                now = Text(f"{datetime.now(UTC):%H:%M:%S} UTC, every {every:g} s, Ctrl-C ends", style="dim")
                live.update(Group(_shown(report), now), refresh=True)
                time.sleep(every)


def _shown(report: Sequence[ServiceStatus]) -> RenderableType:
    """A block for each service: how it is, what reads and writes, what is wrong."""
    blocks: list[RenderableType] = []
    for service in report:
        blocks += [_title(service), _table(service), *(_problem(text) for text in service.problems), Text()]
    return Group(*blocks[:-1])


def _title(service: ServiceStatus) -> Text:
    state = ("ready", "green") if service.ready else ("not ready", "red")
    title = Text.assemble((service.name, "bold"), "  ", state)
    if (log := service.log) is not None:
        title.append(f"  log at {log.position:,}, {log.bytes / 1_048_576:,.1f} MiB")
        title.append(f", sealed to {log.sealed_position:,}" if log.sealed_position else "", style="dim")
    return title


def _problem(text: str) -> Text:
    return Text(f"  ! {text}", style="red")


def _table(service: ServiceStatus) -> Table:
    table = plain_table(header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("", min_width=12, no_wrap=True)
    table.add_column("", min_width=25, no_wrap=True)
    for name, width in (("position", 8), ("behind", 6), ("seconds", 7)):
        table.add_column(name, justify="right", min_width=width)
    table.add_column("", style="dim")
    for p in service.projections:
        remarks = [f"slowest of {p.partitions} partitions"] if p.partitions > 1 else []
        remarks += [f"{p.parked_events:,} put aside"] if p.parked_events else []
        remark = ", ".join(remarks)
        table.add_row("  projection", f"{p.name} v{p.version}", *_lag(p.position, p.lag_events, p.lag_seconds), remark)
    for c in service.consumers:
        remark = f"{c.partitions} partitions"
        remark += f", slowest: {c.slowest_partition}" if c.slowest_partition is not None else ""
        remark += f", {c.put_aside:,} put aside" if c.put_aside else ""
        table.add_row("  consumer", c.topic, *_lag(None, c.lag_messages, c.lag_seconds), remark)
    for r in service.relays:
        remark = f"led by {r.leader}" if r.leader else "no leader"
        remark += f", {len(r.standing_by)} standing by" if r.standing_by else ""
        table.add_row("  relay", f"{r.name}.relay", *_lag(r.position, r.lag_events, r.lag_seconds), remark)
    return table


def _lag(position: int | None, count: int | None, seconds: float | None) -> tuple[str, str, str]:
    at, behind = ("" if number is None else f"{number:,}" for number in (position, count))
    return at, behind, "" if seconds is None else f"{seconds:.1f}"

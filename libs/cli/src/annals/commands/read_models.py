"""What SREs do to read models."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from annals import kafka_audit, maintenance, services, shell
from annals.maintenance import MOST_A_SECOND, Point
from annals.shell import Json, StackName, Yes, console, errors


class By(StrEnum):
    """Two times of an event."""

    RECORDED = "recorded"
    OCCURRED = "occurred"


def rebuild(
    projection: Annotated[str, typer.Argument(help="service.projection, such as rewards.pool_status")],
    compare: Annotated[bool, typer.Option("--compare", help="Compare the rows before the swap.")] = False,
    rate: Annotated[
        int | None, typer.Option(min=1, max=MOST_A_SECOND, help="Most events a second, to spare live traffic.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was stopped; same handlers only.")] = False,
    key: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Only the rows of this partition key.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="TIME", help="Replay to this time, beside the live.")] = None,
    as_of_position: Annotated[int | None, typer.Option(min=0, help="Replay to this position.")] = None,
    by: Annotated[By, typer.Option(help="Which time --as-of means: when the log learnt it, or when it happened.")] = (
        By.RECORDED
    ),
    label: Annotated[str | None, typer.Option(help="Ends the name of the schema of a replay to a point.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Build a read model anew from the log, beside the live one, and swap them; or only a part of it, or up to a point.

    Ctrl-C leaves the live rows as they are; --resume goes on. With --key the rows of single keys are exchanged in one
    transaction. With --as-of the live rows are not touched: the schema with the rows of then is named.

    $ annals rebuild rewards.pool_status --compare --rate 5000
    $ annals rebuild rewards.pool_status --key pool/listening
    $ annals rebuild rewards.pool_status --as-of 2026-03-01T00:00:00Z
    """
    if sum((bool(key), as_of is not None, as_of_position is not None)) > 1:
        raise typer.BadParameter("expected one of --key, --as-of and --as-of-position")
    point = _point(as_of, as_of_position, by)
    _only("a whole rebuild", not key and point is None, compare=compare, resume=resume, workers=workers > 1)
    _only("--as-of and --as-of-position", point is not None, label=label is not None)
    _only("--as-of", as_of is not None, by=by is By.OCCURRED)
    if label == "all":
        raise typer.BadParameter("--label all: expected another word, for `annals drop --as-of all` drops all")
    shell.use(stack)
    if key:
        _rebuild_keys(projection, key, rate, as_json)
    if point is not None:
        _replay(projection, point, label, rate, as_json)
    work = maintenance.rebuild(projection, compare=compare, rate=rate, resume=resume, workers=workers, console=errors)
    try:
        outcome = shell.run(work)
    except KeyboardInterrupt:
        errors.say(f"Stopped; the live rows serve on. `annals rebuild {projection} --resume` goes on.")
        raise
    if as_json:
        shell.print_json(outcome.to_dict())
    else:
        console.say(outcome.sentence())
    shell.end(good=outcome.equal is not False)


def _rebuild_keys(projection: str, keys: list[str], rate: int | None, as_json: bool) -> NoReturn:
    done = shell.run(maintenance.rebuild_keys(projection, keys, rate=rate, console=errors))
    if as_json:
        shell.print_json({"projection": projection, "keys": keys, **asdict(done)})
    else:
        console.say(f"{projection}: {len(keys)} keys, {done.events:,} events")
        for table in done.tables:
            rows = f"{table.rows_before:,} rows before, {table.rows:,} now, {table.differing:,} differed"
            console.say(f"  {table.table}: {rows}")
        for key in done.parked:
            console.say(f"  key {key} is parked: an event of it failed (annals dlq ls)")
    shell.end(good=not done.parked)


def _replay(projection: str, point: Point, label: str | None, rate: int | None, as_json: bool) -> NoReturn:
    found = shell.run(maintenance.as_of(projection, point, label=label, rate=rate, console=errors))
    dropped_by = f"annals drop {projection} --as-of {found.label}"
    if as_json:
        shell.print_json({"projection": projection, **asdict(found), "dropped_by": dropped_by})
    else:
        what = f"{found.events:,} events in {found.seconds:.1f} s"
        console.say(f"{projection} as of position {found.position:,}: {what}")
        for table, rows in found.tables.items():
            console.say(f"  {found.schema}.{table}: {rows:,} rows")
        if found.parked_keys:
            console.say(f"  {found.parked_keys:,} keys stop at an event that fails")
        console.say(f"Nothing else reads or feeds it. `{dropped_by}` drops it.")
    shell.end(good=True)


def _only(where: str, is_there: bool, **given: bool) -> None:
    """Refuses options that would have no effect."""
    if not is_there and (wrong := [f"--{name}" for name, is_given in given.items() if is_given]):
        raise typer.BadParameter(f"{', '.join(wrong)}: expected with {where} only")


def _point(as_of: str | None, position: int | None, by: By) -> Point | None:
    if as_of is None:
        return None if position is None else Point(position=position)
    try:
        time = datetime.fromisoformat(as_of)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise typer.BadParameter(f"--as-of: expected a time with its zone like 2026-03-01T00:00:00Z, found {as_of!r}")
    return Point(recorded=time) if by is By.RECORDED else Point(occurred=time)


def rollback(
    projection: Annotated[str, typer.Argument(help="service.projection, such as rewards.pool_status")],
    yes: Yes = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Swap a rebuilt read model back for the one before; it catches up by itself.

    $ annals rollback rewards.pool_status
    """
    shell.use(stack)
    shell.ask(f"Serve the former rows of {projection} again?", yes)
    shell.run(maintenance.rollback(projection))
    shell.say(f"{projection}: the former rows serve again.", as_json, projection=projection, rolled_back=True)


def audit(
    name: Annotated[str, typer.Argument(help="A service, or service.projection.")],
    projection: Annotated[list[str] | None, typer.Option(help="Only this projection; may be repeated.")] = None,
    topic: Annotated[bool, typer.Option("--topic", help="Compare the log with the service's Kafka topics.")] = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Compute read models anew beside the live ones and say what differs; or hold Kafka against the log.

    Exit code 1 when a row differs, is missing or surplus. Keys that are parked are computed up to where they stand.

    $ annals audit rewards
    $ annals audit rewards --projection pool_status --json
    $ annals audit rewards --topic
    """
    _only("a service, and without --topic", not topic and "." not in name, projection=bool(projection))
    shell.use(stack)
    if topic:
        _audit_topics(name, as_json)
    comparisons = shell.run(maintenance.audit(name, projection or [], console=errors))
    if as_json:
        shell.print_json([maintenance.comparison_dict(one) for one in comparisons])
    else:
        for comparison in comparisons:
            console.say(str(comparison))
    shell.end(good=all(comparison.equal for comparison in comparisons))


def _audit_topics(name: str, as_json: bool) -> NoReturn:
    reports = shell.run(kafka_audit.inspect([services.find(name)], errors))
    if as_json:
        shell.print_json([asdict(report) | {"ok": report.ok} for report in reports])
    else:
        console.print(kafka_audit.table(reports))
    shell.end(good=all(report.ok for report in reports))

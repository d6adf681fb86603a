"""What SREs do to read models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, NoReturn

import typer

from annals import kafka_audit, maintenance, services, shell
from annals.shell import Json, StackName, Yes, console, errors


def rebuild(
    projection: Annotated[str, typer.Argument(help="service.projection, such as rewards.pool_status")],
    compare: Annotated[bool, typer.Option("--compare", help="Compare the rows before the swap.")] = False,
    rate: Annotated[float | None, typer.Option(min=1, help="Most events a second, to spare live traffic.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Build a read model anew from the log, beside the live one, and swap them.

    $ annals rebuild rewards.pool_status --compare
    $ annals rebuild rewards.pool_status --rate 5000
    """
    shell.use(stack)
    outcome = shell.run(maintenance.rebuild(projection, compare=compare, rate=rate, console=errors))
    if as_json:
        shell.print_json(outcome.to_dict())
    else:
        console.print(outcome.sentence())
    shell.end(good=outcome.equal is not False)


def rollback(
    projection: Annotated[str, typer.Argument(help="service.projection")],
    yes: Yes = False,
    stack: StackName = None,
) -> None:
    """Swap a rebuilt read model back for the one before; it catches up by itself.

    $ annals rollback rewards.pool_status
    """
    shell.use(stack)
    shell.ask(f"Serve the former rows of {projection} again?", yes)
    shell.run(maintenance.rollback(projection))
    console.print(f"{projection}: the former rows serve again.")


def audit(
    name: Annotated[str, typer.Argument(help="A service, or service.projection.")],
    topic: Annotated[bool, typer.Option("--topic", help="Compare the log with the service's Kafka topics.")] = False,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Compute read models anew beside the live ones and say what differs; or hold Kafka against the log.

    $ annals audit rewards
    $ annals audit rewards.pool_status --json
    $ annals audit rewards --topic
    """
    shell.use(stack)
    if topic:
        _audit_topics(name, as_json)
    comparisons = shell.run(maintenance.audit(name, console=errors))
    if as_json:
        shell.print_json([maintenance.comparison_dict(one) for one in comparisons])
    else:
        for comparison in comparisons:
            console.print(str(comparison), highlight=False)
    shell.end(good=all(comparison.equal for comparison in comparisons))


def _audit_topics(name: str, as_json: bool) -> NoReturn:
    reports = shell.run(kafka_audit.inspect([services.find(name)], errors))
    if as_json:
        shell.print_json([asdict(report) | {"ok": report.ok} for report in reports])
    else:
        console.print(kafka_audit.table(reports))
    shell.end(good=all(report.ok for report in reports))

"""`annals status`."""

from __future__ import annotations

from annals import shell
from annals import status as work
from annals.shell import Json, StackName, console


def status(as_json: Json = False, stack: StackName = None) -> None:
    """Every service, its log, its projections and how far they are, what is put aside.

    $ annals status
    $ annals status --json | jq '.[] | select(.ok | not)'
    """
    shell.use(stack)
    report = shell.run(work.collect())
    if as_json:
        shell.print_json([service.to_dict() for service in report])
    else:
        console.print(work.table(report))
    shell.end(good=all(service.ok for service in report))

"""What SREs do with the service that reads the chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from annals import certificates, shell
from annals.shell import Commands, Json, StackName, console, errors

app = typer.Typer(cls=Commands, no_args_is_help=True, help="What was read from the chain.")


@app.callback()
def group() -> None:
    """Keeps `audit` a subcommand while it is the only one."""


@app.command()
def audit(
    first: Annotated[int, typer.Option("--from", min=0, metavar="BLOCK", help="The first block to compare.")] = 0,
    last: Annotated[
        int | None, typer.Option("--to", min=0, metavar="BLOCK", help="The last one (default: the last in the log).")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="PROVIDER", help="One of CHAIN_NODES (default: the index of the first)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the certificate here as well.")
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Compare the log with a second source, log by log, and print a certificate. Exit code 1 at the first difference.

    The second source is another provider, or another interface of the same node. `annals verify --certificate` holds
    the certificate against the log at any later time.

    $ annals chain audit
    $ annals chain audit --from 1000 --to 2000 --against backup --output audit.json
    """
    shell.use(stack)
    outcome = shell.run(certificates.audit(first, last, against, errors))
    certificate = outcome.certificate
    if certificate is not None and output is not None:
        output.write_text(certificate.to_json() + "\n")
    if as_json:
        shell.print_json({"ok": outcome.ok, "problem": outcome.problem, "certificate": _plain(certificate)})
    elif certificate is None:
        console.print(outcome.problem, highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(told(certificate), highlight=False, markup=False, soft_wrap=True)
    shell.end(good=outcome.ok)


def told(certificate: Any) -> str:
    """What a certificate says, a line for the whole and one for each contract."""
    lines = [
        f"blocks {certificate.first} to {certificate.last}: {sum(certificate.logs.values()):,} logs, "
        f"the same as {certificate.second_source} has, root {certificate.root}"
    ]
    lines += [f"  {name}: {count:,}" for name, count in certificate.logs.items()]
    return "\n".join(lines)


def _plain(certificate: Any) -> Any:
    return None if certificate is None else json.loads(certificate.to_json())

"""What SREs do with the service that reads the chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from annals import certificates, shell, watching
from annals.shell import Commands, Json, StackName, console, errors

app = typer.Typer(cls=Commands, no_args_is_help=True, help="What is read from the chain.")
AbiFile = Annotated[
    typer.FileText,
    typer.Option("--abi", metavar="FILE", help="The compiler's JSON, an artefact, or a node's answer; - for a pipe."),
]


@app.command()
def add(
    address: Annotated[str, typer.Argument(help="Of the contract, T….")],
    abi: AbiFile,
    name: Annotated[
        str | None, typer.Option("--name", help="What it is called here: a-z, 0-9, - (default: its address).")
    ] = None,
    past_from: Annotated[
        int | None,
        typer.Option("--from", min=0, metavar="BLOCK", help="Read what it logged from this block on, too."),
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Watch a further contract, while the service runs.

    Its logs are recorded from the next block on. With --from those before are read beside the live stream, which does
    not stop; `annals chain status` shows how far that is. Its events are told on the topic chain.events. Asking again
    changes nothing.

    $ annals chain add TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t --abi usdt.json --name usdt
    $ annals chain add TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t --abi usdt.json --name usdt --from 60000000 --json
    """
    shell.use(stack)
    added = shell.run(watching.add(address, abi.read(), name, past_from))
    past = "" if added.past_from is None else f", and read from block {added.past_from:,} on"
    what = f"{added.contract} ({added.address}) is watched from the next block on{past}: {_events(added.events)}"
    if not added.new:
        what = f"{added.contract} ({added.address}) was added before; nothing has changed"
    _warn(added.warnings)
    shell.say(what, as_json, **asdict(added))


@app.command()
def abi(
    contract: Annotated[str, typer.Argument(help="Its name or address.")],
    abi: AbiFile,
    first: Annotated[
        int, typer.Option("--from", min=0, metavar="BLOCK", help="The first block whose logs it is for.")
    ] = 0,
    last: Annotated[
        int | None, typer.Option("--to", min=0, metavar="BLOCK", help="The last one (default: without end).")
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Give a watched contract a further ABI: of a proxy's implementation, of an upgrade.

    It reads the logs that come. Earlier ones that were kept raw and that it can decode are decoded now; what was
    decoded stays as it is.

    $ annals chain abi usdt --abi implementation.json
    $ annals chain abi usdt --abi v2.json --from 61000000
    """
    shell.use(stack)
    registered = shell.run(watching.register(contract, abi.read(), first, last))
    blocks = f"from block {first:,} on" if last is None else f"for blocks {first:,} to {last:,}"
    what = f"{registered.contract} has another ABI {blocks}: {_events(registered.events)}"
    if not registered.new:
        what = f"{registered.contract} had this ABI before; nothing has changed"
    _warn(registered.warnings)
    shell.say(what, as_json, **asdict(registered))


@app.command()
def status(as_json: Json = False, stack: StackName = None) -> None:
    """Show the contracts that are watched, since when, and how far their past was read.

    $ annals chain status
    $ annals chain status --json | jq '.[].backfill.seconds_left'
    """
    shell.use(stack)
    contracts = shell.run(watching.status())
    if as_json:
        shell.print_json([asdict(contract) for contract in contracts])
    else:
        for contract in contracts:
            console.print(_watched(contract), highlight=False, markup=False, soft_wrap=True)


def _watched(contract: Any) -> str:
    """A contract in a line."""
    since = "from the next block on" if contract.since is None else f"from block {contract.since:,} on"
    line = f"{contract.contract} ({contract.address}): watched {since}"
    if (past := contract.backfill) is not None:
        line += f"; its past from block {past.first_block:,}"
        left = "" if past.seconds_left is None else f", about {timedelta(seconds=round(past.seconds_left))} to go"
        line += " is read" if past.done else f": {past.blocks_left:,} blocks are left{left}"
    if contract.waits and contract.since is not None:
        line += "; a further ABI reads from the next block on"
    if contract.logs_to_decode:
        line += f"; {contract.logs_to_decode:,} raw logs are being decoded"
    return line


def _events(signatures: Sequence[str]) -> str:
    return f"{len(signatures)} events, {', '.join(signatures[:5])}{', …' if len(signatures) > 5 else ''}"


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        errors.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def producers(
    blocks: Annotated[int, typer.Option("--blocks", min=1, max=100_000, metavar="N", help="How many blocks.")] = 1_000,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Show whose keys have signed the newest solidified blocks: what CHAIN_PRODUCERS may name.

    Hold them against the elected ones before you name them: one node tells. Producers come and go by votes every six
    hours; a block by one that is not named is not recorded, and /ready of the chain service says whose it is.

    $ annals chain producers
    $ annals chain producers --blocks 20000 --json | jq -r 'keys | join(",")'
    """
    shell.use(stack)
    signed: dict[str, int] = shell.run(watching.producers(blocks, errors))
    if as_json:
        shell.print_json(signed)
    else:
        for address, count in signed.items():
            console.print(f"{address} {count:8,} blocks", highlight=False, markup=False)


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
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"--output: expected a file in a folder that is there, got {output}")
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

"""`annals devnet`: what only a network of one's own can do: blocks on demand, faults, load, saved chains."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.table import Table
from rich.text import Text

from annals import shell
from annals.errors import UnknownName
from annals.shell import Commands, Json, StackName, Yes, console
from annals.terminal import plain_table

LOOK_SECONDS = 0.5
LONGEST_CALL_SECONDS = 120.0

app = typer.Typer(cls=Commands, invoke_without_command=True)

Url = Annotated[
    str | None,
    typer.Option(envvar="ANNALS_TRON_URL", metavar="URL", help="Address of a devnet (default: the running stack's)."),
]
Face = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of the face at URL/face/NAME only; * means of every face.")
]
Name = Annotated[str, typer.Argument(help="Name of a saved chain.")]


class DevnetRefused(Exception):
    """The devnet says why it does not do what it was asked."""


@app.callback()
def devnet(context: typer.Context, as_json: Json = False, url: Url = None, stack: StackName = None) -> None:
    """Show a devnet's heights, interval and faults; or make it do what no real network does when asked.

    $ annals devnet
    $ annals devnet mine --blocks 20
    $ annals devnet reorg 17
    $ annals devnet fault rate-limit form=403 --path 'wallet/*' --probability 0.3 --seed 7
    $ annals devnet load 100000 && annals devnet save big
    """
    if context.invoked_subcommand is not None:
        return
    with _connected(url, stack) as client:
        status, faults = _get(client, "status"), _get(client, "faults")
    if as_json:
        shell.print_json({**status, "faults": faults})
        return
    _say_status(status)
    if faults:
        console.print(_table(faults))


@app.command()
def mine(
    blocks: Annotated[int, typer.Option(min=1, help="How many; 18 on top of a block solidify it.")] = 1,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Make blocks at once; the first holds what is pending.

    $ annals devnet mine --blocks 20
    """
    with _connected(url, stack) as client:
        _tell(_post(client, "mine", blocks=blocks), as_json)


@app.command(name="block-time")
def block_time(
    seconds: Annotated[str, typer.Argument(help="Seconds between blocks, or none: on demand only.")],
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Change the interval between blocks.

    $ annals devnet block-time 0.5
    $ annals devnet block-time none
    """
    value = None if seconds == "none" else _value(seconds)
    with _connected(url, stack) as client:
        _tell(_post(client, "block-time", seconds=value), as_json)


@app.command()
def reorg(
    depth: Annotated[int, typer.Argument(min=1, help="How many of the newest blocks are replaced.")] = 1,
    drop: Annotated[bool, typer.Option("--drop", help="Lose their transactions.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Solidified blocks too: a client must sound an alarm.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Replace the newest blocks by one more, on another branch.

    $ annals devnet reorg 3
    $ annals devnet reorg 17 --drop
    $ annals devnet reorg 20 --force
    """
    with _connected(url, stack) as client:
        _tell(_post(client, "reorg", depth=depth, transactions="drop" if drop else "keep", force=force), as_json)


@app.command()
def advance(
    seconds: Annotated[int, typer.Argument(min=1, help="How far.")],
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Move the chain's clock forward; transactions timed by the real clock stay valid.

    $ annals devnet advance 86400
    """
    with _connected(url, stack) as client:
        _tell(_post(client, "time", advance=seconds), as_json)


@app.command()
def faucet(
    address: Annotated[str, typer.Argument(help="Who gets it, in base58.")],
    sun: Annotated[int, typer.Argument(min=1, help="How much, in sun: a millionth of a TRX.")] = 1_000_000_000,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Send TRX to an account, which is created if it is new.

    $ annals devnet faucet TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD
    """
    with _connected(url, stack) as client:
        sent = _post(client, "faucet", address=address, amount=sun)
    shell.say(f"{sun:,} sun on their way in transaction {sent['txid']}.", as_json, **sent)


@app.command()
def fault(
    kind: Annotated[str, typer.Argument(help="What goes wrong; `annals devnet faults --kinds` lists them.")],
    options: Annotated[list[str] | None, typer.Argument(metavar="OPTION=VALUE", help="Options of the kind.")] = None,
    path: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these; jsonrpc/eth_getLogs too.")] = None,
    face: Face = None,
    probability: Annotated[float, typer.Option(min=0, max=1, help="How often it strikes.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the chance: the same strikes again.")] = 0,
    skip: Annotated[int, typer.Option(min=0, help="So many requests go well first.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="It ends after so many strikes.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="It ends after so long.")] = None,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Let something go wrong, for all requests or for some.

    $ annals devnet fault lag blocks=5 --face b
    $ annals devnet fault lie form=short --path 'walletsolidity/gettransactioninfobyblocknum' --count 3
    $ annals devnet fault hang hold=20 after=true --path wallet/broadcasttransaction --probability 0.1 --seed 7
    $ annals devnet fault rate-limit per_second=10 form=429 --seconds 60
    """
    form = {
        "kind": kind, "paths": path, "face": face, "probability": probability, "seed": seed, "skip": skip,
        "count": count, "seconds": seconds,
        **dict(_option(option) for option in options or []),
    }  # fmt: skip
    with _connected(url, stack) as client:
        made = _post(client, "faults", **form)
    ends = f"`annals devnet clear {made['id']}` ends it"
    shell.say(f"Fault {made['id']}: {_what(made)} on {_where(made)}; {ends}.", as_json, **made)


@app.command()
def faults(
    kinds: Annotated[bool, typer.Option("--kinds", help="What there can be, instead of what there is.")] = False,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """List the faults and how often each has struck.

    $ annals devnet faults
    $ annals devnet faults --kinds
    """
    with _connected(url, stack) as client:
        found = _get(client, "faults/kinds" if kinds else "faults")
    if as_json:
        shell.print_json(found)
    elif kinds:
        for name, one in found.items():
            options = " ".join(one["options"])
            console.print(Text.assemble((name, "bold"), "  ", (options, "cyan"), "\n  ", (one["does"], "dim")))
    else:
        console.print(_table(found) if found else "There are no faults.")


@app.command()
def clear(
    identity: Annotated[int | None, typer.Argument(metavar="ID", help="A fault; all if none is named.")] = None,
    face: Face = None,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """End faults: one, those of a face, or all; what they hold goes on.

    $ annals devnet clear
    $ annals devnet clear 3
    $ annals devnet clear --face b
    """
    params = {name: value for name, value in (("id", identity), ("face", face)) if value is not None}
    with _connected(url, stack) as client:
        gone = _read(client.delete("devnet/faults", params=params))
    shell.say(f"{len(gone)} cleared.", as_json, cleared=gone)


@app.command()
def load(
    transactions: Annotated[int, typer.Argument(min=1, help="How many.")],
    per_second: Annotated[float | None, typer.Option(min=0.1, help="How fast (default: as fast as can be).")] = None,
    block_transactions: Annotated[
        int | None, typer.Option(min=1, help="A block for every so many (default: 200, unless it is paced).")
    ] = None,
    calls: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help='JSON: [{"from", "to", "data", "value"}, …].')
    ] = None,
    as_json: Json = False,
    url: Url = None,
    stack: StackName = None,
) -> None:
    """Send transactions made inside the network: transfers, or contract calls from a file, round and round.

    $ annals devnet load 100000
    $ annals devnet load 18000 --per-second 300 --calls calls.json
    """
    form = {"transactions": transactions, "per_second": per_second, "block_transactions": block_transactions}
    given = {name: value for name, value in form.items() if value is not None}
    if calls is not None:
        given["calls"] = _calls(calls)
    with _connected(url, stack) as client, console.status("sending", spinner="line") as shown:
        progress = _post(client, "load", **given)
        while progress["running"]:
            time.sleep(LOOK_SECONDS)
            progress = _get(client, "load")
            shown.update(f"{progress['sent']:,} of {transactions:,} sent")
    rate = progress["sent"] / progress["seconds"] if progress["seconds"] else 0.0
    sentence = f"{progress['sent']:,} sent, {rate:,.0f} a second; {progress['failed']:,} failed"
    refused = f"; {progress['refused']:,} refused: {progress['refusal']}" if progress["refused"] else ""
    shell.say(f"{sentence}{refused}.", as_json, **progress)
    shell.end(not progress["refused"])


@app.command()
def saved(as_json: Json = False, url: Url = None, stack: StackName = None) -> None:
    """List the saved chains.

    $ annals devnet saved
    """
    with _connected(url, stack) as client:
        found = _get(client, "saved")
    if as_json:
        shell.print_json(found)
        return
    for one in found:
        console.print(f"{one['name']}  {one['bytes']:,} bytes")
    if not found:
        console.print("No chain is saved.")


@app.command()
def save(name: Name, as_json: Json = False, url: Url = None, stack: StackName = None) -> None:
    """Save the chain as it stands, over one of the same name.

    $ annals devnet save big
    """
    with _connected(url, stack) as client:
        made = _post(client, "save", name=name)
    shell.say(f"Saved as {name}: {made['head']:,} blocks, {made['bytes']:,} bytes.", as_json, **made)


@app.command()
def restore(name: Name, yes: Yes = False, as_json: Json = False, url: Url = None, stack: StackName = None) -> None:
    """Put a saved chain in the place of the one that runs, which is lost.

    $ annals devnet restore big --yes
    """
    shell.ask("The chain that runs is lost. Restore?", yes)
    with _connected(url, stack) as client:
        _tell(_post(client, "restore", name=name), as_json)


# ---- talking to it --------------------------------------------------------------------------------------------------


def _connected(url: str | None, stack: str | None) -> httpx.Client:
    if url is None:
        shell.use(stack, needs="TRON_URL")
        url = os.environ["ANNALS_TRON_URL"]
    return httpx.Client(base_url=url, timeout=LONGEST_CALL_SECONDS)


def _get(client: httpx.Client, call: str) -> Any:
    return _read(client.get(f"devnet/{call}"))


def _post(client: httpx.Client, call: str, /, **params: Any) -> Any:
    return _read(client.post(f"devnet/{call}", json=params))


def _read(answer: httpx.Response) -> Any:
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise DevnetRefused(answer.json()["detail"])
    if answer.status_code != httpx.codes.OK:
        raise DevnetRefused(f"{answer.url} is no devnet: it answers HTTP {answer.status_code}")
    return answer.json()


# ---- showing --------------------------------------------------------------------------------------------------------


def _tell(status: dict[str, Any], as_json: bool) -> None:
    if as_json:
        shell.print_json(status)
    else:
        _say_status(status)


def _say_status(status: dict[str, Any]) -> None:
    interval = f"a block every {status['block_time']:g} s" if status["block_time"] else "blocks on demand"
    heights = f"head {status['head']:,}, solidified {status['solid']:,}, {status['pending']:,} pending"
    console.print(f"{heights}; {interval}.")


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UnknownName(f"expected OPTION=VALUE, such as blocks=3, got {text!r}")
    return name, _value(value)


def _calls(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--calls") from error


def _value(text: str) -> Any:
    """A number or a truth value where it is one, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _what(fault: dict[str, Any]) -> str:
    options = " ".join(f"{name}={value}" for name, value in fault["options"].items())
    return f"{fault['kind']} {options}".strip()


def _where(fault: dict[str, Any]) -> str:
    face = {"": "", "*": " of every face"}.get(fault["face"], f" of face {fault['face']}")
    return f"{', '.join(fault['paths'])}{face}"


def _table(faults: list[dict[str, Any]]) -> Table:
    table = plain_table(padding=(0, 1))
    for column in ("id", "fault", "where", "when"):
        table.add_column(column)
    table.add_column("struck", justify="right")
    for fault in faults:
        when = [f"{fault['probability']:.0%}, seed {fault['seed']}"] if fault["probability"] < 1 else []
        when += [f"after {fault['skip']}"] if fault["skip"] else []
        when += [f"{fault['count']} times"] if fault["count"] else []
        when += [f"for {fault['seconds']:g} s"] if fault["seconds"] else []
        when += ["ended"] if fault["ended"] else []
        struck = f"{fault['struck']:,} of {fault['matched']:,}"
        table.add_row(str(fault["id"]), _what(fault), _where(fault), ", ".join(when) or "always", struck)
    return table

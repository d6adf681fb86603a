"""Start, stop, and run: a local stack, and single services."""

from __future__ import annotations

import asyncio
import shlex
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from annals import seed as seeding
from annals import services, shell
from annals.directory import CHOSEN, Directory, directory
from annals.errors import NothingRuns
from annals.shell import Json, StackName, console, errors
from local_stack.display import display
from local_stack.process import LocalStackError
from local_stack.stack import Stack, running
from service.main import main as service_main
from service.tokens import mint

LOOK_SECONDS = 0.5
ANCHOR_SECONDS = 60
STOP_SECONDS = 60
READY = "The stack is ready to use."

Name = Annotated[str, typer.Option(metavar="NAME", envvar=CHOSEN, help="Name of the stack; several run side by side.")]


def demo(
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Leave it running at the end.")] = False,
    transactions: Annotated[int, typer.Option(min=500, help="About how many transactions to send.")] = 5_000,
) -> None:
    """Start a stack, send thousands of real transactions through it, show what came of them.

    $ annals demo
    $ annals demo --keep --transactions 1000
    """
    from annals.demo.play import play  # it needs the devnet and the contracts, which no other command does

    raise typer.Exit(shell.run(play(Console(), keep=keep, transactions=transactions)))


def up(
    name: Name = "local",
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay here until Ctrl-C.")] = False,
    block_seconds: Annotated[float, typer.Option(min=0.05, help="Seconds between the devnet's blocks.")] = 1.0,
    gateway: Annotated[bool, typer.Option("--gateway", help="With nginx as one door before all services.")] = False,
    instances: Annotated[int, typer.Option(min=1, max=9, help="Processes of each service.")] = 1,
    as_json: Json = False,
) -> None:
    """Start PostgreSQL, Kafka, a TRON devnet with the contracts, and all services.

    $ annals up
    $ annals up --name second --block-seconds 0.5
    $ annals up --gateway --instances 2
    """
    options = {"block_seconds": block_seconds, "gateway": gateway, "instances": instances}
    if foreground:
        shell.run(_serve(name, options))
        return
    if (found := directory(name)) is None:
        found = _in_background(name, options)
    if as_json:
        shell.print_json({"name": found.name, "urls": found.urls, "gateway": found.gateway})
    else:
        _say_where(found)


def down(name: Name = "local", as_json: Json = False) -> None:
    """Stop a stack that `up` started.

    $ annals down
    $ annals down --name second
    """
    runs = running(name) is not None
    if runs:
        command = [sys.executable, "-m", "local_stack", "down", "--name", name]
        stopped = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if stopped.returncode:
            raise typer.Exit(stopped.returncode)
    sentence = f"Stopped the stack `{name}`." if runs else f"No stack `{name}` is running."
    shell.say(sentence, as_json, name=name, stopped=runs)


def run(
    service: Annotated[str, typer.Argument(help="Name of the service, such as rewards.")],
    stack: StackName = None,
) -> None:
    """Run one service in this process: its HTTP API and its workers.

    $ annals run rewards
    """
    shell.use(stack, needs=None)
    raise typer.Exit(service_main(services.find(service).create, ["run"]))


def migrate(
    names: Annotated[list[str] | None, typer.Argument(help="Services; all if none is named.")] = None,
    stack: StackName = None,
) -> None:
    """Bring the databases of services to the newest schema, as their owners.

    $ annals migrate rewards royalties
    """
    shell.use(stack, needs=None)
    for service in services.chosen(names):
        if code := service_main(service.create, ["migrate"]):
            raise typer.Exit(code)


def validate(
    names: Annotated[list[str] | None, typer.Argument(help="Services; all if none is named.")] = None,
    stack: StackName = None,
) -> None:
    """Ask all that services need: is every database migrated, does Kafka have the topics? Changes nothing.

    Exit code 1 when something fails.

    $ annals validate
    $ annals validate rewards
    """
    shell.use(stack, needs=None)
    failed = []
    for service in services.chosen(names):
        print(service.name, flush=True)
        if service_main(service.create, ["check"]):
            failed.append(service.name)
    shell.end(good=not failed)


def seed(as_json: Json = False, stack: StackName = None) -> None:
    """Bring demo data into a local stack: a document and who accepted it, agreements and sales, a day's listening.

    Once a day: what is there already is not recorded again.

    $ annals seed
    $ annals seed --stack second --json
    """
    recorded = shell.run(seeding.seed(_running(stack), datetime.now(UTC).date()))
    told = ", ".join(f"{service} {events:,}" for service, events in recorded.items() if events)
    shell.say(f"Events recorded: {told}." if told else "All of it is there already.", as_json, recorded=recorded)


def token(
    subject: Annotated[str, typer.Argument(help="Who it is for: an opaque id or an address.")],
    role: Annotated[list[str] | None, typer.Option(help="A role; may be given several times.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Print a bearer token that the services of the local stack accept for an hour.

    $ annals token alice --role user
    $ curl -H "Authorization: Bearer $(annals token root --role admin)" …
    """
    roles = role or ["user"]
    minted = mint(_running(stack).private_key, subject, roles)
    if as_json:
        shell.print_json({"subject": subject, "roles": roles, "token": minted})
    else:
        print(minted)


def env(as_json: Json = False, stack: StackName = None) -> None:
    """Print a local stack's environment as shell exports.

    $ eval "$(annals env)"
    """
    found = _running(stack)
    variables = {**found.environment, **{f"{name.upper()}_URL": url for name, url in found.urls.items()}}
    if as_json:
        shell.print_json(variables)
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def _running(stack: str | None) -> Directory:
    if (found := directory(stack)) is None:
        raise NothingRuns(stack)
    return found


async def _serve(name: str, options: dict[str, Any]) -> None:
    """Build the town and keep it until a signal, or until one of its processes ends by itself."""
    from annals.town import Town, anchoring  # they need the devnet and the contracts, which no other command does

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    built = Town(name, programs=services.programs(), settings=anchoring(ANCHOR_SECONDS), **options)
    stopping = asyncio.create_task(stop.wait())
    with display(console) as report:
        starting = asyncio.create_task(built.start(report))
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()  # which stops what was started
            await asyncio.wait({starting})
            raise KeyboardInterrupt
        starting.result()
    console.print(READY)
    try:
        while not stop.is_set():
            if problem := built.failed():
                raise LocalStackError(problem)
            await asyncio.wait({stopping}, timeout=LOOK_SECONDS)  # then it is time to look at the processes again
    finally:
        stopping.cancel()
        await built.stop()


def _in_background(name: str, options: dict[str, Any]) -> Directory:
    folder = Stack(name).folder  # refuses what cannot be a name
    folder.mkdir(exist_ok=True)
    log = folder / "stack.log"
    command = [sys.executable, "-m", "annals", "up", "--foreground", "--name", name]
    for option, value in options.items():
        flag = f"--{option.replace('_', '-')}"
        command += ([flag] if value else []) if isinstance(value, bool) else [flag, str(value)]
    with log.open("wb") as output:
        owner = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _until_ready(name, owner, log)
    except KeyboardInterrupt:
        owner.terminate()
        owner.wait(STOP_SECONDS)
        raise


def _until_ready(name: str, owner: subprocess.Popen[bytes], log: Path) -> Directory:
    """Shows what the owner of a stack says until it is ready. Raises LocalStackError when it ends instead."""
    shown = 0
    while (found := directory(name)) is None or READY not in log.read_text():
        lines = log.read_text().splitlines()
        for line in lines[shown:]:
            errors.say(line)
        shown = len(lines)
        if owner.poll() is not None:
            raise LocalStackError(f"the stack did not start; {log} says the rest")
        time.sleep(LOOK_SECONDS)
    return found


def _say_where(found: Directory) -> None:
    console.print(f"\nThe stack `{found.name}` runs.")
    for name, url in found.urls.items():
        console.print(f"  {name:<11} {url}" if name in services.programs() else f"  {name:<11} {url}/docs")
    if found.gateway is not None:
        console.print(f"  {'gateway':<11} {found.gateway}")
    down = "annals down" if found.name == "local" else f"annals down --name {found.name}"
    console.say(f"\nTry: annals status · annals token alice --role admin · {down}")

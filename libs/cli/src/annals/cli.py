"""The `annals` command: every subcommand with its arguments; the work is done in the modules beside this one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from annals import dlq, maintenance, services, status, town
from local_stack.display import display
from local_stack.paths import local
from local_stack.process import LocalStackError
from local_stack.stack import running
from projections import ProjectionError
from service.main import main as service_main
from service.tokens import mint

T = TypeVar("T")

app = typer.Typer(
    name="annals",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="""Event-sourced services over Kafka, with facts of a TRON chain as their root.

[bold]Examples[/bold]

  annals demo                              see the whole way, once, in a few minutes
  annals up && annals status               a stack of your own, and how it is
  annals rebuild rewards.pool_status       build a read model anew while the old one serves
  annals audit rewards                     prove that the read models are what the log says
  annals dlq ls                            what was put aside, and why
  annals token alice --role user           a token for the HTTP APIs of the local stack

Commands talk to the running local stack, or to wherever the environment points
(REWARDS_DATABASE_URL, ANNALS_KAFKA_BOOTSTRAP, …; see .env.example).
Exit codes: 0 good, 1 something is wrong, 2 wrong usage, 3 nothing is running.""",
)

dead_letters = typer.Typer(no_args_is_help=True, help="Messages and events that were put aside.")
app.add_typer(dead_letters, name="dlq")

console = Console()
errors = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
StackName = Annotated[str | None, typer.Option("--stack", help="Name of a local stack (default: the one that runs).")]


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Leave it running at the end.")] = False,
    transactions: Annotated[int, typer.Option(min=500, help="About how many transactions to send.")] = 5_000,
) -> None:
    """Start a stack, send thousands of real transactions through it, show what came of them."""
    from annals.demo.play import play  # it needs the devnet and the contracts, which no other command does

    raise typer.Exit(_run(play(console, keep=keep, transactions=transactions)))


@app.command()
def up(
    name: Annotated[str, typer.Option(help="Name of the stack; several run side by side.")] = "local",
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay here until Ctrl-C.")] = False,
    block_seconds: Annotated[float, typer.Option(min=0.05, help="Seconds between the devnet's blocks.")] = 1.0,
) -> None:
    """Start PostgreSQL, Kafka, a TRON devnet with the contracts, and all services."""
    if town.directory(name) is not None:
        console.print(f"The stack `{name}` is already running.")
        return
    if foreground:
        _run(_serve(name, block_seconds))
        return
    _in_background(name, block_seconds)


@app.command()
def down(name: Annotated[str, typer.Option(help="Name of the stack.")] = "local") -> None:
    """Stop a stack that `up` started."""
    if running(name) is None:
        console.print(f"No stack `{name}` is running.")
        return
    raise typer.Exit(
        subprocess.run([sys.executable, "-m", "local_stack", "down", "--name", name], check=False).returncode
    )


@app.command()
def run(
    service: Annotated[str, typer.Argument(help="Name of the service, such as rewards.")],
    stack: StackName = None,
) -> None:
    """Run one service in this process: its HTTP API and its workers."""
    _use(stack)
    raise typer.Exit(service_main(_found(service).create, ["run"]))


@app.command()
def migrate(
    names: Annotated[list[str] | None, typer.Argument(help="Services; all if none is named.")] = None,
    stack: StackName = None,
) -> None:
    """Bring the databases of services to the newest schema, as their owners."""
    _use(stack)
    for name in names or services.installed():
        if code := service_main(_found(name).create, ["migrate"]):
            raise typer.Exit(code)


@app.command("status")
def show_status(as_json: Json = False, stack: StackName = None) -> None:
    """Every service, its log, its projections and how far they are, what is put aside."""
    _use(stack, needed=True)
    report = _run(status.collect())
    if as_json:
        console.print_json(json.dumps([service.to_dict() for service in report]))
    else:
        console.print(status.table(report))
    if not all(service.ok for service in report):
        raise typer.Exit(1)


@app.command()
def rebuild(
    projection: Annotated[str, typer.Argument(help="service.projection, such as rewards.pool_status")],
    compare: Annotated[bool, typer.Option("--compare", help="Compare the rows before the swap.")] = False,
    rate: Annotated[float | None, typer.Option(min=1, help="Most events a second, to spare live traffic.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Build a read model anew from the log, beside the live one, and swap them."""
    _use(stack, needed=True)
    outcome = _run(maintenance.rebuild(projection, compare=compare, rate=rate, console=errors))
    if as_json:
        console.print_json(json.dumps(outcome.to_dict()))
    else:
        console.print(outcome.sentence())
    raise typer.Exit(0 if outcome.equal is not False else 1)


@app.command()
def rollback(
    projection: Annotated[str, typer.Argument(help="service.projection")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: StackName = None,
) -> None:
    """Swap a rebuilt read model back for the one before; it catches up by itself."""
    _use(stack, needed=True)
    if not yes:
        typer.confirm(f"Serve the former rows of {projection} again?", abort=True)
    _run(maintenance.rollback(projection))
    console.print(f"{projection}: the former rows serve again.")


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="A service, or service.projection.")],
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Compute read models anew beside the live ones and say what differs."""
    _use(stack, needed=True)
    comparisons = _run(maintenance.audit(name, console=errors))
    if as_json:
        console.print_json(json.dumps([maintenance.comparison_dict(one) for one in comparisons]))
    else:
        for comparison in comparisons:
            console.print(str(comparison), highlight=False)
    if not all(comparison.equal for comparison in comparisons):
        raise typer.Exit(1)


@app.command()
def token(
    subject: Annotated[str, typer.Argument(help="Who it is for: an opaque id or an address.")],
    role: Annotated[list[str] | None, typer.Option(help="A role; may be given several times.")] = None,
    stack: StackName = None,
) -> None:
    """Print a bearer token that the services of the local stack accept for an hour."""
    found = town.directory(stack)
    if found is None:
        _nothing_runs()
    console.print(mint(found.private_key, subject, role or ["user"]), soft_wrap=True, highlight=False)


@app.command()
def env(stack: StackName = None) -> None:
    """Print a local stack's environment as shell exports: eval "$(annals env)"."""
    found = town.directory(stack)
    if found is None:
        _nothing_runs()
    for name, value in {**found.environment, **{f"{n.upper()}_URL": url for n, url in found.urls.items()}}.items():
        print(f"export {name}='{value}'")


@dead_letters.command("ls")
def list_dead_letters(
    names: Annotated[list[str] | None, typer.Argument(help="Services; all if none is named.")] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """List what was put aside. Exit code 1 if there is anything."""
    _use(stack, needed=True)
    found = _run(dlq.entries(names or []))
    if as_json:
        console.print_json(json.dumps([entry.to_dict() for entry in found]))
    else:
        console.print(dlq.table(found) if found else "Nothing is put aside.")
    raise typer.Exit(1 if found else 0)


@dead_letters.command("show")
def show_dead_letter(
    name: Annotated[str, typer.Argument(help="As `annals dlq ls` shows it, such as rewards/12.")],
    stack: StackName = None,
) -> None:
    """Print everything known about one entry, as JSON."""
    _use(stack, needed=True)
    console.print_json(json.dumps(_run(dlq.show(name))))


@dead_letters.command("retry")
def retry_dead_letter(
    name: Annotated[str, typer.Argument(help="As `annals dlq ls` shows it.")], stack: StackName = None
) -> None:
    """Try an entry again, and those behind it."""
    _use(stack, needed=True)
    console.print(_run(dlq.retry(name)), highlight=False)


@dead_letters.command("discard")
def discard_dead_letter(
    name: Annotated[str, typer.Argument(help="As `annals dlq ls` shows it.")],
    why: Annotated[str, typer.Option(help="The reason; it stays on record.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: StackName = None,
) -> None:
    """Give an entry up for good; those behind it go on."""
    _use(stack, needed=True)
    if not yes:
        typer.confirm(f"Discard {name} for ever?", abort=True)
    console.print(_run(dlq.discard(name, why)), highlight=False)


def main() -> None:
    """The entry point: errors that a reader can mend are one line, not a traceback."""
    try:
        app()
    except (LocalStackError, services.UnknownName, ProjectionError, LookupError) as error:
        errors.print(f"[red]error:[/] {error}", highlight=False)
        sys.exit(2 if isinstance(error, services.UnknownName) else 1)


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _found(name: str) -> services.Installed:
    return services.find(name)


def _use(stack: str | None, needed: bool = False) -> None:
    """Point this process at the running local stack, unless the environment points somewhere already."""
    found = town.directory(stack)
    if found is not None:
        for name, value in found.environment.items():
            os.environ.setdefault(name, value)
    elif stack is not None or (needed and not any(name.endswith("_DATABASE_URL") for name in os.environ)):
        _nothing_runs()


def _nothing_runs() -> NoReturn:
    errors.print("No local stack is running. `annals up` starts one, `annals demo --keep` leaves one.", highlight=False)
    raise typer.Exit(3)


async def _serve(name: str, block_seconds: float) -> None:
    """Build the town and keep it until a signal, or until one of its processes ends by itself."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    built = town.Town(name, block_seconds=block_seconds)
    with display(console) as report:
        await built.start(report)
    _say_where(built.directory)
    try:
        while not stop.is_set():
            if problem := built.failed():
                raise LocalStackError(problem)
            try:
                async with asyncio.timeout(0.5):
                    await stop.wait()
            except TimeoutError:
                continue  # time to look at the processes again
    finally:
        await built.stop()


def _in_background(name: str, block_seconds: float) -> None:
    folder = local() / name
    folder.mkdir(exist_ok=True)
    log = folder / "stack.log"
    command = [sys.executable, "-m", "annals", "up", "--foreground", "--name", name]
    with log.open("wb") as output:
        owner = subprocess.Popen(
            [*command, "--block-seconds", str(block_seconds)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    shown = 0
    while (found := town.directory(name)) is None or "ready to use" not in log.read_text():
        lines = log.read_text().splitlines()
        for line in lines[shown:]:
            console.print(line, highlight=False)
        shown = len(lines)
        if owner.poll() is not None:
            raise LocalStackError(f"the stack did not start; {log} says the rest")
        _run(asyncio.sleep(0.2))
    _say_where(found)


def _say_where(found: town.Directory) -> None:
    console.print(f"\nThe stack `{found.name}` is ready to use.")
    for name, url in found.urls.items():
        console.print(f"  {name:<11} {url}/docs")
    console.print("\nTry: annals status · annals token alice --role admin · annals down", highlight=False)

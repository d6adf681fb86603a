"""What every subcommand shares: consoles, options, and how work is run, told, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import inspect
import json
import logging
import os
import sys
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.text import Text
from typer.core import TyperGroup

from annals.directory import directory
from annals.errors import Declined, Exit, NobodyToAsk, NothingRuns, UnknownName, exit_code, sentence
from annals.terminal import Terminal

T = TypeVar("T")


RUN = "Run it"
OPERATE = "Operate"
INSPECT = "Inspect"
CONSUME = "Consume"
PANELS = (RUN, OPERATE, INSPECT, CONSUME)
"""The groups of `annals --help`, in their order."""


console = Terminal()
errors = Terminal(stderr=True)


def user() -> str:
    """The user of the operating system: the name, or the number where a container has no names."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Operator = Annotated[
    str,
    typer.Option(
        "--by",
        envvar="ANNALS_OPERATOR",
        default_factory=user,
        metavar="NAME",
        help="Who decides it, for the record (default: the user of the operating system).",
    ),
]
StackName = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="Name of a local stack (default: the one that runs).")
]


class Commands(TyperGroup):
    """A group of subcommands that end errors with one sentence and an exit code, never with a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the panels, then of their registration: as a reader meets them."""
        panels = {name: getattr(command, "rich_help_panel", None) for name, command in self.commands.items()}
        return sorted(panels, key=lambda name: PANELS.index(panels[name]) if panels[name] in PANELS else 0)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """With a help that reads well at any width."""
        if (command := super().get_command(ctx, cmd_name)) is not None:
            command.help = _flowing(command.help or "")
            _name_values(command, ctx)
        return command

    def get_help(self, ctx: Any) -> Any:
        _name_values(self, ctx)
        return super().get_help(ctx)

    def invoke(self, ctx: Any) -> Any:
        if ctx.parent is not None:
            return super().invoke(ctx)
        debug, as_json = ctx.params.get("debug"), "--json" in ctx.args
        if not debug:
            logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what goes wrong is said once, by us
        try:
            return super().invoke(ctx)
        except Exception as error:
            if debug:
                raise
            if (code := exit_code(error)) is not None:
                _fail(code, sentence(error), as_json)
            if as_json and hasattr(error, "format_message"):  # wrong usage; its text is printed for us
                print_json({"error": error.format_message(), "exit_code": Exit.USAGE})
            raise


def _fail(code: Exit, problem: str, as_json: bool) -> NoReturn:
    """Ends the command with a sentence, and for scripts with a document."""
    if as_json:
        print_json({"error": problem, "exit_code": code})
    errors.print(Text.assemble(("error:", "red"), " ", problem), soft_wrap=True)
    raise typer.Exit(code)


def _name_values(command: Any, ctx: Any) -> None:
    """Arguments in capitals, as in the texts; no word behind flags, for `bool` says nothing to a reader."""
    for parameter in command.get_params(ctx):
        if parameter.metavar is None and parameter.param_type_name == "argument":
            parameter.metavar = parameter.name.upper()
        elif parameter.metavar is None and getattr(parameter, "is_flag", False):
            parameter.metavar = ""


def _flowing(text: str) -> str:
    """Paragraphs in one line each; examples stay a line each."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(p if p.lstrip().startswith("$") else " ".join(p.split()) for p in paragraphs)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs the asynchronous part of a command to its end."""
    return asyncio.run(work)


def print_json(value: Any) -> None:
    """Prints a value as JSON, in colours on a terminal; times are RFC 3339, bytes hexadecimal."""
    console.print_json(json.dumps(value, default=_plain))


def say(sentence: str, as_json: bool, **facts: Any) -> None:
    """Prints what was done: a sentence, or its facts as JSON."""
    if as_json:
        print_json(facts)
    else:
        console.say(sentence)


def _plain(value: Any) -> str:
    """What JSON has no type for."""
    match value:
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)


def print_line(value: Any) -> None:
    """Prints a value as one line of JSON."""
    print(json_line(value), flush=True)


def json_line(value: Any) -> str:
    """A value as one line of JSON; times are RFC 3339, bytes hexadecimal."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """What follows forever ends quietly, and well, with Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(Exit.GOOD) from None


def ask(question: str, yes: bool) -> None:
    """Asks before something is destroyed, unless `--yes` was given. Raises Declined, or NobodyToAsk."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise NobodyToAsk(f"{question} Nobody can be asked, for this is no terminal: --yes says yes.")
    if not typer.confirm(question, err=True):
        raise Declined("nothing was done")


def period(since: str, until: str) -> tuple[datetime, datetime]:
    """The moments of --from and --to. Raises UnknownName unless they are times, the first before the second."""
    found = _moment("--from", since), _moment("--to", until)
    if found[0] >= found[1]:
        raise UnknownName(f"--to: expected later than --from, got {until}")
    return found


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UnknownName(f"{option}: expected a time such as 2026-05-01T12:00Z, got {text!r:.60}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def end(good: bool) -> NoReturn:
    """Ends the command: code 0, or 1 when something is wrong."""
    raise typer.Exit(Exit.GOOD if good else Exit.WRONG)


def use(stack: str | None, needs: str | None = "DATABASE_URL") -> None:
    """Points this process at the stack that is named; else at the servers that the environment names; else at the
    local stack that runs. The three are never mixed.

    Raises NothingRuns when the stack is not there, or when there is none and no variable of any service (such as
    REWARDS_DATABASE_URL) or of all of them (ANNALS_…) names what the command `needs`.
    """
    named = [name for name in os.environ if name.endswith(("_DATABASE_URL", "_KAFKA_BOOTSTRAP", "_TRON_URL"))]
    found = directory(stack) if stack is not None or not named else None
    if found is not None:
        os.environ.update(found.environment)
    elif stack is not None or (needs is not None and not any(name.endswith(f"_{needs}") for name in named)):
        raise NothingRuns(stack)

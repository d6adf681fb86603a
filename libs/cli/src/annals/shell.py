"""What every subcommand shares: consoles, options, exit codes, and how an error is told.

Exit codes, the only place where they are defined:

0  good
1  something is wrong: a check failed, rows differ, a service is down, an action was refused
2  wrong usage: an unknown name, a bad option
3  nothing is running, or a server does not answer
4  an error nobody foresaw; --debug shows where
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import inspect
import json
import logging
import os
from collections.abc import Coroutine, Iterator
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperGroup

from annals.errors import NothingRuns, UnknownName

T = TypeVar("T")


class Exit(IntEnum):
    """The exit codes, as the module's text says."""

    GOOD = 0
    WRONG = 1
    USAGE = 2
    UNREACHABLE = 3
    UNFORESEEN = 4


RUN = "Run it"
OPERATE = "Operate"
INSPECT = "Inspect"
CONSUME = "Consume"
PANELS = (RUN, OPERATE, INSPECT, CONSUME)
"""The groups of `annals --help`, in their order."""

OURS = ("annals", "contracts", "eventlog", "local_stack", "messaging", "projections", "service", "tron")
"""Packages whose exceptions are written for a reader: their message is the sentence to print."""

console = Console()
errors = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Operator = Annotated[
    str,
    typer.Option(
        "--by",
        envvar="ANNALS_OPERATOR",
        default_factory=getpass.getuser,
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
        if not ctx.find_root().params.get("debug"):
            logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what goes wrong is said once, by us
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.find_root().params.get("debug") or (code := exit_code(error)) is None:
                raise
            errors.print("[red]error:[/] ", end="")
            errors.print(sentence(error), markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(code) from error


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


def exit_code(error: Exception) -> Exit | None:
    """The exit code of an error; None for those that the command-line library itself ends the process with."""
    package = type(error).__module__.partition(".")[0]
    if package in ("typer", "click") or isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, UnknownName | ValidationError):  # pydantic's: a setting in the environment
        return Exit.USAGE
    if isinstance(error, NothingRuns | OSError) or package in ("asyncpg", "aiokafka", "httpx"):
        return Exit.UNREACHABLE  # TimeoutError is an OSError
    return Exit.WRONG if package in OURS or type(error) is LookupError else Exit.UNFORESEEN


def sentence(error: Exception) -> str:
    """What is printed of an error."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{error.title}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    text = str(error) or "no answer in time"
    match exit_code(error):
        case Exit.UNREACHABLE if not isinstance(error, NothingRuns):
            return f"a server does not answer: {type(error).__name__}: {text}"
        case Exit.UNFORESEEN:
            return f"unforeseen {type(error).__name__}: {text} (annals --debug … shows where)"
        case _:
            return text


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
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)


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
    print(json.dumps(value, default=_plain, ensure_ascii=False), flush=True)


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """What follows forever ends quietly, and well, with Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(Exit.GOOD) from None


def ask(question: str, yes: bool) -> None:
    """Asks before something is destroyed, unless `--yes` was given. Ends the command when the answer is no."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


def end(good: bool) -> NoReturn:
    """Ends the command: code 0, or 1 when something is wrong."""
    raise typer.Exit(Exit.GOOD if good else Exit.WRONG)


def use(stack: str | None, needs: str | None = "DATABASE_URL") -> None:
    """Points this process at the running local stack, unless the environment points somewhere already.

    Raises NothingRuns when a named stack is not there, or when there is none and no variable of any service (such as
    REWARDS_DATABASE_URL) or of all of them (ANNALS_…) names what the command `needs`.
    """
    from annals import town  # heavy, and not every command needs it

    found = town.directory(stack)
    if found is not None:
        for name, value in found.environment.items():
            os.environ.setdefault(name, value)
    elif stack is not None or (needs is not None and not any(name.endswith(f"_{needs}") for name in os.environ)):
        raise NothingRuns(stack)

"""The `annals` command: the list of its subcommands.

A subcommand is a function in a module of `annals.commands`: its name is the command's, its docstring the help, ending
with a paragraph of examples, one a line, each after `$`. It calls the modules beside this one, which do the work.
What all share (options, exit codes, errors) is in `shell.py`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from annals.commands import (
    auth,
    backup,
    chain,
    compliance,
    console,
    contracts,
    control,
    dead_letters,
    devnet,
    drill,
    log,
    new_service,
    proofs,
    read_models,
    rewards,
    royalties,
    stack,
    status,
    topics,
    trail,
)
from annals.shell import CONSUME, INSPECT, OPERATE, RUN, Commands

HELP = """
[bold]Event-sourced services over Kafka, with facts of a TRON chain as their root.[/]

$ annals demo                           the whole way, once, in a few minutes
$ annals up && annals status            a stack of your own, and how it is
$ annals rebuild rewards.pool_status    read models anew, while they serve
$ annals audit rewards                  are they what the log says?
$ annals tail rewards.events            messages as they come

Commands talk to the servers that the environment names
(REWARDS_DATABASE_URL, ANNALS_KAFKA_BOOTSTRAP, … see .env.example), else to
the local stack that runs; --stack names one of several.
"""
EPILOG = (
    "Exit codes: 0 good · 1 something is wrong · 2 wrong usage · 3 nothing runs, or a server does not answer · "
    "4 an error nobody foresaw · 130 Ctrl-C"
)

app = typer.Typer(
    name="annals",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help=HELP,
    epilog=EPILOG,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"annals {version('annals-cli')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", envvar="ANNALS_DEBUG", help="Show tracebacks.")] = False,
    version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


for panel, functions in {
    RUN: (
        stack.demo,
        stack.up,
        stack.down,
        stack.run,
        console.console,
        stack.migrate,
        stack.validate,
        stack.seed,
        stack.token,
        stack.env,
        new_service.new_service,
    ),
    OPERATE: (
        read_models.rebuild,
        read_models.rollback,
        control.pause,
        control.resume,
        control.throttle,
        control.drop,
        control.clear,
    ),
    INSPECT: (
        status.status,
        status.health,
        read_models.audit,
        proofs.verify,
        proofs.prove,
        proofs.verify_statement,
    ),
    CONSUME: (topics.tail,),
}.items():
    for function in functions:
        app.command(rich_help_panel=panel)(function)

app.add_typer(devnet.app, name="devnet", rich_help_panel=RUN)
app.add_typer(contracts.app, name="contracts", rich_help_panel=OPERATE)
app.add_typer(chain.app, name="chain", rich_help_panel=INSPECT)
app.add_typer(rewards.app, name="rewards", rich_help_panel=INSPECT)
app.add_typer(royalties.app, name="royalties", rich_help_panel=INSPECT)
app.add_typer(trail.app, name="trail", rich_help_panel=INSPECT)
app.add_typer(compliance.app, name="compliance", rich_help_panel=OPERATE)
app.add_typer(auth.app, name="auth", rich_help_panel=INSPECT)
app.add_typer(backup.app, name="backup", rich_help_panel=OPERATE)
app.command(rich_help_panel=OPERATE)(backup.restore)
app.add_typer(drill.app, name="drill", rich_help_panel=OPERATE)
app.add_typer(log.app, name="log", rich_help_panel=OPERATE)
app.add_typer(dead_letters.app, name="dlq", rich_help_panel=OPERATE)
app.add_typer(topics.app, name="topics", rich_help_panel=CONSUME)

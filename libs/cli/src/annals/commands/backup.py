"""`annals backup` and `annals restore`: of a whole PostgreSQL server, with everything that is in it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from annals import backup, shell
from annals.backup import BackupSettings, Server, Store
from annals.shell import Json, StackName, Yes, console

app = typer.Typer(cls=shell.Commands, no_args_is_help=True, help="Backups of the PostgreSQL servers.")

Name = Annotated[str | None, typer.Argument(metavar="BACKUP", help="A name of `annals backup list`; else the newest.")]


@app.command()
def run(stack: StackName = None) -> None:
    """Follow a server's write-ahead log and take a base backup whenever one is due, until Ctrl-C.

    All its settings are variables ANNALS_BACKUP_…; each server has a process, a store and a spool of its own. What is
    committed is encrypted in the store a few seconds later.

    $ annals backup run
    """
    settings = _settings(stack)
    with shell.until_interrupted():
        shell.run(backup.run(settings))


@app.command()
def create(as_json: Json = False, stack: StackName = None) -> None:
    """Take a base backup now, and read it to its end once.

    $ annals backup create
    """
    settings = _settings(stack)
    base = shell.run(backup.take(_server(settings), _store(settings)))
    keys = ", a key store in it" if base.has_keys else ""
    shell.say(f"{base.name}: {base.bytes / 1e6:,.1f} MB of PostgreSQL {base.version}{keys}", as_json, **asdict(base))


@app.command("list")
def list_(as_json: Json = False, stack: StackName = None) -> None:
    """List the base backups, the oldest first.

    $ annals backup list
    """
    bases = _store(_settings(stack)).bases()
    if as_json:
        shell.print_json([asdict(base) for base in bases])
        return
    for base in bases:
        age = datetime.now(UTC) - base.ended_at
        console.say(f"{base.name}  {base.bytes / 1e6:>9,.1f} MB  {age / timedelta(hours=1):>7,.1f} hours ago")


@app.command()
def verify(
    name: Name = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="HOST[:PORT]", help="A server that runs on what `annals restore` has made."),
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Restore a backup beside everything, start a server on it, and verify every log there; leaves nothing behind.

    Needs PostgreSQL's programs of the backup's major version here; where they are not, start such a server elsewhere
    and name it.

    $ annals backup verify
    $ annals backup verify 20261122T081200Z
    $ annals backup verify --on restored
    """
    if name is not None and on is not None:
        raise typer.BadParameter("expected a name or --on, found both: a server has what it was restored from")
    settings = _settings(stack)
    if on is None:
        found = shell.run(backup.verify(_store(settings), _server(settings).user, name))
    else:
        found = shell.run(backup.verify_restored(_server(settings).at(on)))
    if as_json:
        shell.print_json(found.to_dict())
    else:
        for sentence in found.sentences():
            console.say(sentence)
    shell.end(good=found.ok)


@app.command()
def prune(yes: Yes = False, as_json: Json = False, stack: StackName = None) -> None:
    """Delete backups that are older than ANNALS_BACKUP_KEEP_DAYS, as `backup run` does after each base backup.

    $ annals backup prune
    """
    settings = _settings(stack)
    shell.ask(f"Delete the backups in {settings.store} that are older than {settings.keep_days:g} days?", yes)
    pruned = _store(settings).prune(datetime.now(UTC), timedelta(days=settings.keep_days))
    sentence = f"{len(pruned.bases)} base backups and {pruned.segments:,} segments deleted"
    shell.say(sentence, as_json, **asdict(pruned))


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An empty data folder; its owner gets the files.")],
    name: Annotated[str | None, typer.Option("--backup", metavar="BACKUP", help="Not from the newest.")] = None,
    at: Annotated[
        datetime | None,
        typer.Option("--at", formats=["%Y-%m-%dT%H:%M:%S%z"], metavar="TIME", help="As it was then."),
    ] = None,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Make a data folder of a backup; the PostgreSQL that is started on it recovers all that was ever backed up.

    Key stores come first, then logs, then `annals log recover SERVICE --from-topic`, then the services.

    $ annals restore /var/lib/postgresql/16/main
    $ annals restore /var/lib/postgresql/16/main --at 2026-11-22T08:12:00+0000
    """
    restored = shell.run(backup.restore(_store(_settings(stack)), folder, name=name, at=at))
    sentence = (
        f"{folder}: the base backup {restored.base.name} and {restored.segments:,} segments behind it; "
        f"now start PostgreSQL {restored.base.version} on it"
    )
    shell.say(sentence, as_json, **restored.to_dict())


def _settings(stack: str | None) -> BackupSettings:
    shell.use(stack, needs=None)
    return BackupSettings()


def _server(settings: BackupSettings) -> Server:
    return Server(settings.url.get_secret_value())


def _store(settings: BackupSettings) -> Store:
    return Store(settings.store, settings.open_keks())

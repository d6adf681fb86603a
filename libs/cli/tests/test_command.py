"""The command where nothing runs: what it offers, what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from annals import errors, services, shell
from annals.cli import app
from projections import ProjectionError


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which no stack runs, and an environment that points nowhere."""
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.endswith("_DATABASE_URL")]:
        monkeypatch.delenv(name)
    return tmp_path


def every_command() -> Iterator[tuple[str, ...]]:
    """The words that call each command, those of groups included."""

    def below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from below(command, (*words, name))
            if not hasattr(command, "commands") or command.invoke_without_command:
                yield (*words, name)

    return below(typer.main.get_command(app), ())


EVERY = sorted(every_command())


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert [words[0] for words in EVERY if f" {words[0]} " not in shown.output] == []


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_shows_an_example_of_itself(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert f"$ annals {' '.join(words)}" in " ".join(shown.output.split()) or words == ("env",)


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_what_a_command_tells_it_tells_as_json(words: tuple[str, ...]) -> None:
    told_by_others = {"demo", "down", "run", "migrate"}  # the servers and services that they start or stop
    json_already = {"prove"}
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    assert ("--json" in shown) is (words[0] not in told_by_others | json_already)


@pytest.mark.parametrize(
    "words", [("rollback",), ("drop",), ("dlq", "discard"), ("log", "recover"), ("devnet", "restore")], ids=" ".join
)
def test_what_cannot_be_undone_asks_unless_it_is_told_not_to(words: tuple[str, ...]) -> None:
    assert "--yes" in CliRunner().invoke(app, [*words, "--help"]).output


def test_a_command_that_is_not_there_is_wrong_usage_and_near_ones_are_named() -> None:
    ended = CliRunner().invoke(app, ["rebuid"])
    assert ended.exit_code == 2
    assert "Did you mean 'rebuild'?" in ended.stderr


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (errors.UnknownName.among("no service", "rewrds", ["chain", "rewards"]), 2, "(did you mean rewards?)"),
        (ConnectionRefusedError("refused"), 3, "a server does not answer: ConnectionRefusedError: refused"),
        (TimeoutError(), 3, "no answer in time"),
        (ProjectionError("rows differ"), 1, "rows differ"),
        (LookupError("nothing is put aside under this name"), 1, "nothing is put aside under this name"),
        (KeyError("x"), 4, "unforeseen KeyError: 'x' (annals --debug … shows where)"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(
    error: Exception, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(shell, "use", fail)
    ended = CliRunner().invoke(app, ["status"])
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert ended.stderr.startswith("error: ")
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert isinstance(CliRunner().invoke(app, ["--debug", "status"]).exception, type(error))


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    "arguments",
    [["status", "--json"], ["rebuild", "rewards.pool_status"], ["audit", "rewards"], ["token", "alice"], ["env"]],
)
def test_without_a_stack_it_says_how_to_start_one(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 3
    assert "annals up" in ended.stderr
    assert ended.stdout == "" or json.loads(ended.stdout)["exit_code"] == 3


@pytest.mark.usefixtures("nowhere")
def test_down_without_a_stack_is_no_error() -> None:
    ended = CliRunner().invoke(app, ["down"])
    assert ended.exit_code == 0
    assert "No stack `local` is running." in ended.stdout


@pytest.mark.usefixtures("nowhere")
def test_a_service_that_is_not_installed_is_wrong_usage_and_those_there_are_are_named() -> None:
    command = [sys.executable, "-m", "annals", "run", "nobody"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "no service 'nobody'; there are:" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["rewards", "", "pool_status"])
def test_a_projection_without_its_service_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(errors.UnknownName, match=r"expected service\.projection, such as rewards\.pool_status"):
        services.find_projection(name)

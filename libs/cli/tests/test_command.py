"""The command where nothing runs: what it offers, what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner

from annals import directory, errors, services, shell
from annals.cli import app
from annals.directory import Directory
from local_stack.process import LocalStackError
from projections import ProjectionError


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which no stack runs, and an environment that points nowhere."""
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    for name in [name for name in os.environ if name == "ANNALS_STACK" or name.endswith("_DATABASE_URL")]:
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
    told_by_others = {
        ("demo",),
        ("run",),
        ("console",),
        ("migrate",),
        ("validate",),
        ("backup", "run"),
    }  # the servers and services that they start, stop or ask
    json_already = {("prove",)}
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    assert ("--json" in shown) is (words not in told_by_others | json_already)


LOSES = [("rollback",), ("drop",), ("dlq", "discard"), ("log", "recover"), ("log", "attach"), ("devnet", "restore")]
LOSES += [("clear",), ("contracts", "deploy"), ("backup", "prune")]


@pytest.mark.parametrize("words", LOSES, ids=" ".join)
def test_what_cannot_be_undone_asks_unless_it_is_told_not_to(words: tuple[str, ...]) -> None:
    assert "--yes" in CliRunner().invoke(app, [*words, "--help"]).output


@pytest.mark.parametrize(
    "arguments",
    [
        ["rollback", "rewards.votes"],
        ["drop", "rewards.votes", "--old"],
        ["clear", "rewards"],
        ["dlq", "discard", "rewards/1", "--why", "no"],
        ["log", "recover", "rewards", "--from-topic"],
    ],
)
def test_where_nobody_can_be_asked_what_cannot_be_undone_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARDS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    ended = CliRunner().invoke(app, arguments, input="y\n")
    assert ended.exit_code == 2
    assert "--yes says yes" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rebuild", "rewards.votes", "--label", "x"], "--label: expected with --as-of and --as-of-position only"),
        (["rebuild", "rewards.votes", "--key", "a", "--compare"], "--compare: expected with a whole rebuild only"),
        (["rebuild", "rewards.votes", "--as-of-position", "1", "--resume"], "--resume: expected with a whole rebuild"),
        (["rebuild", "rewards.votes", "--as-of-position", "1", "--label", "all"], "--label all: expected another word"),
        (["audit", "rewards", "--topic", "--projection", "votes"], "--projection: expected with a service"),
        (["throttle", "rewards.votes", "--rate", "99999999999"], "expected a whole number from 1 to 1,000,000,000"),
        (["dlq", "ls", "--reason", "bad luck"], "'bad luck' is not one of"),
        (["dlq", "show", "rewards/99999999999999999999"], "expected service/number"),
    ],
)
def test_what_would_have_no_effect_is_wrong_usage_and_told_as_json_too(arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(app, [*arguments, "--json"], env={"REWARDS_DATABASE_URL": "postgresql://127.0.0.1:1/no"})
    assert ended.exit_code == 2
    told = json.loads(ended.stdout)
    assert (told["exit_code"], said in told["error"]) == (2, True)


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
        (FileNotFoundError(2, "No such file or directory", "/nowhere/claim.json"), 2, "/nowhere/claim.json: No such"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (UnicodeEncodeError("utf-8", "key \udcff", 4, 5, "surrogates not allowed"), 2, r"'key \udcff': expected UTF-8"),
        (asyncpg.InvalidPasswordError("wrong password"), 3, "PostgreSQL refuses: wrong password"),
        (asyncpg.UndefinedTableError("no table"), 1, "no table; is the database migrated? (annals migrate SERVICE)"),
        (asyncpg.UndefinedColumnError("no column"), 4, "unforeseen UndefinedColumnError: no column"),
        (KafkaConnectionError("away"), 3, "a server does not answer: KafkaConnectionError: away"),
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
    told = json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)
    assert (told["exit_code"], sentence in told["error"]) == (code, True)


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


@pytest.fixture
def stack(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local stack that runs, with a database and a Kafka."""
    found = {"REWARDS_DATABASE_URL": "postgresql://local", "ANNALS_KAFKA_BOOTSTRAP": "local:1"}
    town = Directory("local", found, {}, "", {})
    monkeypatch.setattr(shell, "directory", lambda name: town if name in (None, "local") else None)
    for name in found:
        monkeypatch.setenv(name, "x")  # so that what a test sets is undone
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("stack")
def test_servers_that_the_environment_names_are_never_mixed_with_those_of_a_local_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REWARDS_DATABASE_URL", "postgresql://production")
    shell.use(None)
    assert "ANNALS_KAFKA_BOOTSTRAP" not in os.environ
    with pytest.raises(errors.NothingRuns):
        shell.use(None, needs="KAFKA_BOOTSTRAP")
    shell.use("local")
    assert os.environ["REWARDS_DATABASE_URL"] == "postgresql://local"
    with pytest.raises(errors.NothingRuns, match="no local stack 'other' is running"):
        shell.use("other")


@pytest.mark.usefixtures("stack")
def test_a_local_stack_is_used_where_the_environment_names_no_servers() -> None:
    shell.use(None)
    assert os.environ["ANNALS_KAFKA_BOOTSTRAP"] == "local:1"


@pytest.mark.usefixtures("nowhere")
def test_far_from_any_checkout_there_are_no_local_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_checkout() -> Path:
        raise LocalStackError("not inside a checkout")

    monkeypatch.setattr(directory, "local", no_checkout)
    assert directory.directory() is None


def test_of_several_local_stacks_one_must_be_named(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "running", lambda name: True)
    for name in ("blue", "green"):
        (nowhere / ".local" / name).mkdir(parents=True)
        Directory(name, {}, {}, "", {}).save()
    with pytest.raises(errors.UnknownName, match="expected --stack, one of blue, green"):
        directory.directory()
    assert directory.directory("green") == Directory("green", {}, {}, "", {})
    monkeypatch.setenv("ANNALS_STACK", "blue")
    assert directory.directory() == Directory("blue", {}, {}, "", {})
    assert directory.directory("green") == Directory("green", {}, {}, "", {})


@pytest.mark.usefixtures("nowhere")
def test_down_without_a_stack_is_no_error() -> None:
    ended = CliRunner().invoke(app, ["down"])
    assert ended.exit_code == 0
    assert "No stack `local` is running." in ended.stdout


@pytest.mark.usefixtures("nowhere")
def test_a_service_that_is_not_installed_is_wrong_usage_and_those_there_are_are_named() -> None:
    command = [sys.executable, "-m", "annals", "run", "nobody"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 2
    assert "no service 'nobody'; there are:" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["rewards", "", "pool_status"])
def test_a_projection_without_its_service_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(errors.UnknownName, match=r"expected service\.projection, such as rewards\.pool_status"):
        services.find_projection(name)


def test_who_may_call_what_is_listed_without_any_server(nowhere: Path) -> None:
    listed = CliRunner().invoke(app, ["auth", "routes", "--service", "compliance", "--json"])
    assert listed.exit_code == 0
    routes = {(route["method"], route["path"]): route for route in json.loads(listed.stdout)}
    assert routes["GET", "/acceptances"]["personal"]
    assert "officer" in routes["POST", "/documents"]["roles"]
    assert "user" not in routes["POST", "/documents"]["roles"]
    shown = CliRunner().invoke(app, ["auth", "routes"], env={"COLUMNS": "200"}).stdout
    assert "/deletion-requests/{request_id}" in shown

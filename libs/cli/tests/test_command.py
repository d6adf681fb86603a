"""The command where nothing runs: what it offers, what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from annals import errors, services
from annals.cli import app

COMMANDS = ("demo", "up", "down", "run", "migrate", "status", "rebuild", "rollback", "audit", "token", "env")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which no stack runs, and an environment that points nowhere."""
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.endswith("_DATABASE_URL")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert [command for command in COMMANDS if command not in shown.output] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.output


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    "arguments",
    [["status", "--json"], ["rebuild", "rewards.pool_status"], ["audit", "rewards"], ["token", "alice"], ["env"]],
)
def test_without_a_stack_it_says_how_to_start_one(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 3
    assert "annals up" in ended.stderr
    assert ended.stdout == ""


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

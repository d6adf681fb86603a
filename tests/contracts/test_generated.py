"""What is generated from the code and committed: it must be what the code says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.schemas import main, text

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_of_the_messages_are_those_of_the_classes() -> None:
    run("-m", "contracts.schemas", "--check")


def test_the_asyncapi_documents_the_environment_example_and_the_table_of_metrics_are_what_the_code_says() -> None:
    run("infra/ci/generated.py", "--check")


def test_a_break_names_the_services_that_subscribe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("schemas", "asyncapi"):
        shutil.copytree(ROOT / "contracts" / name, tmp_path / name)
    message = "chain.reward-vault.RewardClaimed.v1"
    file = tmp_path / f"schemas/{message}.json"
    schema = json.loads(file.read_text())
    schema["properties"]["amount"] = {"type": "integer"}
    file.write_text(text(schema))
    assert main(["--check", "--directory", str(tmp_path / "schemas")]) == 1
    assert (
        f"breaking: {message}: field amount was retyped from integer to string; consumed by rewards. "
        "Publish chain.reward-vault.RewardClaimed.v2 beside it instead.\n" in capsys.readouterr().out
    )

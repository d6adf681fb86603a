"""What is generated from the code and committed; that it is what the code says, `make schemas ARGS=--check` finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from contracts.schemas import main, text

ROOT = Path(__file__).resolve().parents[2]


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

"""`annals compliance import`: what is asked of the service and how its answer is told."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from errno import ENOENT
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from annals import services
from annals.cli import app
from annals.services import Installed


@dataclass
class Bad:
    file: str
    line: int
    reason: str


@dataclass
class Found:
    bad: list[Bad] = field(default_factory=list)
    files: int = 2
    lines: int = 1_205
    new: int = 1_200
    known: int = 4
    left_behind: Counter[str] = field(default_factory=lambda: Counter(ip_address=1_204))


@dataclass
class Legacy:
    """Stands for the compliance service's `legacy`."""

    found: Found = field(default_factory=Found)
    asked: list[bool] = field(default_factory=list)

    async def bring_in(self, log: Any, folder: Path, now: datetime, on_progress: Any, *, dry_run: bool) -> Found:
        assert now.tzinfo is not None
        if not list(folder.iterdir()):
            raise FileNotFoundError(ENOENT, "expected files in", str(folder))
        on_progress(1_205, 1_205)
        self.asked.append(dry_run)
        return self.found


@pytest.fixture
def legacy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Legacy:
    stand_in = Legacy()

    class Compliance(Installed):
        def part(self, module: str) -> Any:
            return {"legacy": stand_in}[module]

        @asynccontextmanager
        async def log(self) -> Any:
            yield None

    monkeypatch.setenv("COMPLIANCE_DATABASE_URL", "postgresql://nowhere")
    monkeypatch.setattr(services, "installed", lambda: {"compliance": Compliance("compliance", "compliance")})
    (tmp_path / "a.jsonl").touch()
    return stand_in


def bring_in(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["compliance", "import", "--source-dir", str(folder), *arguments])


def test_what_became_of_all_lines_is_told(legacy: Legacy, tmp_path: Path) -> None:
    result = bring_in(tmp_path)
    assert (result.exit_code, legacy.asked) == (0, [False])
    assert "1,205 lines of 2 files: 1,200 are new, 4 known, 0 bad." in result.output
    assert "ip_address" in result.output
    assert "would be new" in bring_in(tmp_path, "--dry-run").output
    assert legacy.asked == [False, True]


def test_bad_lines_are_reported_and_the_command_says_so(legacy: Legacy, tmp_path: Path) -> None:
    legacy.found.bad = [Bad("a.jsonl", number, "version: expected a number") for number in range(1, 13)]
    report = tmp_path / "bad.jsonl"
    result = bring_in(tmp_path, "--errors", str(report), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["bad"] == 12
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert lines[11] == {"file": "a.jsonl", "line": 12, "reason": "version: expected a number"}
    shown = bring_in(tmp_path).output
    assert shown.count("expected a number") == 10, "the first ones; the report has all"


def test_a_folder_that_is_not_there_or_empty_is_wrong_usage(legacy: Legacy, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        assert bring_in(folder).exit_code == 2, folder

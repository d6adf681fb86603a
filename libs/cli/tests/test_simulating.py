"""`annals rewards simulate`: what is asked of the service and how its answer is told."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from annals import services
from annals.cli import app
from annals.services import Installed


@dataclass
class Granted:
    before: int
    after: int
    held_before: int = 0
    held_after: int = 0
    rewards_before: int = 3
    rewards_after: int = 2

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass
class Found:
    since: datetime
    until: datetime
    activities: int = 7
    events: int = 9
    seconds: float = 0.5
    pools: dict[str, Granted] = field(default_factory=dict)
    users: dict[tuple[str, str], Granted] = field(default_factory=dict)
    reasons: dict[tuple[str, str, str], int] = field(default_factory=dict)


class Simulating:
    """Stands for the rewards service's `simulation`."""

    async def simulate(self, log: Any, rules: str, since: datetime, until: datetime, on_progress: Any) -> Found:
        on_progress(9, 9)
        if rules != '{"voting": {}}':
            raise LookupError("rules: no JSON")
        half = Granted(10**18, 10**18 // 2)
        users = {("ada", "voting"): half, ("bob", "voting"): Granted(5, 5)}
        return Found(since, until, 7, 9, 0.5, {"voting": half}, users, {("voting", "earned", "daily-limit"): 1})


class Rewards(Installed):
    def part(self, module: str) -> Any:
        return {"simulation": Simulating()}[module]

    @asynccontextmanager
    async def log(self) -> Any:
        yield None


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of rules, and a service that knows them."""
    monkeypatch.setenv("REWARDS_DATABASE_URL", "postgresql://nowhere")
    monkeypatch.setattr(services, "installed", lambda: {"rewards": Rewards("rewards", "rewards")})
    file = tmp_path / "rules.json"
    file.write_text('{"voting": {}}')
    return file


def simulate(rules: Path, *arguments: str, since: str = "2026-05-01", until: str = "2026-06-01T02:00+02:00") -> Result:
    named = ["--rules", str(rules), "--from", since, "--to", until]
    return CliRunner().invoke(app, ["rewards", "simulate", *named, *arguments])


def test_the_difference_is_told_by_pool_by_user_and_by_reason(rules: Path) -> None:
    result = simulate(rules)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["voting", "3", "2", "1", "0.5", "-0.5"] in rows
    assert ["ada", "voting", "1", "0.5", "-0.5"] in rows
    assert ["voting", "earned", "daily-limit", "1"] in rows
    assert not [row for row in rows if row[:1] == ["bob"]], "what stays the same is left out"
    assert "7 activities decided anew" in result.output


def test_scripts_get_all_of_it_as_one_document(rules: Path) -> None:
    told = json.loads(simulate(rules, "--json").output)
    assert (told["since"], told["until"]) == ("2026-05-01T00:00:00+00:00", "2026-06-01T02:00:00+02:00")
    assert told["pools"]["voting"]["change"] == str(-(10**18) // 2)
    assert [user["user"] for user in told["users"]] == ["ada"]
    assert told["reasons"] == [{"pool": "voting", "before": "earned", "after": "daily-limit", "activities": 1}]


def test_a_period_or_rules_that_cannot_be_are_refused(rules: Path) -> None:
    assert simulate(rules, since="soon").exit_code == 2
    assert simulate(rules, until="2026-05-01").exit_code == 2
    rules.write_text("{")
    assert simulate(rules).exit_code == 1


def test_the_clock_of_a_time_without_zone_is_utc(rules: Path) -> None:
    told = json.loads(simulate(rules, "--json", since="2026-05-01T10:00").output)
    assert datetime.fromisoformat(told["since"]) == datetime(2026, 5, 1, 10, tzinfo=UTC)

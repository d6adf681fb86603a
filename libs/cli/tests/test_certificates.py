"""`annals chain audit` and `annals verify --certificate`: what is told and how it ends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from annals import services
from annals.cli import app
from annals.services import Installed
from eventlog import EventTypes
from service import ServiceSettings


@dataclass
class Certificate:
    first: int
    last: int
    logs: dict[str, int]
    root: str
    second_source: str
    service: str = "chain"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        return cls(**json.loads(text))


@dataclass
class Outcome:
    certificate: Certificate | None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None


class Auditor:
    """Stands for the chain service's `audit`; says what a test tells it to."""

    Certificate = Certificate
    problem: str | None = None

    async def audit(
        self, log: Any, settings: Any, first: int, last: int | None, against: str | None, progress: Any
    ) -> Outcome:
        made = Certificate(first, last or 9, {"music-nft": 1_234}, "ab" * 32, f"{against or 'node'} (json-rpc)")
        return Outcome(None if self.problem else made, self.problem)

    async def check(self, log: Any, certificate: Certificate) -> Outcome:
        return Outcome(certificate, self.problem)


class Chain(Installed):
    types = EventTypes({})  # type: ignore[assignment]

    def settings(self) -> ServiceSettings:
        return ServiceSettings()


@pytest.fixture
def auditor(database: str, monkeypatch: pytest.MonkeyPatch) -> Auditor:
    auditor = Auditor()
    monkeypatch.setattr(Chain, "part", lambda chain, module: {"audit": auditor}[module])
    monkeypatch.setattr(services, "installed", lambda: {"chain": Chain("chain", "chain")})
    monkeypatch.setenv("SERVICE_DATABASE_URL", database)
    return auditor


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_certificate_is_told_written_and_held_against_the_log(auditor: Auditor, tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    told = run("chain", "audit", "--from", "3", "--to", "8", "--against", "backup", "--output", str(file))
    assert told.exit_code == 0, told.output
    assert f"blocks 3 to 8: 1,234 logs, the same as backup (json-rpc) has, root {'ab' * 32}" in told.stdout
    assert "music-nft: 1,234" in told.stdout
    assert json.loads(run("chain", "audit", "--json").stdout)["certificate"]["last"] == 9
    held = run("verify", "--certificate", str(file))
    assert (held.exit_code, "the log has what was certified" in held.stdout) == (0, True)


def test_a_difference_is_told_with_exit_code_1(auditor: Auditor, tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    file.write_text(Certificate(0, 9, {}, "ab" * 32, "node").to_json())
    auditor.problem = "missing from our log: RewardClaimed"
    for arguments in (["chain", "audit"], ["verify", "--certificate", str(file)]):
        ended = run(*arguments)
        assert (ended.exit_code, auditor.problem in ended.stdout) == (1, True)
        assert json.loads(run(*arguments, "--json").stdout)["problem"] == auditor.problem


@pytest.mark.usefixtures("auditor")
def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    for text in ("", "[]", "{}"):
        file.write_text(text)
        ended = run("verify", "--certificate", str(file))
        assert (ended.exit_code, "no certificate" in ended.stderr) == (1, True)
    assert run("verify", "rewards", "--certificate", str(file)).exit_code == 2

"""`annals chain add`, `abi` and `status`: what is handed on, and what is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
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

ADDRESS = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


@dataclass
class Told:
    contract: str = "usdt"
    address: str = ADDRESS
    events: list[str] = field(default_factory=lambda: ["Transfer(address,address,uint256)"])
    past_from: int | None = None
    first_block: int = 0
    last_block: int | None = None
    new: bool = True
    warnings: list[str] = field(default_factory=list)


@dataclass
class Past:
    first_block: int = 1_000
    last_block: int = 89_999
    done: bool = False
    blocks_left: int = 5_000
    seconds_left: float | None = 90.4


@dataclass
class Watched:
    contract: str = "usdt"
    address: str = ADDRESS
    since: int | None = 90_000
    waits: bool = False
    backfill: Past | None = field(default_factory=Past)
    logs_to_decode: int = 0


class Adding:
    """Stands for the chain service's `past.adding`; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: tuple[Any, ...] = ()
        self.told: Any = Told()
        self.problem: str | None = None

    async def add(self, log: Any, settings: Any, *asked: Any) -> Any:
        return self._answer(asked)

    async def register(self, log: Any, *asked: Any) -> Any:
        return self._answer(asked)

    async def status(self, log: Any) -> Any:
        return self._answer(())

    def _answer(self, asked: tuple[Any, ...]) -> Any:
        self.asked = asked
        if self.problem is not None:
            raise LookupError(self.problem)
        return self.told


@pytest.fixture
def adding(database: str, monkeypatch: pytest.MonkeyPatch) -> Adding:
    adding = Adding()

    class Chain(Installed):
        types = EventTypes({})  # type: ignore[assignment]

        def settings(self) -> ServiceSettings:
            return ServiceSettings()

    monkeypatch.setattr(Chain, "part", lambda chain, module: {"past.adding": adding}[module])
    monkeypatch.setattr(services, "installed", lambda: {"chain": Chain("chain", "chain")})
    monkeypatch.setenv("SERVICE_DATABASE_URL", database)
    return adding


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["chain", *arguments])


@pytest.fixture
def abi(tmp_path: Path) -> str:
    file = tmp_path / "abi.json"
    file.write_text("[7]")
    return str(file)


def test_a_contract_is_added_with_its_abi_name_and_past(adding: Adding, abi: str) -> None:
    adding.told = Told(past_from=1_000, warnings=["event Odd cannot be used: unknown type"])
    ended = run("add", ADDRESS, "--abi", abi, "--name", "usdt", "--from", "1000")
    assert ended.exit_code == 0, ended.output
    assert adding.asked == (ADDRESS, "[7]", "usdt", 1_000)
    assert f"usdt ({ADDRESS}) is watched from the next block on, and read from block 1,000 on: 1 events" in ended.stdout
    assert "warning: event Odd cannot be used" in ended.stderr
    assert json.loads(run("add", ADDRESS, "--abi", abi, "--json").stdout)["past_from"] == 1_000
    assert adding.asked == (ADDRESS, "[7]", None, None)
    adding.told = Told(new=False)
    assert "was added before; nothing has changed" in run("add", ADDRESS, "--abi", abi).stdout


def test_a_further_abi_is_registered_for_its_blocks(adding: Adding, abi: str) -> None:
    ended = run("abi", "usdt", "--abi", abi, "--from", "5", "--to", "9")
    assert adding.asked == ("usdt", "[7]", 5, 9)
    assert ended.exit_code == 0
    adding.told = Told(first_block=5)
    assert "usdt has another ABI from block 5 on" in run("abi", "usdt", "--abi", abi, "--from", "5").stdout


def test_what_is_refused_is_told_in_a_sentence_and_as_json(adding: Adding, abi: str) -> None:
    adding.problem = "the name usdt is taken"
    for arguments in (["add", ADDRESS, "--abi", abi], ["abi", "usdt", "--abi", abi]):
        ended = run(*arguments)
        assert (ended.exit_code, "error: the name usdt is taken" in ended.stderr) == (1, True)
        assert json.loads(run(*arguments, "--json").stdout)["error"] == adding.problem
    assert run("add", ADDRESS, "--abi", "/nowhere/abi.json").exit_code == 2
    assert run("add", ADDRESS).exit_code == 2


def test_the_status_says_how_far_the_past_is_read_and_for_how_long_still(adding: Adding) -> None:
    adding.told = [
        Watched(),
        Watched("other", since=None, waits=True, backfill=None),
        Watched(backfill=Past(done=True)),
    ]
    first, second, third = run("status").stdout.splitlines()
    assert first.endswith("from block 90,000 on; its past from block 1,000: 5,000 blocks are left, about 0:01:30 to go")
    assert second == f"other ({ADDRESS}): watched from the next block on"
    assert third.endswith("its past from block 1,000 is read")
    assert json.loads(run("status", "--json").stdout)[0]["backfill"]["seconds_left"] == 90.4

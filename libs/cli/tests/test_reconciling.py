"""`annals royalties reconcile`: what is asked of the service and how its answer is told."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from annals import services
from annals.cli import app
from annals.services import Installed


@dataclass
class Compared:
    account: str
    block_number: int
    booked_sun: int
    held_sun: int

    @property
    def surplus_sun(self) -> int:
        return self.held_sun - self.booked_sun


@dataclass
class Entry:
    block_number: int
    log_index: int
    tx_id: str
    event: str
    amount_sun: int


@dataclass
class Difference:
    compared: Compared
    agreed_block: int | None
    entries: list[Entry]


@dataclass
class Outcome:
    first_block: int = 1_000
    last_block: int = 1_000
    accounts: int = 7
    held_sun: int = 12_500_000
    fees_of_nobody_sun: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences and not self.fees_of_nobody_sun


@dataclass
class Settings:
    node_url: str | None = None


class Royalties(Installed):
    """Stands for the service and its module `reconciliation`."""

    outcome = Outcome()
    asked: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def settings(self) -> Any:
        return Settings()

    def part(self, module: str) -> Any:
        return self

    @asynccontextmanager
    async def log(self) -> Any:
        yield self

    pool = None

    @asynccontextmanager
    async def node_of(self, settings: Any, url: str) -> Any:
        self.asked.append(url)
        yield None

    def chain_time(self, pool: Any, settings: Any) -> Any:
        return self

    async def reached(self) -> None: ...

    async def reconcile(self, log: Any, node: Any, reached: Any, on_progress: Any) -> Outcome:
        on_progress(7, 7)
        return self.outcome


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROYALTIES_DATABASE_URL", "postgresql://nowhere")
    monkeypatch.delenv("CHAIN_NODE_URL", raising=False)
    monkeypatch.setattr(Royalties, "outcome", Outcome())
    monkeypatch.setattr(Royalties, "asked", [])
    monkeypatch.setattr(services, "installed", lambda: {"royalties": Royalties("royalties", "royalties")})


def reconcile(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["royalties", "reconcile", *arguments])


def test_books_that_agree_are_told_in_a_sentence_and_with_exit_code_0() -> None:
    result = reconcile("--node", "http://node")
    assert result.exit_code == 0, result.output
    assert "7 accounts as of block 1,000" in result.output
    assert "12.500000 TRX" in result.output
    assert Royalties.asked == ["http://node"]


def test_each_difference_is_told_with_its_transactions_since_both_were_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = Entry(998, 3, "ab" * 32, "RoyaltyPosted", 1_000_000)
    differing = Difference(Compared("earnings:T1", 1_000, 2_000_000, 1_999_999), 990, [entry])
    monkeypatch.setattr(Royalties, "outcome", Outcome(last_block=1_002, differences=[differing]))
    monkeypatch.setenv("CHAIN_NODE_URL", "http://of-the-chain-service")
    result = reconcile()
    assert result.exit_code == 1
    for told in ("earnings:T1", "2.000000", "1.999999", "-0.000001", "block 990", "RoyaltyPosted", "998", "1 of them"):
        assert told in result.output, result.output
    document = json.loads(reconcile("--json").output)
    assert (document["ok"], document["first_block"], document["last_block"]) == (False, 1_000, 1_002)
    (one,) = document["differences"]
    assert (one["account"], one["booked_sun"], one["held_sun"], one["agreed_block"]) == (
        "earnings:T1", "2000000", "1999999", 990,
    )  # fmt: skip
    assert one["entries"][0]["amount_sun"] == "1000000"
    assert Royalties.asked == ["http://of-the-chain-service"] * 2


def test_fees_that_could_not_be_compared_are_told_and_are_not_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Royalties, "outcome", Outcome(fees_of_nobody_sun=5))
    result = reconcile("--node", "http://node")
    assert result.exit_code == 1
    assert "not compared: 0.000005 TRX of fees" in result.output


def test_without_a_node_nothing_is_compared() -> None:
    result = reconcile()
    assert result.exit_code == 2
    assert "--node" in result.output

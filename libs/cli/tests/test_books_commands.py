"""`annals royalties`: what is asked of the service and how its answer is told."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

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


class Line(NamedTuple):
    asset: str
    of: str
    party: str


@dataclass
class Change:
    before: int
    after: int

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass
class Supposed:
    terms: Any
    since: datetime
    until: datetime
    track: int | None
    payments: int = 3
    events: int = 9
    seconds: float = 0.5
    scales: dict[str, int] = field(default_factory=lambda: {"TRX": 6, "USD": 2})
    lines: dict[Line, Change] = field(
        default_factory=lambda: {
            Line("TRX", "track 7", "T1"): Change(2_500_000, 2_000_000),
            Line("USD", "agreement band", "platform-fee"): Change(5, 1_200),
            Line("TRX", "track 7", "T2"): Change(1, 1),
        }
    )


class Royalties(Installed):
    """Stands for the service, and for its modules `reconciliation` and `what_if`."""

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

    def Terms(self, fee_bps: int | None, shares: Any) -> Any:
        return fee_bps, shares

    def read_shares(self, text: str) -> str:
        if text != "[1]":
            raise LookupError("no split")
        return text

    async def what_if(self, log: Any, terms: Any, since: datetime, until: datetime, track: Any, told: Any) -> Supposed:
        told(9, 9)
        return Supposed(terms, since, until, track)


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


def what_if(*arguments: str, stdin: str | None = None) -> Result:
    named = ["--from", "2026-05-01", "--to", "2026-06-01"]
    return CliRunner().invoke(app, ["royalties", "what-if", *named, *arguments], input=stdin)


def test_whose_money_would_change_is_told_the_most_first() -> None:
    result = what_if("--fee-bps", "300")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["T1", "track", "7", "TRX", "2.500000", "2.000000", "-0.500000"] in rows
    assert ["platform-fee", "agreement", "band", "USD", "0.05", "12.00", "11.95"] in rows
    assert "T2" not in result.output, "what stays the same is left out"
    assert "3 payments and sales divided anew" in result.output


def test_scripts_get_every_line_of_the_supposed_period() -> None:
    told = json.loads(what_if("--split", "-", "--track", "7", "--json", stdin="[1]").output)
    assert (told["since"], told["until"]) == ("2026-05-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    assert [line["change"] for line in told["lines"]] == ["-500000", "0", "1195"]
    assert {line["scale"] for line in told["lines"]} == {6, 2}


def test_terms_that_suppose_nothing_or_no_split_are_refused() -> None:
    assert what_if().exit_code == 2
    assert what_if("--fee-bps", "10001").exit_code == 2
    assert what_if("--split", "-", stdin="{}").exit_code == 1
    assert what_if("--fee-bps", "1", "--to", "2026-05-01").exit_code == 2

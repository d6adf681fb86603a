"""`annals devnet` against a devnet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import devnet as network
from annals.cli import app

pytestmark = pytest.mark.devnet("--on-demand")
NOW = "wallet/getnowblock"
Annals = Callable[..., str]


@pytest.fixture
def annals(devnet: Any, monkeypatch: pytest.MonkeyPatch) -> Annals:
    """Runs `annals devnet …`; returns what it prints."""
    monkeypatch.setenv("ANNALS_TRON_URL", devnet.url)

    def run(*words: str, code: int = 0) -> str:
        ended = CliRunner().invoke(app, ["devnet", *words])
        assert ended.exit_code == code, ended.output
        return ended.output

    return run


def status_of(url: str, **options: Any) -> int:
    return httpx.post(f"{url}/{NOW}", **options).status_code


def test_blocks_come_when_asked_and_go_by_a_reorganisation(annals: Annals) -> None:
    assert annals("mine", "--blocks", "30") == "head 31, solidified 13, 0 pending; blocks on demand.\n"
    assert annals("reorg", "17") == "head 32, solidified 14, 0 pending; blocks on demand.\n"
    assert "expected 1 to 18 (the unsolidified blocks), got 19" in annals("reorg", "19", code=1)
    assert annals("reorg", "19", "--force", "--drop").startswith("head 33")
    assert json.loads(annals("block-time", "60", "--json"))["block_time"] == 60
    assert "a block every 60 s" in annals()
    assert annals("block-time", "none").endswith("blocks on demand.\n")


def test_clock_and_faucet(annals: Annals) -> None:
    before = json.loads(annals("--json"))["time_ms"]
    assert json.loads(annals("advance", "86400", "--json"))["time_ms"] - before >= 86_400_000
    stranger = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
    assert annals("faucet", stranger, "7").startswith("7 sun on their way in transaction ")
    assert "1 pending" in annals()
    assert "not a base58 address" in annals("faucet", "T", code=1)


def test_faults_are_added_listed_and_cleared(annals: Annals, devnet: Any) -> None:
    told = annals("fault", "status", "status=502", "--path", NOW, "--face", "b", "--skip", "1", "--count", "2")
    assert told.startswith(f"Fault 1: status status=502 on {NOW} of face b; `annals devnet clear 1` ends it.")
    assert [status_of(f"{devnet.url}/face/b") for _ in range(4)] == [200, 502, 502, 200]
    assert status_of(devnet.url) == 200
    (shown,) = json.loads(annals("faults", "--json"))
    assert (shown["struck"], shown["ended"]) == (2, True)
    assert "2 of 3" in annals("faults")
    annals("fault", "hang", "hold=20", "after=true", "--probability", "0.5", "--seed", "7")
    assert "50%, seed 7" in " ".join(annals().split())
    assert annals("clear", "--face", "b") == "1 cleared.\n"
    assert annals("clear") == "1 cleared.\n"
    assert annals("faults") == "There are no faults.\n"
    assert set(json.loads(annals("faults", "--kinds", "--json"))) == {
        "lag", "fork", "clock", "hang", "delay", "reset", "half", "status", "rate-limit", "log-limit", "lie",
        "broadcast",
    }  # fmt: skip
    assert "-32005 (JSON-RPC)" in " ".join(annals("faults", "--kinds").split())


def test_what_a_fault_cannot_be_is_said(annals: Annals) -> None:
    assert "kind: expected one of lag" in annals("fault", "lagg", code=1)
    assert "expected OPTION=VALUE" in annals("fault", "lag", "5", code=2)
    assert "there is no fault 7" in annals("clear", "7", code=1)


def test_a_load_is_sent_and_its_chain_saved_and_restored(annals: Annals, tmp_path: Path) -> None:
    assert annals("load", "500").startswith("500 sent, ")
    made = json.loads(annals("save", "big", "--json"))
    assert annals("saved") == f"big  {made['bytes']:,} bytes\n"
    annals("mine", "--blocks", "9")
    assert "--yes says yes" in annals("restore", "big", code=2)
    assert json.loads(annals("restore", "big", "--yes", "--json"))["head_id"] == made["head_id"]
    assert "no chain is saved as 'small'" in annals("restore", "small", "--yes", code=1)
    calls = tmp_path / "calls.json"
    account = network.accounts(1)[0].address
    calls.write_text(json.dumps([{"from": account, "to": account, "data": "00"}]))
    refused = annals("load", "3", "--calls", str(calls), code=1)
    assert "3 refused: Contract validate error : No contract or not a valid smart contract" in " ".join(refused.split())
    calls.write_text("{")
    annals("load", "3", "--calls", str(calls), code=2)


def test_what_is_no_devnet_is_said(monkeypatch: pytest.MonkeyPatch, devnet: Any) -> None:
    ended = CliRunner().invoke(app, ["devnet", "--url", f"{devnet.url}/face/b"])
    assert ended.exit_code == 0  # a face has the controls too
    ended = CliRunner().invoke(app, ["devnet", "--url", f"{devnet.url}/elsewhere"])
    assert ended.exit_code == 1
    assert "is no devnet: it answers HTTP 404" in " ".join(ended.stderr.split())
    assert CliRunner().invoke(app, ["devnet", "--url", "http://127.0.0.1:1"]).exit_code == 3

"""Unmodified TronWeb, from npm, against a running network: `tronweb/client.mjs` is the program, this file its judge."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from devnet.keys import from_base58

pytestmark = pytest.mark.endurance

PROGRAM = Path(__file__).parent / "tronweb"
ROOT = Path(__file__).parents[3]
TOKEN = ROOT / "contracts" / "solidity" / "artifacts" / "DCMXToken.json"
TRANSFER = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@pytest.fixture(scope="session")
def modules() -> Path:
    """TronWeb and what it needs, installed once for each state of the lock file with its hashes; needs Node 18+."""
    lock = (PROGRAM / "package-lock.json").read_bytes()
    folder = ROOT / ".local" / f"tronweb-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # other processes of the same checkout run tests, too
        if not folder.exists():
            draft = folder.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(PROGRAM / name, draft)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=draft, check=True, timeout=600)
            draft.rename(folder)
    return folder / "node_modules"


@pytest.fixture(scope="module")
def saw(live: Any, modules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program saw."""
    folder = tmp_path_factory.mktemp("tronweb")
    (folder / "node_modules").symlink_to(modules)
    shutil.copy(PROGRAM / "client.mjs", folder)
    command = ["node", "client.mjs", live.url, live.key(0).hex(), str(TOKEN)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_tronweb_creates_accounts_and_moves_trx(saw: dict[str, Any]) -> None:
    assert saw["before"] == {}
    assert saw["transfer"]["id"] == saw["sent"]
    assert saw["transfer"]["fee"] == 1_000_000 + 100_000  # the new account, and its bandwidth
    assert saw["balance"] == 5_000_000
    assert saw["created"]["address"] == saw["stranger"]["hex"].lower()
    assert saw["resources"]["freeNetLimit"] == 600


def test_tronweb_deploys_a_contract_calls_it_and_reads_its_events(live: Any, saw: dict[str, Any]) -> None:
    assert (saw["name"], saw["supply"], saw["held"]) == ("DCMX Token", "1000", "42")
    assert saw["energy"] > 20_000
    assert saw["events"] == [["Transfer", saw["me"], saw["friend"], "42"]]
    hexadecimal = {name: "0x" + from_base58(saw[name])[1:].hex() for name in ("me", "friend")}
    by_position = {"0": hexadecimal["me"], "1": hexadecimal["friend"], "2": "42"}
    assert saw["served"] == [
        ["Transfer", {**by_position, "from": by_position["0"], "to": by_position["1"], "value": "42"}]
    ]
    assert saw["amounts"] == ["1000", "42"]
    assert saw["inBlock"]
    assert saw["sameTransaction"]
    logs = live.wallet("gettransactioninfobyid", value=saw["called"])["log"]
    assert [log["topics"][0] for log in logs] == [TRANSFER]


def test_tronweb_understands_refusals_and_failures(saw: dict[str, Any]) -> None:
    assert saw["tooMuch"]["code"] == "CONTRACT_VALIDATE_ERROR"
    assert "balance is not sufficient" in bytes.fromhex(saw["tooMuch"]["message"]).decode()
    assert saw["reverts"] == "REVERT opcode executed"
    assert saw["notThere"] == "Transaction not found"

"""`annals contracts` against a devnet: asked, refused, killed, resumed, verified."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import devnet
from annals.cli import app
from annals.deployment import NAMES, NETWORKS
from local_stack.process import blocking
from local_stack.testing import running_devnet
from tron.client import NodeClient
from tron.keys import Key
from tron.signers import read_keystore, seal_keystore

PASSWORD = "correct horse"
CONFIG = """
initial_supply_dcmx = 1_000
cap_dcmx = 1_000_000
fee_bps = 300
[pools.listening]
budget_dcmx = 500
daily_limit_dcmx = "0.5"
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A devnet with a block every 0.1 s."""
    with running_devnet(tmp_path_factory.mktemp("devnet"), "--block-time", "0.1") as running:
        yield running.url


@pytest.fixture
def folder(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a configuration, where the environment points to the devnet and no stack runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    monkeypatch.setenv("CHAIN_NODE_URL", url)
    for name in ("CHAIN_CONTRACTS", "ANNALS_DEPLOYER_KEY", "ANNALS_KEYSTORE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dcmx.toml").write_text(CONFIG)
    return tmp_path


def annals(*words: str, answer: str = "") -> Any:
    return CliRunner().invoke(app, ["contracts", *words], input=answer)


def account(number: int) -> Key:
    return Key.from_hex(devnet.accounts(number + 1)[number].private_key)


def sent_by(url: str, owner: str) -> list[str]:
    """The kinds of all transactions of an account."""

    async def read() -> list[str]:
        async with NodeClient(url) as client:
            blocks = await client.blocks(0, (await client.head()).number, solid=False)
            return [one.kind for block in blocks for one in block.transactions if one.owner == owner]

    return blocking(read())


def test_the_cost_is_shown_and_nothing_is_sent_before_the_answer(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = account(1)
    monkeypatch.setenv("ANNALS_DEPLOYER_KEY", key.secret.hex())
    ended = annals("deploy", "--network", "local", "--config", "dcmx.toml", answer="n\n")
    assert ended.exit_code == 2
    assert "Deploy? Nobody can be asked" in ended.stderr  # this is no terminal
    assert f"14 transactions of {key.address}, at most " in ended.stderr
    assert "! the deployer's key alone will administer the contracts" in ended.stderr
    assert sent_by(url, key.address) == []
    assert key.secret.hex() not in ended.output
    assert not (folder / "contracts.local.json").exists()


def test_killed_and_run_again_it_deploys_once_and_writes_the_file_that_the_chain_service_takes(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = account(2)
    monkeypatch.setenv("ANNALS_DEPLOYER_KEY", key.secret.hex())
    words = ["deploy", "--network", "local", "--config", "dcmx.toml", "--yes"]
    killed = subprocess.Popen([sys.executable, "-m", "annals", "contracts", *words], stderr=subprocess.PIPE, text=True)
    assert killed.stderr is not None
    with killed.stderr as lines:
        assert any(line.startswith("create MusicNFT: signed") for line in lines)
        killed.kill()
    killed.wait()
    ended = annals(*words, "--json")
    assert ended.exit_code == 0, ended.stderr
    told = json.loads(ended.stdout)
    kinds = sent_by(url, key.address)
    assert (kinds.count("CreateSmartContract"), len(kinds)) == (6, 14)
    assert json.loads((folder / "contracts.local.json").read_text()) == told["contracts"]
    assert told["contracts"].keys() == NAMES.keys()
    assert (told["ok"], told["deployer"]) == (True, key.address)

    assert annals("verify", "--network", "local").exit_code == 0
    swapped = {**told["contracts"], "music-nft": told["contracts"]["dcmx-token"]}
    (folder / "swapped.json").write_text(json.dumps(swapped))
    ended = annals("verify", "--network", "local", "--addresses", "swapped.json", "--json")
    assert ended.exit_code == 1
    wrong = [verdict for verdict in json.loads(ended.stdout) if not verdict["ok"]]
    assert [verdict["contract"] for verdict in wrong] == ["MusicNFT"]
    assert re.fullmatch(r"expected \d+ bytes of code, found \d+", wrong[0]["problem"])
    (folder / "dcmx.toml").write_text(CONFIG.replace("300", "301"))
    ended = annals(*words)
    assert (ended.exit_code, sent_by(url, key.address)) == (1, kinds)
    assert "another deployment: plan.fee_bps: expected 300, got 301" in ended.stderr


def test_a_keystore_opens_with_its_password_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = account(3)
    (folder / "key.json").write_text(seal_keystore(key, PASSWORD, {"n": 2, "r": 8, "p": 1}))
    words = ["deploy", "--network", "local", "--keystore", "key.json"]
    ended = annals(*words, answer=f"{PASSWORD}\nn\n")
    assert f"transactions of {key.address}" in ended.stderr
    assert PASSWORD not in ended.output
    monkeypatch.setenv("ANNALS_KEYSTORE_PASSWORD", "wrong")
    ended = annals(*words)
    assert ended.exit_code == 1
    assert "key.json: keystore: the password does not open it" in ended.stderr


def test_a_key_is_sealed_into_a_file_that_opens_again_and_is_not_written_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = account(3)
    ended = annals("keystore", "new.json", answer=f"{key.secret.hex()}\n{PASSWORD}\n{PASSWORD}\n")
    assert ended.exit_code == 0, ended.stderr
    assert f"new.json: the key of {key.address}" in ended.stdout
    assert key.secret.hex() not in ended.output + (folder / "new.json").read_text()
    assert (folder / "new.json").stat().st_mode & 0o777 == 0o600
    assert read_keystore(folder / "new.json", PASSWORD).address == key.address
    monkeypatch.setenv("ANNALS_DEPLOYER_KEY", "ab")
    monkeypatch.setenv("ANNALS_KEYSTORE_PASSWORD", PASSWORD)
    assert "expected a private key of 64 hex digits" in annals("keystore", "other.json").stderr
    monkeypatch.setenv("ANNALS_DEPLOYER_KEY", account(4).secret.hex())
    ended = annals("keystore", "new.json", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["error"]) == (2, "new.json: File exists")


def test_who_cannot_pay_is_told_before_anything_is_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = Key.random()
    monkeypatch.setenv("ANNALS_DEPLOYER_KEY", poor.secret.hex())
    ended = annals("deploy", "--network", "local", "--yes")
    assert ended.exit_code == 1
    assert f"error: {poor.address}: expected " in ended.stderr
    assert "signed" not in ended.stderr
    assert (folder / "contracts.local.journal").read_text() == ""


def test_a_node_of_another_network_is_refused(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNALS_DEPLOYER_KEY", account(4).secret.hex())
    ended = annals("deploy", "--network", "nile", "--config", "dcmx.toml", "--node", url, "--yes")
    assert ended.exit_code == 1
    assert f"{url}: expected a node of nile, found one of another network" in ended.stderr

    async def nile(_: NodeClient) -> int | None:
        return NETWORKS["nile"].chain_id

    monkeypatch.setattr(NodeClient, "chain_id", nile)
    ended = annals("deploy", "--network", "local", "--yes")
    assert ended.exit_code == 1
    assert "expected a node of local, found one of nile" in ended.stderr
    assert folder.exists()


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["deploy", "--network", "nowhere"], 2, "no network 'nowhere'; there are: local, nile, shasta, mainnet"),
        (["deploy", "--network", "nile"], 2, "--config: expected a file"),
        (["deploy", "--network", "mainnet", "--config", "dcmx.toml"], 2, "needs --accept-unaudited"),
        (["deploy", "--network", "nile", "--config", "dcmx.toml"], 2, "expected the deployer's key"),
        (["deploy", "--network", "local", "--config", "wrong.toml"], 2, "wrong.toml: fee_bps: expected a int, got 'x'"),
        (["deploy", "--network", "local", "--journal", "no/where"], 2, "--journal: expected a file in a folder"),
        (["verify", "--network", "local", "--addresses", "names.json"], 2, "no contract 'music-ntf' (did you mean"),
        (["verify", "--network", "local", "--addresses", "wrong.toml"], 2, "expected JSON"),
        (
            ["verify", "--network", "local", "--addresses", "short.json"],
            2,
            "music-nft: expected a TRON address, got 'T1'",
        ),
        (["verify", "--network", "local"], 2, "no CHAIN_CONTRACTS"),
        (["verify", "--network", "local", "--addresses", "one.json", "--node", "http://127.0.0.1:1"], 3, "not answer"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(folder: Path, words: list[str], code: int, problem: str) -> None:
    (folder / "wrong.toml").write_text('fee_bps = "x"')
    (folder / "names.json").write_text('{"music-ntf": "T"}')
    (folder / "one.json").write_text("{}")
    (folder / "short.json").write_text('{"music-nft": "T1"}')
    ended = annals(*words)
    assert ended.exit_code == code
    assert problem in " ".join(ended.stderr.replace("│", " ").split())

"""A network in a process of its own per test. Tests take the fixtures as Any: this file cannot be imported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tronpy import Contract, Tron
from tronpy.keys import PrivateKey
from tronpy.providers import HTTPProvider

import devnet
from devnet.keys import from_base58

FIXTURES = Path(__file__).parent / "fixtures"
FEE_LIMIT = 1_000_000_000


@dataclass
class Node:
    """A running devnet, and the few calls that tests make most."""

    url: str
    http: httpx.Client

    @staticmethod
    def key(index: int) -> PrivateKey:
        return PrivateKey(bytes.fromhex(devnet.accounts(index + 1)[index].private_key))

    @staticmethod
    def address(index: int) -> str:
        return devnet.accounts(index + 1)[index].address

    def post(self, path: str, /, **params: Any) -> Any:
        response = self.http.post(path, json=params)
        assert response.status_code == 200, response.text
        return response.json()

    def wallet(self, endpoint: str, /, **params: Any) -> Any:
        return self.post(f"/wallet/{endpoint}", **params)

    def rpc(self, method: str, *params: Any) -> Any:
        return self.post("/jsonrpc", jsonrpc="2.0", id=1, method=method, params=list(params))

    def mine(self, blocks: int = 1) -> int:
        return int(self.post("/devnet/mine", blocks=blocks)["head"])

    def fault(self, kind: str, **form: Any) -> dict[str, Any]:
        return dict(self.post("/devnet/faults", kind=kind, **form))

    def info(self, txid: str, visible: bool = True) -> dict[str, Any]:
        return dict(self.wallet("gettransactioninfobyid", value=txid, visible=visible))

    def tron(self) -> Tron:
        return Tron(HTTPProvider(self.url, timeout=60), conf={"fee_limit": FEE_LIMIT})

    def send(self, builder: Any, sender: int = 0) -> dict[str, Any]:
        """Signs as development account `sender`, broadcasts and mines; returns the receipt."""
        txid = builder.build().sign(self.key(sender)).broadcast()["txid"]
        self.mine()
        return self.info(txid)

    def transfer(self, sender: int, to: str, amount: int) -> dict[str, Any]:
        return self.send(self.tron().trx.transfer(self.address(sender), to, amount), sender)


@dataclass
class Deployed:
    """A contract on a node."""

    node: Node
    client: Tron
    address: str
    receipt: dict[str, Any]

    @property
    def hex(self) -> str:
        return from_base58(self.address).hex()

    def builder(self, name: str, *args: Any, value: int = 0, sender: int = 0, fee_limit: int = FEE_LIMIT) -> Any:
        method = getattr(self.client.get_contract(self.address).functions, name)
        made = (method.with_transfer(value) if value else method)(*args)
        return made.with_owner(self.node.address(sender)).fee_limit(fee_limit)

    def call(self, name: str, *args: Any, sender: int = 0, **options: Any) -> dict[str, Any]:
        """Calls a method as development account `sender`; mines and returns the receipt."""
        return self.node.send(self.builder(name, *args, sender=sender, **options), sender)

    def a_bit_of_everything(self, stranger: str) -> list[dict[str, Any]]:
        """Receipts of transactions of all kinds, the last of which fails; the fourth creates a contract."""
        return [
            self.node.transfer(2, stranger, 5_000_000),
            self.call("deposit", value=3_000_000),
            self.call("transfer", self.node.address(1), 77),
            self.call("spawn", 9),
            self.call("pay", self.node.address(3), 1_000_000),
            self.call("failStrTx"),
        ]


def _run(*options: str) -> Iterator[Node]:
    command = [sys.executable, "-m", "devnet", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(base_url=url, timeout=120) as http:
            yield Node(url, http)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
        process.stdout.close()
    assert status == 0


@pytest.fixture
def node() -> Iterator[Node]:
    """A fresh chain that makes blocks on demand."""
    yield from _run("--on-demand")


@pytest.fixture(scope="module")
def live() -> Iterator[Node]:
    """A chain with a block every 100 ms, for clients that wait for their transactions."""
    yield from _run("--block-time", "0.1", "--solid-distance", "3")


@pytest.fixture(scope="session")
def artifact() -> dict[str, Any]:
    """A small contract with payments, events, creations and every way to fail."""
    return dict(json.loads((FIXTURES / "contract.json").read_text()))


@pytest.fixture(scope="session")
def recordings() -> dict[str, Any]:
    """Requests and responses recorded from java-tron, by name (number, port, endpoint, case)."""
    return dict(json.loads((FIXTURES / "recordings.json").read_text()))


def _deploy(node: Node, artifact: dict[str, Any]) -> Deployed:
    client = node.tron()
    code = Contract(bytecode=artifact["bytecode"], abi=artifact["abi"], name="T", origin_energy_limit=10**7)
    receipt = node.send(client.trx.deploy_contract(node.address(0), code))
    return Deployed(node, client, receipt["contract_address"], receipt)


@pytest.fixture
def contract(node: Node, artifact: dict[str, Any]) -> Deployed:
    """The contract on a fresh chain, deployed by development account 0."""
    return _deploy(node, artifact)


@pytest.fixture(scope="module")
def stage(artifact: dict[str, Any]) -> Iterator[Deployed]:
    """The contract on a chain that a whole module uses: for tests that mind nobody else's transactions."""
    for node in _run("--on-demand"):
        yield _deploy(node, artifact)


@pytest.fixture
def well(stage: Deployed) -> Iterator[Deployed]:
    """The stage, on which whatever a test breaks is mended afterwards."""
    yield stage
    stage.node.http.delete("/devnet/faults")


@pytest.fixture
def run_node() -> Callable[..., Iterator[Node]]:
    """Runs a network with options of the command for as long as its one turn of a loop takes."""
    return _run


@pytest.fixture
def deploy() -> Callable[[Node, dict[str, Any]], Deployed]:
    """Deploys the contract on a node, as development account 0."""
    return _deploy

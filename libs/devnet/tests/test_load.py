"""Load, old blocks on the disk, saved chains, and reorganisations by force."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from devnet import snapshot
from devnet.archive import Stored
from devnet.chain import Chain
from devnet.executor import Refused
from devnet.keys import accounts, recover
from devnet.load import Load, Order, transfers
from devnet.settings import Settings

STRANGER = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"


def finished(node: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 100
    while (progress := node.http.get("/devnet/load").json())["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return dict(progress)


def head(node: Any) -> int:
    return int(node.http.get("/devnet/status").json()["head"])


def everything_about(node: Any, receipts: list[dict[str, Any]]) -> list[Any]:
    """What all ways of asking say of these transactions and their blocks."""
    numbers = [receipt["blockNumber"] for receipt in receipts]
    said: list[Any] = []
    for visible in (False, True):
        said += [node.wallet("getblockbynum", num=number, visible=visible) for number in numbers]
        said += [node.wallet("gettransactioninfobyblocknum", num=number, visible=visible) for number in numbers]
        said += [node.info(receipt["id"], visible) for receipt in receipts]
        said += [node.wallet("gettransactionbyid", value=receipt["id"], visible=visible) for receipt in receipts]
    said += [node.rpc("eth_getBlockByNumber", hex(number), True) for number in numbers]
    said += [node.rpc("eth_getTransactionReceipt", receipt["id"]) for receipt in receipts]
    said += [node.rpc("eth_getBlockReceipts", hex(number)) for number in numbers]
    said.append(node.rpc("eth_getLogs", {"fromBlock": hex(min(numbers)), "toBlock": hex(max(numbers))}))
    return said


# ---- load -----------------------------------------------------------------------------------------------------------


def test_a_load_is_thousands_of_ordinary_transactions(node: Any) -> None:
    node.post("/devnet/load", transactions=3000, block_transactions=250)
    progress = finished(node)
    assert (progress["sent"], progress["failed"], progress["refused"]) == (3000, 0, 0)
    ids = set()
    for number in range(2, head(node) + 1):
        transactions = node.wallet("getblockbynum", num=number)["transactions"]
        assert len(transactions) == 250
        ids |= {transaction["txID"] for transaction in transactions}
    assert len(ids) == 3000
    for transaction in transactions[:20]:
        raw = bytes.fromhex(transaction["raw_data_hex"])
        assert hashlib.sha256(raw).hexdigest() == transaction["txID"]
        signer = recover(bytes.fromhex(transaction["signature"][0]), bytes.fromhex(transaction["txID"]))
        assert signer.hex() == transaction["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"]


def test_a_load_calls_contracts(stage: Any) -> None:
    node, contract = stage.node, stage
    held = node.wallet("getaccount", address=contract.address, visible=True).get("balance", 0)
    deposit = contract.builder("deposit").build().to_json()["raw_data"]["contract"][0]["parameter"]["value"]["data"]
    calls = [{"from": node.address(index), "to": contract.address, "data": deposit, "value": 2} for index in (1, 2)]
    calls.append({"from": node.address(1), "to": contract.address, "data": "ffffffff"})
    node.post("/devnet/load", transactions=300, block_transactions=100, calls=calls)
    progress = finished(node)
    assert (progress["sent"], progress["failed"]) == (300, 100)
    receipts = node.wallet("gettransactioninfobyblocknum", num=head(node) - 2)
    assert [receipt["receipt"]["result"] for receipt in receipts[:4]] == ["SUCCESS", "SUCCESS", "REVERT", "SUCCESS"]
    assert [len(receipt.get("log", [])) for receipt in receipts[:4]] == [1, 1, 0, 1]
    assert node.wallet("getaccount", address=contract.address, visible=True)["balance"] == held + 400


def test_a_paced_load_keeps_its_pace_and_can_be_stopped(stage: Any) -> None:
    node = stage.node
    node.post("/devnet/load", transactions=1_000_000, per_second=100)
    refused = node.http.post("/devnet/load", json={"transactions": 1})
    assert refused.json()["detail"] == "a load is running; stop it first"
    while (progress := node.http.get("/devnet/load").json())["sent"] < 20:
        time.sleep(0.01)
    assert progress["sent"] <= progress["seconds"] * 100 + 2
    node.http.delete("/devnet/load")
    sent = finished(node)["sent"]
    assert len(node.wallet("gettransactionlistfrompending")["txId"]) == sent
    node.mine()


@pytest.mark.parametrize(
    ("form", "detail"),
    [
        ({}, "transactions: expected an integer"),
        ({"transactions": 1, "per_second": 0}, "per_second: expected a number from 0.1"),
        ({"transactions": 1, "calls": []}, "calls: expected a list of calls"),
        ({"transactions": 1, "calls": [{"from": STRANGER}]}, "calls[0].from: expected a development account"),
    ],
)
def test_a_load_that_means_nothing_is_a_problem(stage: Any, form: dict[str, Any], detail: str) -> None:
    answer = stage.node.http.post("/devnet/load", json=form)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)


# ---- old blocks -----------------------------------------------------------------------------------------------------


def test_old_blocks_say_word_for_word_what_they_said_when_they_were_young(contract: Any) -> None:
    receipts = contract.a_bit_of_everything(STRANGER)
    young = everything_about(contract.node, receipts)
    contract.node.mine(60)
    assert everything_about(contract.node, receipts) == young


async def test_old_blocks_are_not_in_memory() -> None:
    chain, load = Chain(Settings(block_time=None, accounts=5)), Load()
    load.start(chain, Order(600, None, 10), transfers(accounts(5)))
    assert load._task is not None
    await load._task
    depth = chain.settings.forced_depth
    assert chain.tip.number == 60
    assert all(isinstance(block.contents, Stored) for block in chain.blocks[1 : 60 - depth + 1])
    assert [block.undo is None for block in chain.blocks[1:]] == [True] * (60 - depth) + [False] * depth


# ---- reorganisations by force ---------------------------------------------------------------------------------------


def test_force_reorganises_solidified_blocks_and_no_deeper_than_it_can(contract: Any) -> None:
    node = contract.node
    sent = contract.call("deposit", value=3)
    before = node.wallet("getblockbynum", num=sent["blockNumber"])["blockID"]
    node.mine(24)
    solid = node.http.get("/devnet/status").json()["solid"]
    assert solid > sent["blockNumber"]
    assert node.http.post("/devnet/reorg", json={"depth": 25}).status_code == 400
    node.post("/devnet/reorg", depth=25, force=True)
    assert node.wallet("getblockbynum", num=sent["blockNumber"])["blockID"] != before
    assert node.info(sent["id"])["blockNumber"] == sent["blockNumber"]
    node.mine(40)
    refused = node.http.post("/devnet/reorg", json={"depth": 33, "force": True}).json()["detail"]
    assert refused == "depth: expected 1 to 32 (the blocks that can still be undone), got 33"


# ---- saved chains ---------------------------------------------------------------------------------------------------


@pytest.fixture
def chains(tmp_path: Path) -> Path:
    """A folder of saved chains that is not there yet."""
    return tmp_path / "chains"


def test_a_saved_chain_goes_on_as_if_nothing_had_happened(
    chains: Path, artifact: dict[str, Any], run_node: Any, deploy: Any
) -> None:
    options = ("--on-demand", "--data", str(chains))
    for node in run_node(*options):
        contract = deploy(node, artifact)
        receipts = contract.a_bit_of_everything(STRANGER)
        node.mine(40)
        receipts += contract.a_bit_of_everything(STRANGER)
        said = everything_about(node, receipts)
        accounts = [node.wallet("getaccount", address=node.address(index)) for index in range(4)]
        code = node.wallet("getcontract", value=contract.address, visible=True)
        state = node.post("/devnet/save", name="here")
        (shown,) = node.http.get("/devnet/saved").json()
        assert (shown["name"], shown["bytes"]) == ("here", state["bytes"])
        calls = [contract.builder("transfer", node.address(1), 5), contract.builder("spawn", 4)]
        bodies = [call.build().sign(node.key(0)).to_json() for call in calls]
        original = [_mined(node, body) for body in bodies]
    for node in run_node(*options, "--restore", "here"):
        assert everything_about(node, receipts) == said
        assert [node.wallet("getaccount", address=node.address(index)) for index in range(4)] == accounts
        assert node.wallet("getcontract", value=contract.address, visible=True) == code
        assert [_mined(node, body) for body in bodies] == original  # energy to the last unit
        node.mine(3)
        refused = node.http.post("/devnet/reorg", json={"depth": 6}).json()["detail"]
        assert refused == "depth: expected 1 to 5 (the blocks that can still be undone), got 6"
        node.post("/devnet/reorg", depth=5)
        assert [{**node.info(body["txID"]), "blockTimeStamp": 0}["receipt"] for body in bodies] == [
            receipt["receipt"] for receipt in original
        ]


def test_a_chain_that_is_kept_survives_a_restart(chains: Path, run_node: Any) -> None:
    options = ("--on-demand", "--data", str(chains), "--keep", "town")
    for node in run_node(*options):
        head = node.mine(3)
        pay = node.tron().trx.transfer(node.address(0), STRANGER, 7).build().sign(node.key(0)).broadcast()
    for node in run_node(*options):
        assert node.wallet("getnowblock")["block_header"]["raw_data"]["number"] == head + 1
        assert node.wallet("getaccount", address=STRANGER, visible=True)["balance"] == 7
        assert node.info(pay["txid"])["blockNumber"] == head + 1  # its block was open when the network ended


def _mined(node: Any, body: dict[str, Any]) -> dict[str, Any]:
    assert node.wallet("broadcasttransaction", **body)["result"] is True
    node.mine()
    return {**node.info(body["txID"]), "blockTimeStamp": 0}


def test_a_chain_is_restored_in_the_place_of_the_one_that_runs(node: Any) -> None:
    before = node.mine(3)
    node.post("/devnet/faucet", address=STRANGER, amount=5)
    saved = node.post("/devnet/save", name="before")
    assert (saved["head"], saved["pending"]) == (before + 1, 0)  # what was pending is sealed
    node.mine(10)
    assert node.post("/devnet/restore", name="before")["head"] == before + 1
    assert node.wallet("getnowblock")["blockID"] == saved["head_id"]
    node.transfer(0, STRANGER, 1)
    assert node.wallet("getaccount", address=STRANGER, visible=True)["balance"] == 6


def test_what_is_no_saved_chain_is_refused(stage: Any, chains: Path) -> None:
    snapshot.save(Chain(Settings()), chains / "whole.chain")
    (chains / "part.chain").write_bytes((chains / "whole.chain").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"part\.chain: expected a chain saved by this version, found \d+ other bytes"):
        snapshot.restore(chains / "part.chain", None)
    assert snapshot.restore(chains / "whole.chain", None).tip.number == 0
    for params, detail in (
        ({"name": "nobody"}, "no chain is saved as 'nobody'"),
        ({"name": "../whole"}, "name: expected letters, digits, dots and dashes, got '../whole'"),
        ({}, "name: expected letters, digits, dots and dashes, got None"),
    ):
        answer = stage.node.http.post("/devnet/restore", json=params)
        assert (answer.status_code, answer.json()["detail"]) == (400, detail)


def test_the_command_refuses_a_chain_that_is_not_there(chains: Path) -> None:
    command = [sys.executable, "-m", "devnet", "--port", "0", "--data", str(chains), "--restore", "nobody"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 2
    assert "no chain is saved as 'nobody'" in ended.stderr


def test_the_command_keeps_a_chain_only_in_a_folder_that_is_named() -> None:
    command = [sys.executable, "-m", "devnet", "--port", "0", "--keep", "town"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 2
    assert "expected a folder in --data" in ended.stderr


def test_what_has_expired_by_the_blocks_times_enters_none_however_often_they_are_replaced() -> None:
    now = 1_800_000_000_000
    chain = Chain(Settings(block_time=3.0, accounts=5), clock=lambda: now)
    for _ in range(8):
        now += 3_000
        chain.mine()
    for _ in range(5):
        chain.reorganise(4, keep=True)
    ahead = chain.tip.timestamp
    assert ahead >= now + 15_000
    late, good = (transfers(accounts(5))[0].sign(chain.tip.id, ahead + more, now) for more in (0, 1))
    with pytest.raises(Refused, match="expired"):
        chain.broadcast(late, signed_here=True)
    chain.broadcast(good, signed_here=True)
    chain.advance(60)  # on purpose, for clients that have the real time
    chain.mine()
    chain.broadcast(transfers(accounts(5))[1].sign(chain.tip.id, ahead + 30_000, now), signed_here=True)

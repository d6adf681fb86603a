"""Blocks, the solidified height, reorganisations, time, the control API and the command."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import pytest
from tronpy import Contract

from devnet.chain import Chain
from devnet.keys import recover
from devnet.proto import HEADER, encode
from devnet.settings import Settings
from devnet.transactions import parse

STRANGER = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"


def balance(node: Any, address: str, solid: bool = False) -> int:
    path = "/walletsolidity/getaccount" if solid else "/wallet/getaccount"
    return int(node.post(path, address=address, visible=True).get("balance", 0))


def test_blocks_are_linked_and_signed_by_producers_in_rotation(node: Any) -> None:
    node.mine(60)
    blocks = [node.wallet("getblockbynum", num=number) for number in range(61)]
    for parent, block in pairwise(blocks):
        raw = block["block_header"]["raw_data"]
        assert raw["parentHash"] == parent["blockID"]
        assert raw["timestamp"] > parent["block_header"]["raw_data"].get("timestamp", 0)
        digest = hashlib.sha256(encode(HEADER, parse(HEADER, raw, visible=False))).digest()
        assert block["blockID"][16:] == digest.hex()[16:]
        signer = recover(bytes.fromhex(block["block_header"]["witness_signature"]), digest)
        assert signer.hex() == raw["witness_address"]
    producers = [block["block_header"]["raw_data"]["witness_address"] for block in blocks[1:]]
    assert len(set(producers)) == 27
    assert producers[:27] == producers[27:54]


def test_the_solidity_api_stays_18_blocks_behind(node: Any) -> None:
    sent = node.transfer(0, STRANGER, 5_000_000)
    number = sent["blockNumber"]
    node.mine(17)
    assert node.post("/walletsolidity/gettransactioninfobyid", value=sent["id"]) == {}
    assert node.post("/walletsolidity/gettransactioninfobyblocknum", num=number) == []
    assert node.post("/walletsolidity/getblockbynum", num=number) == {}
    assert node.post("/walletsolidity/getaccount", address=STRANGER, visible=True) == {}
    assert balance(node, STRANGER) == 5_000_000
    head = node.mine()
    assert head - number == 18
    assert node.post("/walletsolidity/gettransactioninfobyid", value=sent["id"], visible=True) == sent
    assert node.post("/walletsolidity/getnowblock")["block_header"]["raw_data"]["number"] == number
    assert balance(node, STRANGER, solid=True) == 5_000_000
    assert node.wallet("getnodeinfo")["solidityBlock"].startswith(f"Num:{number},ID:")
    assert node.http.post("/walletsolidity/broadcasttransaction", json={}).status_code == 405


def test_a_reorganisation_replaces_blocks_and_keeps_transactions(contract: Any) -> None:
    node, functions = contract.node, contract.client.get_contract(contract.address).functions
    deposit = contract.call("deposit", value=3_000_000)
    payment = contract.call("pay", STRANGER, 1_000_000)
    old = [node.wallet("getblockbynum", num=info["blockNumber"])["blockID"] for info in (deposit, payment)]
    tokens, held = functions.balanceOf(node.address(0)), balance(node, contract.address)
    answer = node.post("/devnet/reorg", depth=2)
    assert answer["head"] == payment["blockNumber"] + 1
    new = [node.wallet("getblockbynum", num=deposit["blockNumber"] + offset)["blockID"] for offset in range(3)]
    assert answer["blocks"] == new
    assert not set(old) & set(new)
    for identity in old:
        assert node.wallet("getblockbyid", value=identity) == {}
    assert node.info(payment["id"])["blockNumber"] == deposit["blockNumber"]  # both in the first new block
    assert functions.balanceOf(node.address(0)) == tokens
    assert balance(node, contract.address) == held
    assert balance(node, STRANGER) == 1_000_000


def test_a_reorganisation_can_lose_transactions_and_all_their_effects(contract: Any) -> None:
    node = contract.node
    functions = contract.client.get_contract(contract.address).functions
    before = {
        "accounts": [node.wallet("getaccount", address=node.address(number)) for number in range(4)],
        "tokens": [functions.balanceOf(node.address(number)) for number in range(2)],
        "held": balance(node, contract.address),
        "burnt": node.wallet("getburntrx"),
    }
    lost = contract.a_bit_of_everything(STRANGER)
    child = lost[3]["internal_transactions"][0]["transferTo_address"]
    assert node.wallet("getcontract", value=child, visible=True) == {}  # it has code but no record of its own
    assert node.wallet("getaccount", address=child, visible=True)["type"] == "Contract"
    node.post("/devnet/reorg", depth=6, transactions="drop")
    after = {
        "accounts": [node.wallet("getaccount", address=node.address(number)) for number in range(4)],
        "tokens": [functions.balanceOf(node.address(number)) for number in range(2)],
        "held": balance(node, contract.address),
        "burnt": node.wallet("getburntrx"),
    }
    assert after == before
    assert [node.info(info["id"]) for info in lost] == [{}] * 6
    assert node.wallet("getaccount", address=STRANGER, visible=True) == {}
    assert node.wallet("getaccount", address=child, visible=True) == {}
    again = contract.call("deposit", value=3_000_000)
    assert again["receipt"]["result"] == "SUCCESS"


def test_a_deployment_can_be_reorganised_away_and_done_again(node: Any, artifact: dict[str, Any]) -> None:
    client = node.tron()
    code = Contract(bytecode=artifact["bytecode"], abi=artifact["abi"], name="T")
    first = node.send(client.trx.deploy_contract(node.address(0), code))
    node.post("/devnet/reorg", depth=1, transactions="keep")
    again = node.info(first["id"])
    assert {**again, "blockTimeStamp": 0} == {**first, "blockTimeStamp": 0}
    assert client.get_contract(first["contract_address"]).functions.name() == "Tok"
    node.post("/devnet/reorg", depth=2, transactions="drop")
    assert node.wallet("getcontract", value=first["contract_address"], visible=True) == {}
    second = node.send(client.trx.deploy_contract(node.address(0), code))
    assert client.get_contract(second["contract_address"]).functions.name() == "Tok"


def test_pending_transactions_survive_a_reorganisation(node: Any) -> None:
    node.mine(3)
    txid = node.post("/devnet/faucet", address=STRANGER, amount=5_000_000)["txid"]
    assert balance(node, STRANGER) == 5_000_000  # seen at once at the head, as on a node
    assert node.wallet("gettransactionbyid", value=txid) == {}
    assert node.post("/devnet/reorg", depth=1)["pending"] == 0
    assert node.info(txid)["fee"] == 1_100_000
    assert balance(node, STRANGER) == 5_000_000


def test_a_transaction_that_names_a_lost_block_is_lost_with_it(node: Any) -> None:
    node.mine(2)
    fields = {"owner_address": node.address(0), "to_address": node.address(1), "amount": 1}
    draft = node.wallet("createtransaction", **fields, visible=True)  # names the head
    signature = node.key(0).sign_msg_hash(bytes.fromhex(draft["txID"])).hex()
    node.wallet("broadcasttransaction", **draft, signature=[signature])
    node.mine()
    node.post("/devnet/reorg", depth=2, transactions="keep")
    assert node.info(draft["txID"]) == {}


def test_solidified_blocks_are_never_reorganised(node: Any) -> None:
    node.mine(30)
    refused = node.http.post("/devnet/reorg", json={"depth": 19})
    assert refused.status_code == 400
    assert refused.json()["detail"] == "depth: expected 1 to 18 (the unsolidified blocks), got 19"
    solid = node.post("/walletsolidity/getnowblock")
    node.post("/devnet/reorg", depth=18)
    assert node.wallet("getblockbynum", num=solid["block_header"]["raw_data"]["number"]) == solid


def test_time_can_be_moved_without_harm_to_clients(contract: Any) -> None:
    node = contract.node
    functions = contract.client.get_contract(contract.address).functions
    before = functions.env()[1]
    node.post("/devnet/time", advance=86_400)
    assert functions.env()[1] - before >= 86_400
    assert contract.call("deposit", value=1)["receipt"]["result"] == "SUCCESS"
    late = contract.builder("deposit").expiration(-1000).build()
    signature = node.key(0).sign_msg_hash(bytes.fromhex(late.txid)).hex()
    late.set_signature([signature])
    assert node.wallet("broadcasttransaction", **late.to_json())["code"] == "TRANSACTION_EXPIRATION_ERROR"


def test_blocks_come_at_whole_intervals() -> None:
    now = 1_800_000_000_500
    chain = Chain(Settings(block_time=3.0), clock=lambda: now)
    times = []
    for _ in range(4):
        now += round(chain.due_in_seconds() * 1000)
        times.append(chain.mine().timestamp - 1_800_000_000_000)
    assert times == [0, 3000, 6000, 9000]
    now += 10_000  # a pause: the slots in between stay empty
    assert chain.due_in_seconds() == 0
    assert chain.mine().timestamp == 1_800_000_018_000
    assert chain.due_in_seconds() == 2


def test_blocks_made_early_move_the_clock() -> None:
    chain = Chain(Settings(block_time=3.0), clock=lambda: 1_800_000_000_500)
    for _ in range(100):
        chain.mine()
    assert chain.head.timestamp == 1_800_000_000_000 + 99 * 3000
    assert chain.client_time_ms() == 1_800_000_000_500


def test_the_interval_can_be_changed_while_it_runs(node: Any) -> None:
    node.post("/devnet/block-time", seconds=0.02)
    deadline = time.monotonic() + 60
    while node.http.get("/devnet/status").json()["head"] < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    node.post("/devnet/block-time", seconds=None)
    head = node.http.get("/devnet/status").json()["head"]
    time.sleep(0.1)
    assert node.http.get("/devnet/status").json()["head"] == head


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("mine", {"blocks": 0}),
        ("mine", {"blocks": True}),
        ("mine", {"blocks": "3"}),
        ("block-time", {"seconds": 0}),
        ("block-time", {"seconds": "fast"}),
        ("time", {}),
        ("reorg", {"depth": 1, "transactions": "maybe"}),
        ("faucet", {"address": "T", "amount": 1}),
        ("faucet", {"address": STRANGER, "amount": 1 << 61}),
    ],
)
def test_wrong_control_calls_are_problems(node: Any, path: str, params: dict[str, Any]) -> None:
    answer = node.http.post(f"/devnet/{path}", json=params)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_the_faucet_gives_equal_gifts_at_once(node: Any) -> None:
    gifts = {node.post("/devnet/faucet", address=STRANGER, amount=5)["txid"] for _ in range(10)}
    node.mine()
    assert len(gifts) == 10
    assert balance(node, STRANGER) == 50


def test_ranges_of_blocks(node: Any) -> None:
    node.mine(5)
    found = node.wallet("getblockbylimitnext", startNum=2, endNum=5)["block"]
    assert [block["block_header"]["raw_data"]["number"] for block in found] == [2, 3, 4]
    newest = node.wallet("getblockbylatestnum", num=2)["block"]
    assert [block["block_header"]["raw_data"]["number"] for block in newest] == [5, 6]
    assert node.wallet("getblockbylimitnext", startNum=5, endNum=2) == {}
    assert node.wallet("getblockbylimitnext", startNum=0, endNum=101) == {}


def test_addresses_are_validated(node: Any) -> None:
    def check(address: str) -> Any:
        return node.wallet("validateaddress", address=address)

    assert check(STRANGER) == {"result": True, "message": "Base58check format"}
    assert check("41d09ad14080d4b257a819a4f579b8485be88f086c") == {"result": True, "message": "Hex string format"}
    assert check("nonsense")["result"] is False


def test_sign_weight_counts_approvals(node: Any) -> None:
    client = node.tron()
    transaction = client.trx.transfer(node.address(0), node.address(1), 1).build()
    before = client.get_sign_weight(transaction)
    assert before["result"] == {"code": "NOT_ENOUGH_PERMISSION"}
    after = client.get_sign_weight(transaction.sign(node.key(0)))
    assert (after["result"], after["current_weight"], len(after["approved_list"])) == ({}, 1, 1)


def test_a_contract_built_by_the_node_is_deployed(node: Any, artifact: dict[str, Any]) -> None:
    draft = node.wallet(
        "deploycontract",
        owner_address=node.address(0),
        abi=json.dumps(artifact["abi"]),
        bytecode=artifact["bytecode"],
        name="T",
        fee_limit=10**9,
        call_value=5,
        consume_user_resource_percent=100,
        origin_energy_limit=10**7,
        visible=True,
    )
    signature = node.key(0).sign_msg_hash(bytes.fromhex(draft["txID"])).hex()
    assert node.wallet("broadcasttransaction", **draft, signature=[signature])["result"] is True
    node.mine()
    info = node.info(draft["txID"])
    assert info["receipt"]["result"] == "SUCCESS"
    assert balance(node, info["contract_address"]) == 5


def test_the_command_explains_itself() -> None:
    command = [sys.executable, "-m", "devnet", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    for word in ("--port", "--block-time", "--on-demand", "--data", "--restore", "Examples"):
        assert word in shown


def test_a_reorganisation_takes_the_slots_of_the_blocks_that_are_gone() -> None:
    chain = Chain(Settings(block_time=3.0), clock=lambda: 1_800_000_030_500)
    for _ in range(5):
        chain.mine()
    times = [block.timestamp for block in chain.blocks[3:]]
    blocks = chain.reorganise(3, keep=True)
    assert [block.timestamp for block in blocks] == [*times, times[-1] + 3000]
    assert len({block.id for block in blocks} & {block.id for block in chain.blocks}) == 4
    assert [block.number for block in chain.blocks] == list(range(7))

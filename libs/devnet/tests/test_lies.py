"""A node that lies, and one that answers a broadcast with less than the truth."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

STRANGER = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
NOW = "wallet/getnowblock"


def height(block: dict[str, Any]) -> int:
    return int(block["block_header"]["raw_data"]["number"])


def infos(stage: Any, number: int, prefix: str = "") -> Any:
    return stage.node.post(f"{prefix}/wallet/gettransactioninfobyblocknum", num=number)


def signed_transfer(node: Any, amount: int) -> dict[str, Any]:
    client = node.tron()
    return dict(client.trx.transfer(node.address(1), STRANGER, amount).build().sign(node.key(1)).to_json())


# ---- lies -----------------------------------------------------------------------------------------------------------


def test_an_empty_lie_is_what_a_node_says_of_what_it_does_not_have(well: Any) -> None:
    number = well.call("deposit", value=1)["blockNumber"]
    well.node.fault("lie", form="empty", face="b")
    assert infos(well, number, "/face/b") == []
    assert well.node.post("/face/b/wallet/getblockbynum", num=number) == {}
    assert well.node.post("/face/b/wallet/getblockbylimitnext", startNum=1, endNum=3) == {}


def test_a_short_lie_leaves_out_a_receipt_a_block_and_a_log(well: Any) -> None:
    node = well.node
    well.builder("deposit", value=1).build().sign(node.key(0)).broadcast()
    sent = well.call("deposit", value=2)
    number = sent["blockNumber"]
    logs = {"fromBlock": hex(number), "toBlock": hex(number)}
    every = (infos(well, number), node.rpc("eth_getLogs", logs)["result"])
    well.node.fault("lie", form="short")
    assert infos(well, number) == every[0][:-1]
    assert node.rpc("eth_getLogs", logs)["result"] == every[1][:-1]
    assert len(node.wallet("getblockbylimitnext", startNum=1, endNum=4)["block"]) == 2
    assert len(node.wallet("getblockbynum", num=number)["transactions"]) == len(every[0]) - 1


def test_a_node_without_its_index_finds_no_logs_and_shows_none(well: Any) -> None:
    number = well.call("deposit", value=1)["blockNumber"]
    well.node.fault("lie", form="no-logs")
    assert well.node.rpc("eth_getLogs", {"fromBlock": hex(number), "toBlock": "latest"})["result"] == []
    (receipt,) = infos(well, number)
    assert "log" not in receipt
    assert receipt["receipt"]["result"] == "SUCCESS"


def test_a_lie_about_one_method_leaves_the_rest_of_a_batch_true(well: Any) -> None:
    number = well.call("deposit", value=1)["blockNumber"]
    well.node.fault("lie", form="empty", paths=["jsonrpc/eth_getLogs"])
    block = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [hex(number), False]}
    logs = {"jsonrpc": "2.0", "id": 2, "method": "eth_getLogs", "params": [{"fromBlock": hex(number)}]}
    answers = well.node.http.post("/jsonrpc", json=[block, logs]).json()
    assert (answers[0]["result"]["number"], answers[1]["result"]) == (hex(number), [])


def test_a_log_less_in_a_receipt(well: Any) -> None:
    number = well.call("deposit", value=1)["blockNumber"]
    (true,) = infos(well, number)
    well.node.fault("lie", form="a-log-less")
    (receipt,) = infos(well, number)
    assert receipt.get("log", []) == true["log"][:-1]


def test_another_hash_is_no_longer_the_header_s(well: Any) -> None:
    node = well.node
    head = node.wallet("getnowblock")
    number = height(head)
    well.node.fault("lie", form="other-hash")
    assert node.wallet("getblockbynum", num=number)["blockID"] != head["blockID"]
    assert node.wallet("getblockbynum", num=number)["block_header"] == head["block_header"]
    assert node.rpc("eth_getBlockByNumber", hex(number), False)["result"]["hash"] != "0x" + head["blockID"]


def test_garbage_is_html_with_status_200(well: Any) -> None:
    well.node.fault("lie", form="garbage", paths=[NOW])
    answer = well.node.http.post(f"/{NOW}")
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")


@pytest.mark.parametrize("first", ["lie", "log-limit", "half", "delay"])
def test_what_one_fault_broke_another_leaves_as_it_is(well: Any, first: str) -> None:
    well.node.fault(first, paths=[NOW])
    well.node.fault("lie", form="garbage", paths=[NOW])
    with pytest.raises(httpx.RemoteProtocolError) if first == "half" else nullcontext():
        assert httpx.post(f"{well.node.url}/{NOW}").text.startswith("<html>")


# ---- broadcasts -----------------------------------------------------------------------------------------------------


def test_a_lost_broadcast_answers_success_and_is_never_mined(well: Any) -> None:
    well.node.fault("broadcast", form="lost", count=1)
    body = signed_transfer(well.node, 11)
    answer = well.node.wallet("broadcasttransaction", **body)
    assert answer == {"result": True, "txid": body["txID"]}
    well.node.mine(3)
    assert well.node.info(body["txID"]) == {}
    assert well.node.wallet("broadcasttransaction", **body)["result"] is True  # it can be sent again
    well.node.mine()
    assert well.node.info(body["txID"])["id"] == body["txID"]


def test_a_held_broadcast_is_mined_later(well: Any) -> None:
    well.node.fault("broadcast", form="held", hold=60)
    body = signed_transfer(well.node, 12)
    assert well.node.wallet("broadcasttransaction", **body)["result"] is True
    well.node.mine()
    assert well.node.info(body["txID"]) == {}
    well.node.http.delete("/devnet/faults")  # what it held goes on
    deadline = time.monotonic() + 60
    while not well.node.info(body["txID"]):
        assert time.monotonic() < deadline
        well.node.mine()


def test_a_doubled_broadcast_says_duplicate_and_is_mined_once(well: Any) -> None:
    well.node.fault("broadcast", form="twice")
    body = signed_transfer(well.node, 13)
    assert well.node.wallet("broadcasttransaction", **body)["code"] == "DUP_TRANSACTION_ERROR"
    well.node.mine()
    assert well.node.info(body["txID"])["id"] == body["txID"]


@pytest.mark.parametrize("kind", ["hang", "reset", "status"])
def test_an_answer_can_be_lost_after_the_node_took_the_transaction(well: Any, kind: str) -> None:
    hold = {"hold": 0.1} if kind == "hang" else {}
    well.node.fault(kind, paths=["wallet/broadcasttransaction"], after=True, count=1, **hold)
    body = signed_transfer(well.node, {"hang": 14, "reset": 15, "status": 16}[kind])
    if kind == "status":
        assert well.node.http.post("/wallet/broadcasttransaction", json=body).status_code == 500
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{well.node.url}/wallet/broadcasttransaction", json=body)
    well.node.mine()
    assert well.node.info(body["txID"])["id"] == body["txID"]

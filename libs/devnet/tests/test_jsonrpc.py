"""Ethereum's JSON-RPC as java-tron offers it: recorded shapes and errors, and the log filter."""

from __future__ import annotations

from typing import Any

import pytest

WORD = "0x" + "0" * 63


@pytest.fixture(scope="module")
def logs(stage: Any) -> list[dict[str, Any]]:
    """Four blocks: a transfer, two notes (each with an anonymous event) and a failure."""
    stage.call("transfer", stage.node.address(1), 12_345)
    stage.call("note", 1, "one", b"")
    stage.call("note", 2, "two", b"")
    stage.call("failStrTx")
    return list(stage.node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})["result"])


def kinds(value: Any) -> Any:
    """Keys and JSON types."""
    if isinstance(value, dict):
        return {key: kinds(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted({repr(kinds(item)) for item in value})
    return type(value).__name__


def theirs(recordings: dict[str, Any], number: str) -> dict[str, Any]:
    (response,) = [item["response"] for name, item in recordings.items() if name.startswith(number)]
    return dict(response)


def test_logs_have_the_recorded_shape_and_count_up_within_a_block(
    stage: Any, logs: list[dict[str, Any]], recordings: dict[str, Any]
) -> None:
    assert kinds(logs[0]) == kinds(theirs(recordings, "346")["result"][0])
    assert [log["logIndex"] for log in logs] == ["0x0", "0x0", "0x0", "0x1", "0x0", "0x1"]
    assert logs[3]["topics"] == []
    two = [stage.builder("note", number, "n", b"").build().sign(stage.node.key(0)) for number in (7, 8)]
    for transaction in two:
        transaction.broadcast()
    head = hex(stage.node.mine())
    found = stage.node.rpc("eth_getLogs", {"fromBlock": head, "toBlock": head})["result"]
    assert [log["logIndex"] for log in found] == ["0x0", "0x1", "0x2", "0x3"]
    assert [log["transactionIndex"] for log in found] == ["0x0", "0x0", "0x1", "0x1"]


def test_logs_are_filtered(stage: Any, logs: list[dict[str, Any]]) -> None:
    address, note, transfer = logs[0]["address"], logs[2]["topics"][0], logs[1]["topics"][0]
    last = logs[-1]["blockNumber"]

    def ask(**query: Any) -> list[dict[str, Any]]:
        return list(stage.node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": last, **query})["result"])

    assert ask(address=address) == logs
    assert ask(address=["0x" + "11" * 20, address]) == logs
    assert ask(address=["0x" + "11" * 20]) == []
    assert ask(address=address.upper().replace("0X", "0x")) == logs
    assert ask(topics=[transfer]) == logs[:2]
    assert ask(topics=[note]) == [logs[2], logs[4]]
    assert ask(topics=[[note, transfer]]) == [logs[0], logs[1], logs[2], logs[4]]
    assert ask(topics=[None, WORD + "2"]) == [logs[4]]
    assert ask(topics=[note, [WORD + "1", WORD + "2"]]) == [logs[2], logs[4]]
    assert ask(topics=[transfer, WORD + "1"]) == []
    assert ask(topics=[]) == logs
    assert ask(fromBlock=last) == logs[4:]
    by_hash = stage.node.rpc("eth_getLogs", {"blockHash": logs[4]["blockHash"]})["result"]
    assert by_hash == logs[4:]
    assert stage.node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x3b9aca00"})["result"][:6] == logs


def test_a_range_over_the_limit_is_refused(stage: Any) -> None:
    answer = stage.node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x1", "address": ["0x" + "11" * 20] * 1001})
    assert answer["error"]["code"] == -32602
    stage.node.mine(5_001)
    answer = stage.node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    assert answer["error"] == {"code": -32602, "message": "exceed max block range: 5000", "data": "{}"}


# A recording, and the same call here. ADDRESS stands for the contract; every error must be the very same.
SAME = {
    "351": ("eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x1"}),
    "352": ("eth_getLogs", {"fromBlock": "finalized", "address": "4152fd7d3a354b4a3f8704637b5bc85504b71ba995"}),
    "353": ("eth_getLogs", {"address": "0x4152fd7d3a354b4a3f8704637b5bc85504b71ba995"}),
    "359": ("eth_getTransactionByHash", "0x" + "ab" * 32),
    "360": ("eth_getTransactionReceipt", "0x" + "ab" * 32),
    "343": ("eth_getBlockByNumber", "0x3b9aca00", False),
    "363": ("eth_getBalance", "0x5050a4f4b3f9338c3472dcc01a87c76a144b3c9c", "0x1"),
    "366": ("eth_getTransactionCount", "0x5050a4f4b3f9338c3472dcc01a87c76a144b3c9c", "latest"),
    "367": ("eth_call", {"to": "ADDRESS", "data": "0x06fdde03"}, "latest"),
    "368": ("eth_call", {"to": "ADDRESS", "data": "0x06fdde03"}, "0x46"),
    "369": ("eth_call", {"to": "ADDRESS", "data": "0x12345678"}, "latest"),
    "371": ("eth_sendRawTransaction", "0x00"),
    "372": ("eth_feeHistory", "0x1", "latest", []),
    "375": ("eth_accounts",),
    "376": ("nosuch_method",),
    "377": ("eth_getLogs",),
    "335": ("eth_syncing",),
    "336": ("eth_gasPrice",),
}  # fmt: skip


@pytest.mark.parametrize("number", SAME)
def test_answers_and_errors_are_the_recorded_ones(stage: Any, recordings: dict[str, Any], number: str) -> None:
    method, *params = SAME[number]
    address = "0x" + stage.hex[2:]
    asked = [
        {key: address if value == "ADDRESS" else value for key, value in item.items()}
        if isinstance(item, dict)
        else item
        for item in params
    ]
    assert stage.node.rpc(method, *asked) == theirs(recordings, number)


def test_blocks_transactions_and_receipts_have_the_recorded_shape(
    stage: Any, logs: list[dict[str, Any]], recordings: dict[str, Any]
) -> None:
    log, rpc = logs[1], stage.node.rpc
    failed = hex(int(logs[-1]["blockNumber"], 16) + 1)
    assert kinds(rpc("eth_getBlockByNumber", log["blockNumber"], False)) == kinds(theirs(recordings, "338"))
    assert kinds(rpc("eth_getBlockByNumber", log["blockNumber"], True)) == kinds(theirs(recordings, "339"))
    assert kinds(rpc("eth_getBlockByNumber", "earliest", False)) == kinds(theirs(recordings, "342"))
    assert kinds(rpc("eth_getBlockByHash", log["blockHash"], False)) == kinds(theirs(recordings, "344"))
    assert kinds(rpc("eth_getTransactionByHash", log["transactionHash"])) == kinds(theirs(recordings, "354"))
    assert kinds(rpc("eth_getTransactionReceipt", log["transactionHash"])) == kinds(theirs(recordings, "355"))
    assert kinds(rpc("eth_getTransactionReceipt", logs[0]["transactionHash"])) == kinds(theirs(recordings, "356"))
    (receipt,) = rpc("eth_getBlockReceipts", failed)["result"]
    assert kinds(receipt) == kinds(theirs(recordings, "357")["result"])
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    (by_hash,) = rpc("eth_getBlockReceipts", log["blockHash"])["result"]
    assert by_hash["logs"] == [log]
    assert rpc("eth_getBlockReceipts", "0x1")["result"] == []
    assert rpc("eth_getBlockReceipts", "0x3b9aca00")["result"] is None


def test_a_full_block_agrees_with_the_wallet_api(stage: Any, logs: list[dict[str, Any]]) -> None:
    number = int(logs[1]["blockNumber"], 16)
    block = stage.node.rpc("eth_getBlockByNumber", hex(number), True)["result"]
    shown = stage.node.wallet("getblockbynum", num=number)
    assert block["hash"] == "0x" + shown["blockID"]
    assert int(block["timestamp"], 16) == shown["block_header"]["raw_data"]["timestamp"] // 1000
    (transaction,) = block["transactions"]
    assert transaction["r"] + transaction["s"][2:] == "0x" + shown["transactions"][0]["signature"][0][:128]
    info = stage.node.info(shown["transactions"][0]["txID"])
    assert int(block["gasUsed"], 16) == info["receipt"]["energy_usage_total"]
    assert int(block["gasLimit"], 16) == 1_000_000_000


def test_tags(stage: Any) -> None:
    rpc = stage.node.rpc
    head = int(rpc("eth_blockNumber")["result"], 16)
    assert rpc("eth_getBlockByNumber", "latest", False)["result"]["number"] == hex(head)
    assert rpc("eth_getBlockByNumber", "finalized", False)["result"]["number"] == hex(max(0, head - 18))
    assert rpc("eth_getBlockByNumber", "pending", False)["error"]["code"] == -32602
    assert rpc("eth_getBlockByNumber", "nonsense", False)["error"]["code"] == -32602


def test_the_chain_id_is_the_end_of_the_genesis_block_s_hash(stage: Any) -> None:
    rpc = stage.node.rpc
    identity = rpc("eth_getBlockByNumber", "earliest", False)["result"]["hash"]
    assert rpc("eth_chainId")["result"] == "0x" + identity[-8:].lstrip("0")
    assert rpc("net_version") == rpc("eth_chainId")
    assert rpc("web3_clientVersion")["result"].startswith("TRON/v4.8.0")
    code = stage.client.get_contract(stage.address).functions.env()[0]
    assert code == int(identity[-8:], 16)


def test_batches_and_malformed_requests(stage: Any) -> None:
    batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId", "params": []} for number in (1, 2)]
    answer = stage.node.http.post("/jsonrpc", json=[*batch, 5]).json()
    assert [item["id"] for item in answer] == [1, 2, None]
    assert answer[2]["error"]["code"] == -32600
    assert stage.node.http.post("/jsonrpc", content=b"{").json()["error"]["code"] == -32700
    assert stage.node.rpc("eth_getCode", "0x12", "latest")["error"]["code"] == -32602
    assert stage.node.rpc("eth_call", "x", "latest")["error"]["code"] == -32602


def test_gas_is_estimated_as_energy_is(stage: Any) -> None:
    call = {"to": "0x" + stage.hex[2:], "data": "0x06fdde03"}
    assert stage.node.rpc("eth_estimateGas", call)["result"].startswith("0x")
    assert stage.node.rpc("eth_estimateGas", {**call, "data": "0x12345678"})["error"]["code"] == -32000
    slot = stage.node.rpc("eth_getStorageAt", "0x" + stage.hex[2:], "0x1", "latest")["result"]
    assert int(slot, 16) == 10**12


# ---- filters --------------------------------------------------------------------------------------------------------


def test_filters_tell_what_is_new_since_they_were_asked(stage: Any, recordings: dict[str, Any]) -> None:
    rpc, address = stage.node.rpc, "0x" + stage.hex[2:]
    logs = rpc("eth_newFilter", {"fromBlock": "latest", "address": address})["result"]
    blocks = rpc("eth_newBlockFilter")["result"]
    assert len(logs) == len(blocks) == len(theirs(recordings, "381")["result"])
    assert rpc("eth_getFilterChanges", logs)["result"] == []
    assert rpc("eth_getFilterChanges", blocks)["result"] == []
    stage.call("note", 5, "five", b"")
    found = rpc("eth_getFilterChanges", logs)
    assert kinds(found) == kinds(theirs(recordings, "388"))
    told = rpc("eth_getFilterChanges", blocks)
    assert kinds(told) == kinds(theirs(recordings, "389"))
    assert told["result"] == [found["result"][0]["blockHash"]]
    assert rpc("eth_getFilterChanges", logs)["result"] == []
    every = rpc("eth_getFilterLogs", logs)
    assert kinds(every) == kinds(theirs(recordings, "390"))
    assert every["result"][-1] == found["result"][-1]
    assert rpc("eth_uninstallFilter", logs) == theirs(recordings, "391")
    assert rpc("eth_getFilterChanges", logs) == theirs(recordings, "392")
    for method in ("eth_getFilterLogs", "eth_uninstallFilter"):
        assert rpc(method, logs)["error"] == theirs(recordings, "392")["error"]
    assert rpc("eth_getFilterLogs", blocks)["error"] == theirs(recordings, "392")["error"]


def test_a_filter_of_blocks_to_come_keeps_to_its_bounds_and_topics(stage: Any) -> None:
    rpc, address = stage.node.rpc, "0x" + stage.hex[2:]
    head = int(rpc("eth_blockNumber")["result"], 16)
    upto = rpc("eth_newFilter", {"fromBlock": hex(head + 1), "toBlock": hex(head + 1), "address": address})["result"]
    note = rpc("eth_newFilter", {"address": address, "topics": [None, WORD + "7"]})["result"]
    stage.call("note", 7, "seven", b"")
    stage.call("note", 8, "eight", b"")
    found = rpc("eth_getFilterChanges", upto)["result"]
    assert {log["blockNumber"] for log in found} == {hex(head + 1)}
    assert rpc("eth_getFilterLogs", upto)["result"] == found
    assert [log["topics"][1] for log in rpc("eth_getFilterChanges", note)["result"]] == [WORD + "7"]


def test_a_filter_tells_logs_that_a_reorganisation_has_removed(stage: Any) -> None:
    rpc, address = stage.node.rpc, "0x" + stage.hex[2:]
    logs, blocks = rpc("eth_newFilter", {"address": address})["result"], rpc("eth_newBlockFilter")["result"]
    stage.call("transfer", stage.node.address(1), 6)
    (before,) = rpc("eth_getFilterChanges", logs)["result"]
    rpc("eth_getFilterChanges", blocks)
    stage.node.post("/devnet/reorg", depth=1, transactions="keep")
    gone, again = rpc("eth_getFilterChanges", logs)["result"]
    assert gone == {**before, "removed": True}
    assert (again["removed"], again["transactionHash"]) == (False, before["transactionHash"])
    assert again["blockHash"] in rpc("eth_getFilterChanges", blocks)["result"]


def test_filters_that_cannot_be_are_refused(stage: Any, recordings: dict[str, Any]) -> None:
    rpc = stage.node.rpc
    assert rpc("eth_newFilter", {"blockHash": "0x" + "ab" * 32})["error"]["message"] == "not support blockHash"
    assert rpc("eth_newFilter", {"fromBlock": "0x2", "toBlock": "0x1"})["error"] == theirs(recordings, "351")["error"]
    assert rpc("eth_newFilter")["error"] == theirs(recordings, "377")["error"]
    assert rpc("eth_getFilterChanges", ["0x"])["error"] == theirs(recordings, "392")["error"]


def test_a_transaction_is_found_by_its_place(stage: Any, logs: list[dict[str, Any]]) -> None:
    rpc, log = stage.node.rpc, logs[1]
    expected = rpc("eth_getTransactionByHash", log["transactionHash"])
    assert rpc("eth_getTransactionByBlockNumberAndIndex", log["blockNumber"], "0x0") == expected
    assert rpc("eth_getTransactionByBlockHashAndIndex", log["blockHash"], "0x0") == expected
    assert rpc("eth_getTransactionByBlockNumberAndIndex", log["blockNumber"], "0x1")["result"] is None
    assert rpc("web3_sha3", "0x")["result"] == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert rpc("web3_sha3", "zz")["error"]["code"] == -32602

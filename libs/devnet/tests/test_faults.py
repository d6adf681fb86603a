"""A node that misbehaves on demand: when a fault strikes, and what a client sees of it."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import httpx
import pytest
from tronpy import Tron
from tronpy.providers import HTTPProvider

STRANGER = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
NOW = "wallet/getnowblock"


def height(block: dict[str, Any]) -> int:
    return int(block["block_header"]["raw_data"]["number"])


def signed_transfer(node: Any, amount: int) -> dict[str, Any]:
    client = node.tron()
    return dict(client.trx.transfer(node.address(1), STRANGER, amount).build().sign(node.key(1)).to_json())


# ---- when a fault strikes -----------------------------------------------------------------------------------------


def test_a_fault_strikes_only_its_paths_and_its_face(well: Any) -> None:
    node = well.node
    well.node.fault("status", status=502, paths=[NOW], face="b")
    assert node.http.post(f"/face/b/{NOW}").status_code == 502
    assert node.http.post("/face/b/wallet/getblockbynum", json={"num": 1}).status_code == 200
    assert node.http.post(f"/face/c/{NOW}").status_code == 200
    assert node.http.post(f"/{NOW}").status_code == 200
    well.node.fault("status", status=504, paths="wallet/*", face="*")
    assert [node.http.post(f"{face}/{NOW}").status_code for face in ("", "/face/c")] == [504, 504]


def test_a_fault_can_name_a_method_of_json_rpc(well: Any) -> None:
    well.node.fault("lie", paths=["jsonrpc/eth_blockNumber"])
    assert well.node.rpc("eth_blockNumber")["result"] is None
    assert well.node.rpc("eth_chainId")["result"].startswith("0x")


def test_a_fault_skips_then_strikes_a_number_of_times_and_says_so(well: Any) -> None:
    well.node.fault("status", paths=[NOW], skip=2, count=3)
    assert [well.node.http.post(f"/{NOW}").status_code for _ in range(7)] == [200, 200, 500, 500, 500, 200, 200]
    (shown,) = well.node.http.get("/devnet/faults").json()
    assert (shown["matched"], shown["struck"], shown["ended"]) == (5, 3, True)


def test_chance_is_the_same_for_the_same_seed(well: Any) -> None:
    def struck(seed: int) -> list[int]:
        one = well.node.fault("status", paths=[NOW], probability=0.3, seed=seed)
        seen = [well.node.http.post(f"/{NOW}").status_code for _ in range(60)]
        well.node.http.delete("/devnet/faults", params={"id": one["id"]}).raise_for_status()
        return seen

    assert struck(7) == struck(7)
    assert struck(7) != struck(8)
    assert 8 <= struck(7).count(500) <= 28


def test_a_fault_ends_by_itself_after_its_seconds(well: Any) -> None:
    well.node.fault("status", paths=[NOW], seconds=1)
    assert well.node.http.post(f"/{NOW}").status_code == 500
    deadline = time.monotonic() + 60
    while well.node.http.post(f"/{NOW}").status_code == 500:
        assert time.monotonic() < deadline


def test_faults_are_listed_and_cleared_by_id_by_face_and_all(well: Any) -> None:
    http = well.node.http
    ids = [well.node.fault("delay", face=face)["id"] for face in ("a", "a", "b", "c")]

    def left() -> list[int]:
        return [shown["id"] for shown in http.get("/devnet/faults").json()]

    assert left() == ids
    http.delete("/devnet/faults", params={"id": ids[3]})
    assert left() == ids[:3]
    http.delete("/devnet/faults", params={"face": "a"})
    assert left() == [ids[2]]
    assert http.delete("/devnet/faults", params={"id": 999}).json()["detail"] == "id: there is no fault 999"
    http.delete("/devnet/faults")
    assert left() == []


def test_every_kind_is_explained(node: Any) -> None:
    kinds = node.http.get("/devnet/faults/kinds").json()
    assert len(kinds) == 12
    assert all(kind["does"].endswith(".") for kind in kinds.values())


@pytest.mark.parametrize(
    ("form", "detail"),
    [
        ({}, "kind: expected one of lag, fork"),
        ({"kind": "lag", "bocks": 3}, "bocks: a fault of kind lag has only face, paths"),
        ({"kind": "lag", "blocks": 0}, "blocks: expected an integer from 1 to"),
        ({"kind": "lie", "form": "white"}, "form: expected one of empty, short"),
        ({"kind": "clock"}, "skew: a fault of kind clock needs it"),
        ({"kind": "hang", "after": 1}, "after: expected true or false, got 1"),
        ({"kind": "delay", "probability": 1.5}, "probability: expected a number from 0 to 1, got 1.5"),
        ({"kind": "delay", "paths": []}, "paths: expected paths such as"),
    ],
)
def test_a_fault_that_means_nothing_is_a_problem_that_names_the_field(
    stage: Any, form: dict[str, Any], detail: str
) -> None:
    answer = stage.node.http.post("/devnet/faults", json=form)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)
    assert stage.node.http.get("/devnet/faults").json() == []


def test_an_unmodified_client_talks_to_a_face(well: Any) -> None:
    client = Tron(HTTPProvider(f"{well.node.url}/face/b/"))
    well.node.fault("lag", blocks=1, face="b")
    assert client.get_latest_block_number() == well.client.get_latest_block_number() - 1


# ---- how the node sees the chain ----------------------------------------------------------------------------------


def test_a_face_lags_in_everything_that_it_shows(well: Any) -> None:
    node = well.node
    node.mine(30)
    before = well.client.get_account_balance(node.address(5))
    sent = node.transfer(5, STRANGER, 5_000_000)
    node.mine(3)
    well.node.fault("lag", blocks=4, face="late")
    head = height(node.wallet("getnowblock"))

    def late(path: str, **params: Any) -> Any:
        return node.post(f"/face/late/{path}", **params)

    assert height(late("wallet/getnowblock")) == head - 4
    assert height(late("walletsolidity/getnowblock")) == head - 4 - 18
    assert late("wallet/getblockbynum", num=head - 3) == {}
    assert late("wallet/gettransactioninfobyid", value=sent["id"]) == {}
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"}
    assert late("jsonrpc", **call)["result"] == hex(head - 4)
    account = late("wallet/getaccount", address=node.address(5), visible=True)
    assert account["balance"] / 1_000_000 == float(before)
    assert height(node.wallet("getnowblock")) == head


def test_a_face_can_be_stuck_at_the_head_that_it_has(well: Any) -> None:
    node = well.node
    head = height(node.wallet("getnowblock"))
    well.node.fault("lag", face="stuck")
    node.mine(30)
    assert height(node.post(f"/face/stuck/{NOW}")) == head
    node.http.delete("/devnet/faults")
    assert height(node.post(f"/face/stuck/{NOW}")) == head + 30


def test_now_and_then_an_older_head_as_behind_a_load_balancer(well: Any) -> None:
    well.node.mine(5)
    well.node.fault("lag", blocks=2, probability=0.5, seed=1, paths=[NOW])
    heads = {height(well.node.wallet("getnowblock")) for _ in range(30)}
    assert max(heads) - min(heads) == 2
    assert len(heads) == 2


def test_a_face_on_another_branch_shows_blocks_that_follow_each_other(well: Any) -> None:
    node = well.node
    sent = well.call("deposit", value=1)
    node.mine(2)
    well.node.fault("fork", blocks=4, face="b")
    head = height(node.wallet("getnowblock"))
    numbers = {"startNum": head - 5, "endNum": head + 1}
    true = node.wallet("getblockbylimitnext", **numbers)["block"]
    other = node.post("/face/b/wallet/getblockbylimitnext", **numbers)["block"]
    same = [ours["blockID"] == theirs["blockID"] for ours, theirs in zip(true, other, strict=True)]
    assert same == [True] * 2 + [False] * 4
    for parent, child in pairwise(other):
        assert child["block_header"]["raw_data"]["parentHash"] == parent["blockID"]
    assert node.post("/face/b/wallet/getblockbyid", value=true[-1]["blockID"]) == {}
    receipt = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": [sent["id"]]}
    assert node.post("/face/b/jsonrpc", **receipt)["result"]["blockHash"] == "0x" + other[3]["blockID"]
    assert node.post("/jsonrpc", **receipt)["result"]["blockHash"] == "0x" + true[3]["blockID"]


def test_a_node_with_a_slow_clock_takes_an_expired_transaction_in_vain_and_a_fast_one_refuses_a_good_one(
    well: Any,
) -> None:
    node = well.node
    well.node.fault("clock", skew=3600, face="fast")
    well.node.fault("clock", skew=-3600, face="slow")
    good = signed_transfer(node, 3)
    assert node.post("/face/fast/wallet/broadcasttransaction", **good)["code"] == "TRANSACTION_EXPIRATION_ERROR"
    late = well.builder("deposit", value=3).expiration(-1000).build()
    late.set_signature([node.key(0).sign_msg_hash(bytes.fromhex(late.txid)).hex()])
    assert node.wallet("broadcasttransaction", **late.to_json())["code"] == "TRANSACTION_EXPIRATION_ERROR"
    assert node.post("/face/slow/wallet/broadcasttransaction", **late.to_json())["result"] is True
    node.mine(1)
    assert node.wallet("gettransactionbyid", value=late.txid) == {}  # for no producer's clock is slow
    assert node.wallet("broadcasttransaction", **good)["result"] is True


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        (429, 429, "exceeded the allowed_rps"),
        ("403", 403, "exceeds the frequency limit"),
        ("503", 503, "<html>"),
        ("200", 200, "lack of computing resources"),
    ],
)
def test_a_rate_limit_takes_all_its_forms(well: Any, form: Any, status: int, words: str) -> None:
    well.node.fault("rate-limit", form=form, retry_after=2)
    answer = well.node.http.post(f"/{NOW}")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "2")
    assert words in answer.text


def test_a_rate_limit_of_json_rpc_answers_each_call_of_a_batch(well: Any) -> None:
    well.node.fault("rate-limit", form="-32005")
    calls = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in (7, 8)]
    answers = well.node.http.post("/jsonrpc", json=calls).json()
    assert [(one["id"], one["error"]["code"]) for one in answers] == [(7, -32005), (8, -32005)]


def test_a_budget_refuses_what_is_beyond_it(well: Any) -> None:
    well.node.fault("rate-limit", per_second=1, paths=[NOW])
    statuses = [well.node.http.post(f"/{NOW}").status_code for _ in range(12)]
    assert statuses[0] == 200
    assert 429 in statuses
    deadline = time.monotonic() + 60
    while well.node.http.post(f"/{NOW}").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_too_many_logs_are_refused_with_the_code_that_is_wanted(well: Any) -> None:
    blocks = [well.call("deposit", value=1)["blockNumber"] for _ in range(3)]
    well.node.fault("log-limit", results=2, code=-32003)
    wide = {"fromBlock": hex(blocks[0]), "toBlock": hex(blocks[2])}
    narrow = {"fromBlock": hex(blocks[0]), "toBlock": hex(blocks[0])}
    assert well.node.rpc("eth_getLogs", wide)["error"]["code"] == -32003
    assert 1 <= len(well.node.rpc("eth_getLogs", narrow)["result"]) <= 2
    block = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [hex(blocks[0]), False]}
    batch = [block, {"jsonrpc": "2.0", "id": 2, "method": "eth_getLogs", "params": [wide]}]
    answers = well.node.http.post("/jsonrpc", json=batch).json()
    assert (answers[0]["result"]["number"], answers[1]["id"]) == (hex(blocks[0]), 2)
    assert answers[1]["error"]["code"] == -32003


# ---- no answer, or part of one --------------------------------------------------------------------------------------


def test_a_node_that_hangs_says_nothing_until_the_fault_is_cleared(well: Any) -> None:
    well.node.fault("hang", paths=[NOW], hold=60)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{well.node.url}/{NOW}", timeout=httpx.Timeout(10, read=0.2))
    well.node.http.delete("/devnet/faults")
    assert well.node.http.post(f"/{NOW}").status_code == 200


def test_a_connection_can_be_closed_without_an_answer(well: Any) -> None:
    well.node.fault("reset", paths=[NOW], count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{well.node.url}/{NOW}")
    assert httpx.post(f"{well.node.url}/{NOW}").status_code == 200


def test_half_an_answer_ends_with_its_connection(well: Any) -> None:
    well.node.fault("half", paths=[NOW], count=1)
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        httpx.post(f"{well.node.url}/{NOW}")


def test_half_an_answer_can_look_whole(well: Any) -> None:
    well.node.fault("half", paths=[NOW], whole=True)
    answer = well.node.http.post(f"/{NOW}")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_late_answer_comes(well: Any) -> None:
    well.node.fault("delay", hold=0.2, paths=[NOW])
    start = time.monotonic()
    assert well.node.http.post(f"/{NOW}").status_code == 200
    assert time.monotonic() - start >= 0.2

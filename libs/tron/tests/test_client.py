from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tron.address import ZERO
from tron.client import NodeClient
from tron.errors import IncompleteAnswer, NodeLied, NodeRefused, NodeUnavailable, NotServed, RateLimited
from tron.model import InternalTransfer
from tron.retry import Retry

ALICE = "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF"
BOB = "TEdea7WvtoCNceWPwaz7JbkBjbb6omTQcL"
CONTRACT = "THY25XRZMr6AtsrhP4Z7ekMLBmniRo6dYH"
NOW = "wallet/getnowblock"
RANGE = "walletsolidity/getblockbylimitnext"
INFOS = "walletsolidity/gettransactioninfobyblocknum"
INFO = "wallet/gettransactioninfobyid"
Recorded = Callable[[str], Any]


@pytest.fixture
async def client(node: Any) -> AsyncIterator[NodeClient]:
    async with NodeClient(node.url, timeout=120.0) as client:
        yield client


def chain(first: int, last: int) -> list[dict[str, Any]]:
    """Return empty blocks that follow each other."""

    def block_id(number: int) -> str:
        return f"{number:016x}{'c' * 48}"

    raw: list[dict[str, Any]] = [
        {"number": n, "parentHash": block_id(n - 1), "timestamp": n * 3000} for n in range(first, last + 1)
    ]
    return [{"blockID": block_id(data["number"]), "block_header": {"raw_data": data}} for data in raw]


def by_limit(blocks: list[dict[str, Any]]) -> Callable[[Any], Any]:
    def answer(body: Any) -> Any:
        chosen = [b for b in blocks if body["startNum"] <= b["block_header"]["raw_data"]["number"] < body["endNum"]]
        return {"block": chosen[:100]} if chosen else {}

    return answer


@pytest.fixture
def burst(node: Any, recorded: Recorded) -> tuple[dict[str, Any], list[Any]]:
    """Block 70 of the recordings with its four transactions and their receipts, served and changeable."""
    block, infos = copy.deepcopy(recorded("297")), copy.deepcopy(recorded("293"))
    node.answers[RANGE] = lambda body: {"block": [block]}
    node.answers[INFOS] = lambda body: infos
    return block, infos


# -- what is read ----------------------------------------------------------------------------------------------------


async def test_a_recorded_block_is_read_with_its_receipts(client: NodeClient, burst: object) -> None:
    block, infos = await client.block_with_infos(70)
    assert block.number == 70
    assert block.hash == "000000000000004689a2f1abc79cc07ed01bd0339a958da86077e0436d3797a6"
    assert block.time_ms == 1795218294000
    first = block.transactions[0]
    assert (first.kind, first.owner, first.contract_address) == ("TriggerSmartContract", ALICE, CONTRACT)
    assert (first.fee_limit, first.amount_sun, first.call_value_sun, first.to) == (100_000_000, 0, 0, None)
    assert first.data.startswith("ea573462")
    assert [info.tx_id for info in infos] == [transaction.tx_id for transaction in block.transactions]
    assert [log.index_in_block for info in infos for log in info.logs] == list(range(8))
    assert {log.address for info in infos for log in info.logs} == {CONTRACT}
    assert infos[0].logs[1].topics == ()  # an anonymous event: the node leaves `topics` out
    assert (infos[0].success, infos[0].result) == (True, "SUCCESS")
    assert (infos[0].fee_sun, infos[0].energy_used, infos[0].energy_fee_sun) == (1_418_100, 9431, 943_100)
    assert (infos[0].bandwidth_used, infos[0].bandwidth_fee_sun) == (0, 475_000)


async def test_a_visible_block_says_the_same(client: NodeClient, node: Any, recorded: Recorded) -> None:
    node.answers[RANGE] = {"block": [recorded("297")]}
    hexadecimal = await client.blocks(70, 70)
    node.answers[RANGE] = {"block": [recorded("298")]}
    assert await client.blocks(70, 70) == hexadecimal


async def test_the_genesis_block_has_transfers_from_nobody_and_no_receipts(
    client: NodeClient, node: Any, recorded: Recorded
) -> None:
    node.answers[RANGE] = {"block": [recorded("006")]}
    node.answers[INFOS] = []
    block, infos = await client.block_with_infos(0)
    assert (block.number, block.time_ms, infos) == (0, 0, [])
    assert {transaction.owner for transaction in block.transactions} == {ZERO}
    assert block.transactions[0].amount_sun == 90_000_000_000_000_000


async def test_heads_are_blocks_that_may_be_empty(client: NodeClient, node: Any, recorded: Recorded) -> None:
    node.answers[NOW] = recorded("007")
    node.answers["walletsolidity/getnowblock"] = recorded("308")
    assert (await client.head()).transactions == ()
    (transfer,) = (await client.solid_head()).transactions
    assert (transfer.kind, transfer.to, transfer.amount_sun) == ("TransferContract", BOB, 1000)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("028", {"success": True, "result": "SUCCESS", "contract_address": None, "energy_used": 0}),
        ("085", {"success": True, "contract_address": CONTRACT, "energy_used": 685_624, "fee_sun": 73_794_400}),
        ("161", {"success": False, "result": "REVERT", "bandwidth_used": 345, "message": "REVERT opcode executed"}),
        ("176", {"success": False, "result": "REVERT", "output": "", "logs": ()}),
        ("181", {"success": False, "result": "OUT_OF_ENERGY", "energy_used": 50_000}),
        ("217", {"success": True, "fee_sun": 0, "bandwidth_used": 254}),
    ],
)
async def test_recorded_receipts_are_read(
    client: NodeClient, node: Any, recorded: Recorded, prefix: str, expected: dict[str, Any]
) -> None:
    node.replay(prefix)
    info = await client.transaction_info(recorded(prefix)["id"])
    assert info is not None
    assert {key: getattr(info, key) for key in expected} == expected


async def test_internal_transfers_are_read(client: NodeClient, node: Any, recorded: Recorded) -> None:
    node.replay("140")
    info = await client.transaction_info(recorded("140")["id"])
    assert info is not None
    assert info.internal_transfers == (InternalTransfer(CONTRACT, BOB, 500_000, "call", rejected=False),)


async def test_a_missing_transaction_is_none(client: NodeClient, node: Any) -> None:
    node.answers[INFO] = {}
    assert await client.transaction_info("ab" * 32) is None


async def test_a_long_range_is_read_in_hundreds(client: NodeClient, node: Any) -> None:
    node.answers[RANGE] = by_limit(chain(1, 250))
    assert [block.number for block in await client.blocks(1, 250)] == list(range(1, 251))
    assert [(body["startNum"], body["endNum"]) for _, body, _ in node.requests] == [(1, 101), (101, 201), (201, 251)]
    assert await client.blocks(5, 4) == []


async def test_the_api_key_is_sent_and_there_is_none_by_default(node: Any, recorded: Recorded) -> None:
    node.answers[NOW] = recorded("007")
    for key in (None, "mine"):
        async with NodeClient(node.url, api_key=key) as client:
            await client.head()
    assert [headers.get("tron-pro-api-key") for _, _, headers in node.requests] == [None, "mine"]


# -- what is refused -------------------------------------------------------------------------------------------------


async def test_a_range_that_the_node_does_not_hold_yet_is_incomplete(client: NodeClient, node: Any) -> None:
    node.answers[RANGE] = by_limit(chain(1, 7))
    with pytest.raises(IncompleteAnswer, match="expected blocks 5 to 9, got 3"):
        await client.blocks(5, 9)
    node.answers[RANGE] = {}
    with pytest.raises(IncompleteAnswer, match="got 0"):
        await client.blocks(5, 9)


async def test_no_receipts_for_a_block_with_transactions_is_no_proof_of_anything(
    client: NodeClient, burst: tuple[Any, list[Any]]
) -> None:
    burst[1].clear()
    with pytest.raises(IncompleteAnswer, match="0 receipts for a block of 4 transactions"):
        await client.block_with_infos(70)


async def test_one_missing_receipt_is_noticed(client: NodeClient, burst: tuple[Any, list[Any]]) -> None:
    burst[1].pop()
    with pytest.raises(IncompleteAnswer, match="3 receipts"):
        await client.block_with_infos(70)


async def test_receipts_in_another_order_are_put_into_the_blocks_order(
    client: NodeClient, burst: tuple[Any, list[Any]]
) -> None:
    _, expected = await client.block_with_infos(70)
    burst[1].reverse()
    assert (await client.block_with_infos(70))[1] == expected


def _set(path: str, value: Any) -> Callable[[Any, list[Any]], None]:
    def change(block: Any, infos: list[Any]) -> None:
        *keys, last = path.split(".")
        target: Any = {"block": block, "infos": infos}
        for key in keys:
            target = target[int(key)] if isinstance(target, list) else target[key]
        target[int(last) if isinstance(target, list) else last] = value

    return change


LIES = {
    "another block's number": _set("block.block_header.raw_data.number", 71),
    "another block's id": _set("block.blockID", f"{71:016x}" + "a" * 48),
    "an id that is none": _set("block.blockID", "0x46"),
    "no header": _set("block.block_header", {}),
    "a transaction that is not its raw data": _set("block.transactions.0.txID", "ab" * 32),
    "an owner that is none": _set("block.transactions.0.raw_data.contract.0.parameter.value.owner_address", "T0"),
    "a transaction without a contract": _set("block.transactions.0.raw_data.contract", []),
    "a fee limit that is a text": _set("block.transactions.0.raw_data.fee_limit", "1"),
    "a receipt of a foreign transaction": _set("infos.0.id", "ab" * 32),
    "a receipt without id": _set("infos.0.id", None),
    "a receipt of another block": _set("infos.0.blockNumber", 71),
    "a receipt of another fork": _set("infos.0.blockTimeStamp", 1795218297000),
    "a failed transaction with logs": _set("infos.0.result", "FAILED"),
    "a receipt that calls a success a failure for want of energy": _set("infos.1.receipt.result", "OUT_OF_ENERGY"),
    "a block that calls a success a failure": _set("block.transactions.0.ret.0.contractRet", "REVERT"),
    "a topic that is none": _set("infos.0.log.0.topics.0", "d453"),
    "data that is no hex": _set("infos.0.log.0.data", "0x00"),
    "a log of no address": _set("infos.0.log.0.address", "52fd"),
    "a fee that is a float": _set("infos.0.fee", 1.5),
    "a receipt that is a list": _set("infos.0", []),
    "a transaction that is a text": _set("block.transactions.0", "x"),
    "contract results that are a text": _set("infos.0.contractResult", "x"),
}


@pytest.mark.parametrize("change", LIES.values(), ids=LIES)
async def test_a_node_that_contradicts_itself_has_lied(
    client: NodeClient, burst: tuple[Any, list[Any]], change: Callable[[Any, Any], None]
) -> None:
    change(*burst)
    with pytest.raises(NodeLied):
        await client.block_with_infos(70)


async def test_two_receipts_of_one_transaction_are_a_lie(client: NodeClient, burst: tuple[Any, list[Any]]) -> None:
    burst[1][1] = burst[1][0]
    with pytest.raises(NodeLied, match="two receipts"):
        await client.block_with_infos(70)


async def test_blocks_that_do_not_follow_each_other_are_a_lie(client: NodeClient, node: Any) -> None:
    blocks = chain(1, 150)
    blocks[100]["block_header"]["raw_data"]["parentHash"] = "d" * 64  # block 101: the first of the second request
    node.answers[RANGE] = by_limit(blocks)
    with pytest.raises(NodeLied, match="block 101 has the parent"):
        await client.blocks(1, 150)
    node.answers[RANGE] = {"block": chain(3, 4)}
    with pytest.raises(NodeLied, match="expected blocks 1 to 2"):
        await client.blocks(1, 2)
    node.answers[RANGE] = {"block": chain(1, 3)}
    with pytest.raises(NodeLied, match="expected blocks 1 to 2"):
        await client.blocks(1, 2)


@pytest.mark.parametrize("answer", ['"text"', "[]", "7", "null", '{"block": 1}', '{"block": [1]}'])
async def test_an_answer_of_another_shape_is_refused(client: NodeClient, node: Any, answer: str) -> None:
    node.answers[RANGE] = lambda body: answer
    with pytest.raises((NodeLied, NodeUnavailable)):
        await client.blocks(1, 1)


# -- the wire --------------------------------------------------------------------------------------------------------


async def test_a_full_nodes_port_does_not_serve_the_solidity_interface(client: NodeClient, node: Any) -> None:
    node.replay("320")
    with pytest.raises(NotServed, match=r"/walletsolidity/getnowblock: HTTP 405"):
        await client.solid_head()


async def test_the_solidity_interface_may_have_its_own_origin(node: Any, recorded: Recorded) -> None:
    node.answers["walletsolidity/getnowblock"] = recorded("308")
    async with NodeClient("http://127.0.0.1:9", solid_url=node.url) as client:
        assert (await client.solid_head()).number == 69


@pytest.mark.parametrize("status", [429, 503, 403])
async def test_a_rate_limit_says_how_long_to_wait(client: NodeClient, node: Any, status: int) -> None:
    node.answers[NOW] = _answer(node, {"Error": "slow down"}, status, {"Retry-After": "3"})
    with pytest.raises(RateLimited, match="slow down") as caught:
        await client.head()
    assert caught.value.retry_after == 3.0


@pytest.mark.parametrize(
    "problem",
    ["class java.lang.IllegalAccessException : lack of computing resources", "The key exceeds the frequency limit(15)"],
)
async def test_a_rate_limit_can_come_as_http_200(client: NodeClient, node: Any, problem: str) -> None:
    node.answers[NOW] = {"Error": problem}
    with pytest.raises(RateLimited):
        await client.head()


async def test_any_other_error_in_http_200_is_a_refusal(client: NodeClient, node: Any) -> None:
    node.replay("328", "081")
    with pytest.raises(NodeRefused, match="JSONException"):
        await client.request("wallet/getblockbynum", {})
    with pytest.raises(NodeRefused, match="INVALID hex String"):
        await client.request("wallet/gettransactionbyid", {"value": "zz"})


async def test_an_unreachable_silent_or_broken_node_is_unavailable(client: NodeClient, node: Any) -> None:
    async with NodeClient("http://127.0.0.1:9", timeout=1.0) as nobody:
        with pytest.raises(NodeUnavailable, match="ConnectError"):
            await nobody.head()
    async with NodeClient(node.url, timeout=0.1) as hasty:
        node.answers[NOW] = _answer(node, {}, delay=0.5)
        with pytest.raises(NodeUnavailable, match="Timeout"):
            await hasty.head()
    for answer in (_answer(node, "<html>", 500), _answer(node, "<html>"), _answer(node, {}, 502)):
        node.answers[NOW] = answer
        with pytest.raises(NodeUnavailable, match="HTTP"):
            await client.head()
    node.answers[NOW] = _answer(node, {}, hang_up=True)
    with pytest.raises(NodeUnavailable, match="RemoteProtocolError"):
        await client.head()


def _answer(node: Any, body: Any, status: int = 200, headers: dict[str, str] | None = None, **more: Any) -> Any:
    return node.answer(body, status, headers or {}, **more)


# -- retries ---------------------------------------------------------------------------------------------------------


async def test_retries_are_bounded_and_only_for_what_may_pass(
    client: NodeClient, node: Any, recorded: Recorded
) -> None:
    answers = [_answer(node, {}, 500), _answer(node, {}, 429, {"Retry-After": "0"}), recorded("007")]
    node.answers[NOW] = lambda body: answers.pop(0)
    patient = Retry(attempts=3, first=0.01)
    assert (await patient(client.head)).number == 1
    node.answers[NOW] = _answer(node, {}, 500)
    node.requests.clear()
    with pytest.raises(NodeUnavailable):
        await patient(client.head)
    assert len(node.requests) == 3
    node.answers[NOW] = {"Error": "no"}
    with pytest.raises(NodeRefused):
        await patient(client.head)
    assert len(node.requests) == 4


def test_pauses_grow_with_jitter_up_to_a_bound_and_heed_the_node() -> None:
    retry = Retry(first=1.0, longest=4.0)
    failure = NodeUnavailable("node", "path", "down")
    for attempt, bound in [(1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)]:
        pauses = [retry.pause(attempt, failure) for _ in range(200)]
        assert 0 <= min(pauses) < 0.3 * bound
        assert 0.7 * bound < max(pauses) <= bound
    assert retry.pause(1, RateLimited("node", "path", "slow", retry_after=2.5)) == 2.5
    assert retry.pause(1, RateLimited("node", "path", "slow", retry_after=600)) == 4.0

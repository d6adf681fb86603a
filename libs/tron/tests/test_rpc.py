"""Logs by JSON-RPC: what is read, and every way in which a node says too much, too little or nothing."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tron import rpc
from tron.client import NodeClient
from tron.errors import IncompleteAnswer, NodeError, NodeLied, NodeRefused, NotServed, RateLimited, TooMuch
from tron.model import logs_of

CONTRACT = "THY25XRZMr6AtsrhP4Z7ekMLBmniRo6dYH"
OTHER = "TEdea7WvtoCNceWPwaz7JbkBjbb6omTQcL"
RAW = "0x52fd7d3a354b4a3f8704637b5bc85504b71ba995"
Json = dict[str, Any]


def block_id(number: int) -> str:
    return f"0x{number:016x}{'c' * 48}"


def log(number: int, index: int) -> Json:
    return {
        "address": RAW,
        "blockHash": block_id(number),
        "blockNumber": hex(number),
        "data": "0x",
        "logIndex": hex(index),
        "removed": False,
        "topics": [],
        "transactionHash": "0x" + "ab" * 32,
        "transactionIndex": "0x0",
    }


@dataclass
class Index:
    """A node's JSON-RPC over blocks that each have `per_block` logs of the contract; a test bends its answers."""

    solid: int = 100
    per_block: int = 1
    most_logs: int = 10_000
    refusal: Json = field(default_factory=lambda: {"code": -32005, "message": "query returned more than 10000 results"})
    ranges: list[tuple[int, int]] = field(default_factory=list)
    bend: Callable[[str, Any], Any] = lambda method, result: result

    def __call__(self, batch: Any) -> Any:
        return [{"jsonrpc": "2.0", "id": call["id"], **self.one(call["method"], call["params"][0])} for call in batch]

    def one(self, method: str, asked: Any) -> Json:
        if method == "eth_getBlockByNumber":
            number = self.solid if asked == "finalized" else int(asked, 16)
            header = {"number": hex(number), "hash": block_id(number), "parentHash": block_id(number - 1)}
            return {"result": self.bend(asked if asked == "finalized" else "block", header)}
        first, last = int(asked["fromBlock"], 16), min(int(asked["toBlock"], 16), self.solid)
        self.ranges.append((first, last))
        if (last - first + 1) * self.per_block > self.most_logs:
            return {"error": self.refusal}
        logs = [log(number, index) for number in range(first, last + 1) for index in range(self.per_block)]
        return {"result": self.bend("logs", logs)}


@pytest.fixture
async def client(node: Any) -> AsyncIterator[NodeClient]:
    async with NodeClient(node.url, timeout=120.0) as client:
        yield client


@pytest.fixture
def index(node: Any) -> Index:
    index = Index()
    node.answers["jsonrpc"] = lambda batch: index(batch)
    return index


def numbers(logs: Any) -> list[tuple[int, int]]:
    return [(one.block_number, one.log.index_in_block) for one in logs]


async def test_recorded_logs_are_those_of_the_recorded_receipts(
    client: NodeClient, node: Any, recorded: Callable[[str], Any]
) -> None:
    header, found = recorded("338")["result"], recorded("348")["result"]
    node.answers["jsonrpc"] = lambda batch: [
        {"jsonrpc": "2.0", "id": call["id"], "result": found if call["method"] == "eth_getLogs" else header}
        for call in batch
    ]
    node.answers["wallet/getblockbylimitnext"] = {"block": [recorded("297")]}
    node.answers["wallet/gettransactioninfobyblocknum"] = recorded("293")
    block, infos = await client.block_with_infos(70, solid=False)
    told = logs_of(block, infos, {CONTRACT})
    assert await client.rpc.logs(70, 70, [CONTRACT]) == told
    assert len(told) == 8


async def test_a_recorded_absence_is_none_and_a_recorded_error_is_one(
    client: NodeClient, node: Any, recorded: Callable[[str], Any]
) -> None:
    node.answers["jsonrpc"] = lambda batch: [recorded("343") | {"id": batch[0]["id"]}]
    assert await client.rpc.header(10**9) is None
    node.answers["jsonrpc"] = lambda batch: [recorded("351") | {"id": batch[0]["id"]}]
    with pytest.raises(NodeRefused, match="fromBlock <= toBlock"):
        await client.rpc.header(1)
    node.answers["jsonrpc"] = lambda batch: [recorded("361") | {"id": batch[0]["id"]}]
    with pytest.raises(NotServed, match="method not found"):
        await client.rpc.header(1)


REFUSALS = {
    "-32005, more than 10,000 results": {"code": -32005, "message": "query returned more than 10000 results"},
    "-32003, more than 25 MB": {"code": -32003, "message": "Response exceeds the limit of 26214400"},
    "-32602, too long a range": {"code": -32602, "message": "exceed max block range: 5000"},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_range_of_which_the_node_says_too_much_is_halved_until_it_answers(
    client: NodeClient, index: Index, refusal: Json
) -> None:
    index.refusal, index.most_logs, index.solid = refusal, 10, 100
    assert numbers(await client.rpc.logs(1, 100, [CONTRACT])) == [(number, 0) for number in range(1, 101)]
    first_time = sum(last - first >= 10 for first, last in index.ranges)
    index.ranges.clear()
    await client.rpc.logs(1, 100, [CONTRACT])  # the length that fits is remembered
    assert sum(last - first >= 10 for first, last in index.ranges) < first_time


async def test_an_answer_as_long_as_the_node_s_limit_may_be_cut_short_and_is_halved(
    client: NodeClient, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "MOST_LOGS", 10)
    index.bend = lambda method, result: result[:10] if method == "logs" else result
    assert len(await client.rpc.logs(1, 50, [CONTRACT])) == 50


async def test_an_answer_too_long_to_read_is_halved(client: NodeClient, node: Any, index: Index) -> None:
    node.answers["jsonrpc"] = lambda batch: (
        index(batch) if len(index(batch)[2]["result"]) <= 7 else node.answer("<html>", 413)
    )
    assert len(await client.rpc.logs(1, 50, [CONTRACT])) == 50


async def test_one_block_with_too_many_logs_of_several_contracts_is_asked_for_each(
    client: NodeClient, node: Any, index: Index
) -> None:
    def one_contract(batch: Any) -> Any:
        wanted = batch[2]["params"][0]["address"]
        answer = index(batch)
        if len(wanted) > 1:
            answer[2] = {"jsonrpc": "2.0", "id": 2, "error": index.refusal}
        elif wanted != [RAW]:
            answer[2]["result"] = []
        return answer

    node.answers["jsonrpc"] = one_contract
    assert numbers(await client.rpc.logs(7, 7, [CONTRACT, OTHER])) == [(7, 0)]
    index.most_logs = 0
    with pytest.raises(TooMuch):
        await client.rpc.logs(7, 7, [CONTRACT])


async def test_a_rate_limit_in_json_rpc_is_one_and_is_not_split(client: NodeClient, index: Index) -> None:
    index.refusal, index.most_logs = {"code": -32005, "message": "daily request limit exceeded"}, 0
    with pytest.raises(RateLimited):
        await client.rpc.logs(1, 50, [CONTRACT])
    assert index.ranges == [(1, 50)]


async def test_an_empty_answer_of_a_node_that_does_not_hold_the_range_is_no_proof(
    client: NodeClient, index: Index
) -> None:
    index.bend = lambda method, result: [] if method == "logs" else result
    index.solid = 49
    with pytest.raises(IncompleteAnswer, match="block 50 is not among its solidified blocks: it is at 49"):
        await client.rpc.logs(1, 50, [CONTRACT])
    index.solid = 50
    index.bend = lambda method, result: {"logs": [], "block": None}.get(method, result)
    with pytest.raises(IncompleteAnswer):
        await client.rpc.logs(1, 50, [CONTRACT])
    index.bend = lambda method, result: None if method == "finalized" else result
    with pytest.raises(IncompleteAnswer, match="it shows none"):
        await client.rpc.logs(1, 50, [CONTRACT])


def _first(**change: Any) -> Callable[[list[Json]], list[Json]]:
    return lambda logs: [logs[0] | change, *logs[1:]]


LIES: dict[str, Callable[[list[Json]], Any]] = {
    "no list": lambda logs: {},
    "a log of a block before the range": lambda logs: [log(0, 0), *logs],
    "a log of a block after the range": lambda logs: [*logs, log(11, 0)],
    "a log of another contract": _first(address="0x" + "11" * 20),
    "a log without address": _first(address=None),
    "a removed log": _first(removed=True),
    "a log twice": lambda logs: [logs[0], *logs],
    "logs in another order": lambda logs: logs[::-1],
    "another block's id": _first(blockHash=block_id(2)),
    "two blocks of one number": lambda logs: [logs[0], log(1, 1) | {"blockHash": block_id(1)[:-1] + "d"}, *logs[1:]],
    "a last block of another id": lambda logs: [*logs[:-1], logs[-1] | {"blockHash": block_id(10)[:-1] + "d"}],
    "a topic that is none": _first(topics=["0xabcd"]),
    "topics that are a text": _first(topics="0x"),
    "data that is no hex": _first(data="0x0"),
    "an index that is a number": _first(logIndex=0),
    "a log that is a text": lambda logs: ["0x", *logs],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_logs_that_cannot_be_true_are_a_lie(client: NodeClient, index: Index, lie: Callable[[Any], Any]) -> None:
    index.bend = lambda method, result: lie(result) if method == "logs" else result
    with pytest.raises(NodeLied):
        await client.rpc.logs(1, 10, [CONTRACT])


@pytest.mark.parametrize(
    ("bend", "error"),
    [
        (lambda answers: answers[:2], NodeLied),
        (lambda answers: [*answers, answers[0]], NodeLied),
        (lambda answers: "[", NodeError),
        (lambda answers: {"error": {"code": -32600, "message": "no batches"}}, NodeRefused),
        (lambda answers: ["x"], NodeLied),
    ],
)
async def test_a_batch_is_answered_whole_or_not_at_all(
    client: NodeClient, node: Any, index: Index, bend: Callable[[Any], Any], error: type[NodeError]
) -> None:
    node.answers["jsonrpc"] = lambda batch: bend(copy.deepcopy(index(batch)))
    with pytest.raises(error):
        await client.rpc.logs(1, 10, [CONTRACT])

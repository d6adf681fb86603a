"""Traps of the chain, each by its name: answers that look right and are not, and some that look wrong and are right.

What is truncated, empty or without a bloom is never accepted; what a real node does is. Limits of what is sent are in
`test_transaction`, refusals and reverts in `test_sender`, ABIs as the chain stores them in `test_abi`.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tron.address import normalise
from tron.client import NodeClient
from tron.errors import IncompleteAnswer, NodeLied, NodeUnavailable, NotIncluded, NotServed
from tron.keys import Key
from tron.model import logs_of
from tron.sender import Sender
from tron.transaction import Transfer

CONTRACT = "THY25XRZMr6AtsrhP4Z7ekMLBmniRo6dYH"
BLOCKS = "wallet/getblockbylimitnext"
INFOS = "wallet/gettransactioninfobyblocknum"
ONE = "wallet/gettransactioninfobyid"
Recorded = Callable[[str], Any]


@pytest.fixture
async def client(node: Any, recorded: Recorded) -> AsyncIterator[NodeClient]:
    """Of a node that holds block 70 of the recordings: four transactions with two logs each."""
    node.answers[BLOCKS] = {"block": [recorded("297")]}
    node.answers[INFOS] = recorded("293")
    async with NodeClient(node.url, timeout=120.0) as client:
        yield client


async def read(client: NodeClient) -> list[Any]:
    block, infos = await client.block_with_infos(70, solid=False)
    return logs_of(block, infos, {CONTRACT})


# -- empty -----------------------------------------------------------------------------------------------------------


async def test_empty_receipts_of_an_unsynced_node(client: NodeClient, node: Any, recorded: Recorded) -> None:
    node.answers[INFOS] = recorded("296")  # what java-tron says of a block that it does not have
    with pytest.raises(IncompleteAnswer, match="0 receipts for a block of 4 transactions"):
        await read(client)


async def test_an_empty_object_for_a_range_that_the_node_does_not_have(client: NodeClient, node: Any) -> None:
    node.answers[BLOCKS] = {}
    with pytest.raises(IncompleteAnswer, match="expected blocks 70 to 70, got 0"):
        await read(client)


async def test_an_empty_object_for_a_receipt_asked_for_by_its_transaction(
    client: NodeClient, node: Any, recorded: Recorded
) -> None:
    receipts = {info["id"]: info for info in recorded("293")}
    expected = await read(client)
    node.answers[INFOS] = node.answer("<html>", 405)  # then each receipt is asked for by its transaction
    node.answers[ONE] = lambda body: receipts.get(body["value"], {})
    assert await read(client) == expected
    receipts.popitem()
    with pytest.raises(IncompleteAnswer, match="3 receipts for a block of 4 transactions"):
        await read(client)


async def test_a_block_emptied_of_its_transactions_so_that_no_receipts_are_expected(
    node: Any, recorded: Recorded
) -> None:
    (block,) = copy.deepcopy(recorded("304"))["block"]
    del block["transactions"]
    node.answers[BLOCKS], node.answers[INFOS] = {"block": [block]}, []
    async with NodeClient(node.url, prove=True) as client:
        with pytest.raises(NodeLied, match="its 0 transactions have the root 0000"):
            await client.block_with_infos(70, solid=False)


async def test_an_empty_list_of_logs_up_to_a_block_in_the_future(
    client: NodeClient, node: Any, recorded: Recorded
) -> None:
    """java-tron takes any `toBlock`, and says nothing of what it does not have."""
    held = recorded("338")["result"]

    def answer(batch: Any) -> Any:
        asked = {"finalized": held, hex(71): None}
        results = [asked[call["params"][0]] for call in batch[:2]] + [[]]
        return [{"jsonrpc": "2.0", "id": n, "result": result} for n, result in enumerate(results)]

    node.answers["jsonrpc"] = answer
    with pytest.raises(IncompleteAnswer, match="block 71 is not among its solidified blocks: it is at 70"):
        await client.rpc.logs(60, 71, [CONTRACT])


# -- truncated -------------------------------------------------------------------------------------------------------


async def test_truncated_receipts(client: NodeClient, node: Any, recorded: Recorded) -> None:
    node.answers[INFOS] = recorded("293")[:-1]
    with pytest.raises(IncompleteAnswer, match="3 receipts"):
        await read(client)


async def test_truncated_transactions_with_the_receipts_to_match(node: Any, recorded: Recorded) -> None:
    (block,) = copy.deepcopy(recorded("304"))["block"]
    block["transactions"].pop()
    node.answers[BLOCKS], node.answers[INFOS] = {"block": [block]}, recorded("293")[:-1]
    async with NodeClient(node.url, prove=True) as client:
        with pytest.raises(NodeLied, match="its 3 transactions have the root"):
            await client.block_with_infos(70, solid=False)


async def test_a_truncated_body(client: NodeClient, node: Any) -> None:
    node.answers[BLOCKS] = '{"block": [{"blockID": "0000'
    with pytest.raises(NodeUnavailable, match="bytes that are no answer"):
        await read(client)


# -- without a bloom -------------------------------------------------------------------------------------------------


async def test_a_bloom_of_zeros_above_a_block_that_has_logs(client: NodeClient, node: Any, recorded: Recorded) -> None:
    """java-tron fills no header's bloom: it says nothing about a block, and nothing here asks it."""
    header, logs = recorded("338")["result"], recorded("348")["result"]
    assert int(header["logsBloom"], 16) == 0
    node.answers["jsonrpc"] = lambda batch: [
        {"jsonrpc": "2.0", "id": call["id"], "result": logs if call["method"] == "eth_getLogs" else header}
        for call in batch
    ]
    assert await client.rpc.logs(70, 70, [CONTRACT]) == await read(client)


# -- what looks like success ------------------------------------------------------------------------------------------


async def test_a_broadcast_that_answers_success_and_is_never_mined(client: NodeClient, node: Any) -> None:
    """A pool's word is none: of 5,984 such answers on a real chain, 11 transactions came into no block."""
    node.replay("308")  # the reference block
    node.answers["wallet/broadcasthex"], node.answers[ONE] = {"result": True}, {}
    with pytest.raises(NotIncluded, match="1 transactions are in no block after 0 s"):
        await Sender(client).execute(Transfer(CONTRACT, 1), Key(bytes([1]) * 32), within=0)


# -- what looks wrong and is right -----------------------------------------------------------------------------------


async def test_fields_that_are_left_out_because_they_hold_their_default(client: NodeClient, recorded: Recorded) -> None:
    assert "topics" not in recorded("293")[0]["log"][1]
    assert [one.log.topics for one in await read(client)][1] == ()


async def test_slots_in_which_no_block_was_produced(client: NodeClient, node: Any) -> None:
    def block(number: int, time_ms: int) -> Any:
        raw = {"number": number, "parentHash": f"{number - 1:016x}{'c' * 48}", "timestamp": time_ms}
        return {"blockID": f"{number:016x}{'c' * 48}", "block_header": {"raw_data": raw}}

    node.answers[BLOCKS] = {"block": [block(1, 3_000), block(2, 18_000), block(3, 21_000)]}
    assert [found.time_ms for found in await client.blocks(1, 3, solid=False)] == [3_000, 18_000, 21_000]


async def test_a_chain_id_beyond_31_bits(client: NodeClient, node: Any, recorded: Recorded) -> None:
    node.answers[BLOCKS] = {"block": [recorded("006")]}
    assert await client.chain_id() == 0xAB7A57C0 > 2**31


async def test_a_failed_transaction_has_no_logs_and_still_cost_its_fee(
    client: NodeClient, node: Any, recorded: Recorded
) -> None:
    node.replay("161")
    info = await client.transaction_info(recorded("161")["id"])
    assert info is not None
    assert (info.success, info.logs) == (False, ())
    assert info.fee_sun > 0


async def test_an_address_of_a_log_that_lacks_the_prefix_41(client: NodeClient, recorded: Recorded) -> None:
    raw = recorded("293")[0]["log"][0]["address"]
    assert len(raw) == 40
    assert {one.log.address for one in await read(client)} == {CONTRACT}
    assert normalise(f"41{raw}") == CONTRACT


async def test_a_time_in_milliseconds(client: NodeClient, recorded: Recorded) -> None:
    (block,) = await client.blocks(70, 70, solid=False)
    assert block.time_ms == recorded("297")["block_header"]["raw_data"]["timestamp"] > 10**12


async def test_an_object_without_fields_for_a_transaction_that_is_nowhere(client: NodeClient, node: Any) -> None:
    node.answers["wallet/gettransactioninfobyid"] = {}
    assert await client.transaction_info("ab" * 32) is None


async def test_html_where_a_node_does_not_serve_a_path(client: NodeClient, node: Any) -> None:
    node.replay("320")
    with pytest.raises(NotServed):
        await client.solid_head()

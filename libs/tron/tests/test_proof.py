"""Blocks are what their ids say: held against recorded blocks of java-tron."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tron.address import hex41, normalise
from tron.client import NodeClient
from tron.errors import NodeLied
from tron.proof import header_id, mismatch, producer

RANGE = "walletsolidity/getblockbylimitnext"


def recorded_blocks() -> list[Any]:
    """Every recorded block with its transactions, the header's address in hex; not the genesis block, whose is none."""
    found = []
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.json")):
        response = json.loads(path.read_text()).get("response")
        blocks = response.get("block", [response]) if isinstance(response, dict) else []
        for block in blocks if isinstance(blocks, list) else []:
            header = block.get("block_header", {}).get("raw_data", {})
            if header.get("number") and "getblock__" not in path.name:  # that one leaves the transactions out
                header["witness_address"] = hex41(header["witness_address"])
                found.append(block)
    return found


def test_every_recorded_block_is_proven() -> None:
    blocks = recorded_blocks()
    assert any(len(block.get("transactions", [])) > 1 for block in blocks)
    assert any(not block.get("transactions") for block in blocks)
    assert [mismatch(block) for block in blocks] == [None] * len(blocks)


@pytest.mark.parametrize("lie", ["emptied", "one left out", "reordered", "a failure called success", "other header"])
async def test_a_block_that_is_not_whole_is_refused(lie: str, node: Any) -> None:
    block = max(recorded_blocks(), key=lambda block: len(block.get("transactions", [])))
    match lie:
        case "emptied":
            del block["transactions"]
        case "one left out":
            del block["transactions"][1]
        case "reordered":
            block["transactions"].reverse()
        case "a failure called success":
            block["transactions"][0]["ret"] = [{"contractRet": "REVERT"}]
        case "other header":
            block["block_header"]["raw_data"]["timestamp"] += 3000
    number = block["block_header"]["raw_data"]["number"]
    node.answers[RANGE] = {"block": [block]}
    async with NodeClient(node.url) as trusting, NodeClient(node.url, prove=True) as client:
        assert len(await trusting.blocks(number, number)) == 1
        with pytest.raises(NodeLied, match="cannot be proven"):
            await client.blocks(number, number)


def test_every_recorded_block_was_signed_by_its_producer() -> None:
    for block in recorded_blocks():
        assert producer(block) == normalise(block["block_header"]["raw_data"]["witness_address"])


async def test_of_known_producers_only_blocks_that_they_signed_are_taken(node: Any) -> None:
    block = max(recorded_blocks(), key=lambda block: len(block.get("transactions", [])))
    header, number = block["block_header"]["raw_data"], block["block_header"]["raw_data"]["number"]
    node.answers[RANGE] = {"block": [block]}
    known = normalise(header["witness_address"])
    async with (
        NodeClient(node.url, prove=True) as whoever,
        NodeClient(node.url, prove=True, producers={known}) as strict,
        NodeClient(node.url, prove=True, producers={hex41("00" * 20)}) as foreign,
    ):
        assert await strict.producers(number, number) == [known]
        assert await strict.blocks(number, number) == await whoever.blocks(number, number)
        with pytest.raises(NodeLied, match=f"signed by {known}, which is no known producer"):
            await foreign.blocks(number, number)
        header["timestamp"] += 3000
        block["blockID"] = header_id(header)  # made up, and proven to be what its id says
        assert len(await whoever.blocks(number, number)) == 1
        with pytest.raises(NodeLied, match="no known producer"):
            await strict.blocks(number, number)


@pytest.mark.parametrize("signature", ["", "00" * 65, "zz", None])
async def test_a_block_without_a_usable_signature_is_nobodys(signature: str | None, node: Any) -> None:
    block = recorded_blocks()[0]
    number = block["block_header"]["raw_data"]["number"]
    known = normalise(block["block_header"]["raw_data"]["witness_address"])
    block["block_header"]["witness_signature"] = signature
    node.answers[RANGE] = {"block": [block]}
    async with NodeClient(node.url, prove=True, producers={known}) as strict:
        for ask in (strict.blocks, strict.producers):
            with pytest.raises(NodeLied, match="cannot be proven"):
                await ask(number, number)

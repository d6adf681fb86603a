"""Blocks are what their ids say: held against recorded blocks of java-tron."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tron.address import hex41
from tron.client import NodeClient
from tron.errors import NodeLied
from tron.proof import mismatch

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

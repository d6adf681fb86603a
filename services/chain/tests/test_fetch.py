from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chain.domain import ZERO
from chain.fetch import FIRST_REQUESTS, Fetcher, Heights, Pace
from chain.settings import ChainSettings
from contracts.testing import address
from tron.client import NodeClient
from tron.errors import NodeUnavailable


async def answered(pace: Pace, count: int) -> None:
    for _ in range(count):
        async with pace:
            pass


async def most_at_once(pace: Pace) -> int:
    """How many of 100 requests are under way at the same time."""
    busy = most = 0

    async def request() -> None:
        nonlocal busy, most
        async with pace:
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.001)
            busy -= 1

    await asyncio.gather(*(request() for _ in range(100)))
    return most


async def test_the_pace_grows_with_good_answers_up_to_its_bound_and_halves_on_a_failure() -> None:
    pace = Pace(16)
    await answered(pace, FIRST_REQUESTS)
    assert pace.allowed == FIRST_REQUESTS
    await answered(pace, 1_000)
    assert pace.allowed == 16
    assert await most_at_once(pace) == 16
    for _ in range(5):  # a crowd of failures counts once
        with pytest.raises(NodeUnavailable):
            async with pace:
                raise NodeUnavailable("node", "path", "busy")
    assert pace.allowed == 8


async def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    pace = Pace(1)
    first = asyncio.create_task(pace.__aenter__())
    await first
    second, third = (asyncio.create_task(pace.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)
    await pace.__aexit__(None, None, None)
    second.cancel()
    await asyncio.wait_for(third, 1)
    assert second.cancelled()


async def test_blocks_come_in_order_however_their_answers_arrive(town: Any, proxy: Any, node: NodeClient) -> None:
    expected = await node.blocks(0, (await node.solid_head()).number)
    proxy.delay = 0.01
    async with NodeClient(proxy.url, prove=True) as slow:
        found = [block async for block, _, _ in Fetcher(slow, 16).blocks(0, expected[-1].number)]
    assert found == expected


async def test_heights_are_asked_once_a_second_and_a_failure_is_remembered_too(proxy: Any) -> None:
    asked: list[str] = []

    def count(path: str, body: Any, answer: Any) -> Any:
        asked.append(path)
        return (500, "down") if len(asked) > 2 else answer

    proxy.bend = count
    async with NodeClient(proxy.url) as node:
        heights = Heights(node)
        assert len({await heights.now() for _ in range(5)}) == 1
        assert len(asked) == 2
        await asyncio.sleep(1.05)
        with pytest.raises(NodeUnavailable):
            await heights.now()
        failed_after = len(asked)  # the failure of one question takes back the other, which may not have been sent
        for _ in range(2):
            with pytest.raises(NodeUnavailable):
                await heights.now()
        assert len(asked) == failed_after


def test_contracts_are_given_as_json_or_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ChainSettings().watched == {}
    file = tmp_path / "contracts.json"
    file.write_text(json.dumps({"music-nft": address(1), "dcmx-token": address(2)}))
    monkeypatch.setenv("CHAIN_CONTRACTS", str(file))
    assert ChainSettings().watched == {"dcmx-token": address(2), "music-nft": address(1)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected JSON or the path"),
        ("/nowhere.json", "expected JSON or the path"),
        ('{"music-nft": 5}', "an object of names and addresses"),
        (f'{{"kitties": "{ZERO}"}}', "unknown kitties"),
        ('{"music-nft": "T123"}', "not a TRON address"),
        (f'{{"music-nft": "{ZERO}", "dcmx-token": "{ZERO}"}}', "a different address for each"),
    ],
)
def test_wrong_contracts_are_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ChainSettings(contracts=text)

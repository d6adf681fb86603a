from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chain import fetch
from chain.domain import ZERO
from chain.fetch import Fetcher, Heights
from chain.settings import ChainSettings
from contracts.testing import address
from tron.client import NodeClient
from tron.errors import NodeUnavailable
from tron.providers import Nodes, Provider


async def test_blocks_come_in_order_however_their_answers_arrive(town: Any, proxy: Any, node: NodeClient) -> None:
    expected = await node.blocks(0, (await node.solid_head()).number)
    proxy.delay = 0.01
    async with Nodes([Provider("node", proxy.url)]) as slow:
        found = [block async for block, _, _ in Fetcher(slow).blocks(0, expected[-1].number)]
    assert found == expected


async def test_heights_are_asked_once_a_second_and_a_failure_is_remembered_too(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    now = 100.0
    monkeypatch.setattr(fetch, "monotonic", lambda: now)

    def count(path: str, body: Any, answer: Any) -> Any:
        asked.append(path)
        return (500, "down") if len(asked) > 2 else answer

    async with Nodes([Provider("node", proxy.url)]) as nodes:
        await nodes.ask(lambda node: node.chain_id())  # it is admitted
        proxy.bend = count
        heights = Heights(nodes)
        assert len({await heights.now() for _ in range(5)}) == 1
        assert len(asked) == 2
        now += 1
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

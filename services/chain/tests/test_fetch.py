from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from chain import fetch
from chain.confirm import ConfirmedFetcher, fetcher
from chain.domain import ZERO
from chain.fetch import Fetcher, Heights
from chain.ingest import Ingester
from chain.settings import ChainSettings
from contracts.testing import address
from eventlog import EventLog
from messaging.testing import eventually, running
from tron.client import NodeClient
from tron.errors import NodeLied, NodeUnavailable
from tron.model import logs_of
from tron.providers import Nodes, Provider

INFOS = "walletsolidity/gettransactioninfobyblocknum"


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


# ---- a second source ------------------------------------------------------------------------------------------------


def two_of(url: str) -> list[Provider]:
    return [Provider("one", f"{url}/face/one"), Provider("two", f"{url}/face/two", priority=2)]


@pytest.fixture
async def faces(town: Any) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Makes a face of the devnet, or all with `*`, leave a log out of each receipt."""
    async with httpx.AsyncClient(base_url=town.url, timeout=30) as client:

        async def lie(face: str) -> None:
            fault = {"kind": "lie", "form": "a-log-less", "face": face, "paths": [INFOS]}
            (await client.post("/devnet/faults", json=fault)).raise_for_status()

        yield lie
        (await client.delete("/devnet/faults")).raise_for_status()


async def recorded(log: EventLog) -> int:
    sql = "SELECT count(*) FROM events WHERE type IN ('ContractEvent', 'UndecodedLog')"
    return int(await log.pool.fetchval(sql))


async def test_a_receipt_that_lacks_a_log_is_not_recorded_where_a_second_source_must_agree(
    town: Any, log: EventLog, node: NodeClient, faces: Callable[[str], Awaitable[None]]
) -> None:
    await faces("one")
    last = (await node.solid_head()).number
    settings = ChainSettings(
        nodes=json.dumps([{"name": one.name, "url": one.url, "priority": one.priority} for one in two_of(town.url)]),
        contracts=json.dumps(town.contracts),
        confirm="second",
    )
    async with Nodes(settings.providers) as nodes:
        subject = Ingester(log, fetcher(settings, nodes, log), town.contracts, poll_seconds=0.05)

        async def there() -> bool:
            return (await subject.cursor()).next > last

        async with running(subject):
            await eventually(there, within=60)
    async with httpx.AsyncClient(timeout=30) as client:
        (fault,) = (await client.get(f"{town.url}/devnet/faults")).json()
    assert fault["struck"]
    assert await recorded(log) == len(await node.rpc.logs(0, last, list(town.contracts.values())))


async def test_what_no_two_sources_agree_on_is_not_passed(town: Any, faces: Callable[[str], Awaitable[None]]) -> None:
    await faces("*")
    async with Nodes(two_of(town.url)) as nodes:

        async def watched() -> list[str]:
            return list(town.contracts.values())

        handed_out: list[int] = []

        async def read() -> None:
            async for block, receipts, _ in ConfirmedFetcher(nodes, watched, "never").blocks(0, 60):
                assert not logs_of(block, receipts, set(town.contracts.values()))
                handed_out.append(block.number)

        with pytest.raises(NodeLied, match=r"the receipts tell \d+ logs, its index \d+"):
            await read()
    assert handed_out == list(range(len(handed_out)))


def test_a_second_source_needs_a_second_node() -> None:
    with pytest.raises(ValidationError, match="confirm: expected several nodes"):
        ChainSettings(confirm="second")


# ---- settings -------------------------------------------------------------------------------------------------------


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

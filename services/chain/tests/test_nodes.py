"""The nodes that the service asks: how they are set, and what it says of itself when none is of use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from chain import fetch, ingest, metrics
from chain.fetch import Fetcher, Heights, nodes_check
from chain.ingest import Ingester
from chain.settings import ChainSettings
from eventlog import EventLog
from messaging.testing import eventually, running
from tron import providers, wire
from tron.client import NodeClient
from tron.errors import NodeDisagrees, NodeError
from tron.providers import Nodes, Provider

NOW = "walletsolidity/getnowblock"
BLOCKS = "walletsolidity/getblockbylimitnext"


# ---- settings -----------------------------------------------------------------------------------------------------


def test_one_node_is_set_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAIN_NODE_URL", "http://node:8090")
    monkeypatch.setenv("CHAIN_SOLIDITY_URL", "http://node:8091")
    monkeypatch.setenv("CHAIN_JSONRPC_URL", "http://node:8545/jsonrpc")
    monkeypatch.setenv("CHAIN_API_KEY", "secret")
    expected = Provider("node", "http://node:8090", "http://node:8091", "http://node:8545/jsonrpc", "secret")
    assert ChainSettings().providers == [expected]


def test_several_nodes_are_a_list_or_a_file_and_keys_come_from_the_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "secret")
    nodes: list[dict[str, Any]] = [
        {"name": "own", "url": "http://node:8090", "solidity_url": "http://node:8091"},
        {"name": "gateway", "url": "https://g", "priority": 2, "per_second": 15, "per_day": 100_000}
        | {"api_key_env": "GATEWAY_KEY"},
    ]
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps(nodes))
    for text in (str(file), json.dumps(nodes)):
        settings = ChainSettings(nodes=text, node_timeout_seconds=5)
        own, gateway = settings.providers
        assert (own.name, own.solid_url, own.priority, own.per_day) == ("own", "http://node:8091", 1, None)
        assert (gateway.api_key, gateway.per_second, gateway.per_day, gateway.timeout) == ("secret", 15, 100_000, 5)
        assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ("{", "expected JSON or the path"),
        ("[]", "expected at least one"),
        ('[{"name": "a", "url": "x"}, {"name": "a", "url": "y"}]', "each with a name of its own"),
        ('[{"name": "a"}]', "nodes.0.url: Field required"),
        ('[{"name": "a", "url": "x", "api_key": "secret"}]', "nodes.0.api_key: Extra inputs"),
        ('[{"name": "a", "url": "x", "per_day": 0}]', "nodes.0.per_day"),
        (
            '[{"name": "a", "url": "x", "api_key_env": "NOWHERE"}]',
            "the key in the environment variable NOWHERE",
        ),
    ],
)
def test_wrong_nodes_are_refused_with_the_reason(nodes: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ChainSettings(nodes=nodes)


# ---- health and metrics -------------------------------------------------------------------------------------------


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_health_turns_red_with_every_providers_reason_and_green_again(
    town: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ANSWERED_SECONDS", 0.0)
    monkeypatch.setattr(providers, "FIRST_REST_SECONDS", ((NodeError, 60.0),))  # longer than the test
    proxy.bend = lambda path, body, answer: (429, '{"Error": "slow down"}')
    gone = Provider("gone", "http://127.0.0.1:9", priority=2)
    async with Nodes([Provider("limited", proxy.url), gone], observe=metrics.answered) as nodes:
        metrics.watch(nodes)
        check = nodes_check(nodes, Heights(nodes))
        with pytest.raises(RuntimeError, match="no node gives a usable answer: ") as caught:
            await check.probe()
        assert "limited: RateLimited: HTTP 429 slow down" in str(caught.value)
        assert "gone: NodeUnavailable: ConnectError" in str(caught.value)
        assert measured("annals_chain_node_errors_total", provider="limited", kind="RateLimited") == 1
        assert measured("annals_chain_node_rests", provider="gone") == 1
        assert measured("annals_chain_node_health", provider="limited") < 1
        assert measured("annals_chain_node_wait_seconds", provider="limited") >= 0
        proxy.bend = lambda path, body, answer: answer
        await Fetcher(nodes).heights()
        monkeypatch.setattr(fetch, "ANSWERED_SECONDS", 60.0)
        well = await check.probe()
        assert "of 2 nodes are well" in well
        assert "limited" not in well
        assert measured("annals_chain_node_answers_total", provider="limited") == 1


async def test_while_a_node_answers_health_costs_no_request(town: Any, proxy: Any) -> None:
    async with Nodes([Provider("node", proxy.url)]) as nodes:
        check = nodes_check(nodes, Heights(nodes))
        await nodes.heights()
        asked = len(proxy.asked)
        assert await check.probe() == "1 of 1 nodes are well"
        assert len(proxy.asked) == asked


# ---- answers without end ----------------------------------------------------------------------------------------


async def test_a_node_whose_answers_have_no_end_is_left_for_the_next(
    town: Any, proxy: Any, node: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where less cannot be asked for, too much is the node's fault."""
    monkeypatch.setattr(wire, "MOST_BYTES", 2_000_000)
    expected = await node.blocks(0, 12)
    proxy.bend = lambda path, body, answer: {"block": "x" * 3_000_000} if path == BLOCKS else answer
    both = [Provider("endless", proxy.url), Provider("honest", town.url, priority=2)]
    async with Nodes(both) as nodes:
        assert [block async for block, _, _ in Fetcher(nodes).blocks(0, 12)] == expected
        endless, honest = nodes.states()
        assert "more than 2,000,000 bytes" in (endless.why or "")
        assert honest.why is None


async def test_a_solidified_height_above_the_head_leads_nowhere(
    town: Any, proxy: Any, node: NodeClient, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a node calls solidified it must hold solidified."""
    monkeypatch.setattr(fetch, "RETRY", replace(fetch.RETRY, attempts=2, first=0.01))
    head = await node.request("wallet/getnowblock", {})
    solid = (await node.solid_head()).number
    proxy.bend = lambda path, body, answer: head if path == NOW else answer
    async with Nodes([Provider("hasty", proxy.url)]) as nodes:
        subject = Ingester(log, Fetcher(nodes), town.contracts, poll_seconds=0.05)
        async with running(subject):

            async def stalls() -> bool:
                return subject.stalled_seconds() > 0

            await eventually(stalls)
            assert (await subject.cursor()).next <= solid + 1
            proxy.bend = lambda path, body, answer: answer
            await eventually(lambda: reaches(subject, solid))


async def reaches(subject: Ingester, block: int) -> bool:
    return (await subject.cursor()).next > block


# ---- blocks that do not follow ------------------------------------------------------------------------------------


async def test_blocks_of_a_node_that_went_over_to_another_chain_are_taken_from_the_next_node(
    town: Any, proxy: Any, devnet: Any, nodes: Nodes
) -> None:
    """It agreed when it was admitted; later blocks, and its solidified height, are another chain's."""
    async with httpx.AsyncClient(timeout=120) as client:
        (await client.post(f"{devnet.url}/devnet/mine", json={"blocks": 60})).raise_for_status()
    expected = await nodes.all[0].client.blocks(0, 40)

    async with Nodes([Provider("other", devnet.url)]) as other:
        foreign = await other.all[0].client.request(BLOCKS, {"startNum": 20, "endNum": 41})

    def turned(path: str, body: Any, answer: Any) -> Any:
        if path == BLOCKS and body["startNum"] >= 20:
            block = foreign["block"]
            return {"block": block[body["startNum"] - 20 : body["endNum"] - 20]}
        return answer

    proxy.bend = turned
    both = [Provider("turncoat", proxy.url), Provider("honest", town.url, priority=2)]
    async with Nodes(both) as nodes_of_two:
        fetcher = Fetcher(nodes_of_two)
        await fetcher.hold(0, expected[0].hash)
        found = [block async for block, _, _ in fetcher.blocks(1, 40)]
        assert found == expected[1:]
        assert nodes_of_two.states()[0].score < 1


async def test_nodes_that_all_disagree_with_the_log_are_not_read_any_further(town: Any, nodes: Nodes) -> None:
    fetcher = Fetcher(nodes)
    with pytest.raises(NodeDisagrees, match=f"block 3 is .* there, {'0' * 15}3{'ab' * 24} is proven"):
        await fetcher.hold(3, "0" * 15 + "3" + "ab" * 24)


async def test_while_all_nodes_are_of_another_chain_nothing_is_recorded_and_the_service_says_why(
    town: Any, log: EventLog, nodes: Nodes, devnet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RETRY", replace(fetch.RETRY, attempts=2, first=0.01))
    monkeypatch.setattr(ingest, "STALLED_SECONDS", 0.0)

    def ingester(nodes: Nodes) -> Ingester:
        return Ingester(log, Fetcher(nodes), town.contracts, poll_seconds=0.05)

    async def reached(block: int) -> bool:
        return (await subject.cursor()).next > block

    _, last = await nodes.heights()
    async with running(subject := ingester(nodes)):  # up to the end, so that no commit is under way when it is stopped
        await eventually(lambda: reached(last))
    cursor = await subject.cursor()
    async with httpx.AsyncClient(timeout=120) as client:
        (await client.post(f"{devnet.url}/devnet/mine", json={"blocks": cursor.next + 30})).raise_for_status()
    async with Nodes([Provider("node", devnet.url)]) as other, running(stray := ingester(other)):

        async def stalls() -> bool:
            return stray.stalled_seconds() > 0

        await eventually(stalls)
        with pytest.raises(RuntimeError, match=f"block {cursor.next - 1} as .*: one of the two is of another chain"):
            await stray.check().probe()
    assert await subject.cursor() == cursor
    town.mine(1)
    async with running(subject := ingester(nodes)):  # the right node again
        await eventually(lambda: reached(cursor.next))

"""Several nodes as one, each a scripted node on a socket of its own: who is asked, left, and tried again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tron import providers
from tron.client import Client, NodeClient
from tron.errors import BudgetSpent, NodeBehind, NodeDisagrees, NodeError, NodeLied, NodeUnavailable, TooMuch
from tron.providers import AnyNode, Nodes, Provider

NOW = "walletsolidity/getnowblock"
RANGE = "walletsolidity/getblockbylimitnext"


def block_id(number: int, fork: str = "c") -> str:
    return f"{number:016x}{fork * 48}"


def block(number: int, fork: str = "c") -> dict[str, Any]:
    raw = {"number": number, "parentHash": block_id(number - 1, fork) if number else "0" * 64, "timestamp": number}
    return {"blockID": block_id(number, fork), "block_header": {"raw_data": raw}}


class Chain:
    """What a scripted node holds; `fork` names its chain, `fails` is answered instead."""

    def __init__(self, node: Any, solid: int = 50, fork: str = "c") -> None:
        self.node, self.solid, self.fork = node, solid, fork
        self.fails: Any = None
        for path, answer in {
            NOW: lambda body: block(self.solid, self.fork),
            RANGE: lambda body: self.blocks(body),
            "wallet/getblockbylimitnext": lambda body: self.blocks(body),
        }.items():
            node.answers[path] = lambda body, answer=answer: self.fails or answer(body)

    def blocks(self, body: Any) -> Any:
        return {"block": [block(n, self.fork) for n in range(body["startNum"], min(body["endNum"], self.solid + 1))]}

    @property
    def asked(self) -> int:
        return len(self.node.requests)


@pytest.fixture
async def chains(scripted: Callable[[], Any]) -> AsyncIterator[list[Chain]]:
    """Three nodes of one chain."""
    async with AsyncExitStack() as stack:
        yield [Chain(await stack.enter_async_context(scripted())) for _ in range(3)]


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    shorter = tuple((kind, min(seconds, 0.5)) for kind, seconds in providers.FIRST_REST_SECONDS)
    monkeypatch.setattr(providers, "FIRST_REST_SECONDS", shorter)


@asynccontextmanager
async def over(chains: list[Chain], **options: Any) -> AsyncIterator[Nodes]:
    """Nodes of the chains, named a, b, c in the order of their priorities."""
    found = [Provider("abc"[n], chain.node.url, priority=n, prove=False, **options) for n, chain in enumerate(chains)]
    async with Nodes(found) as nodes:
        yield nodes


async def who(nodes: Nodes) -> str:
    """Name of the provider whose node gives the answer."""

    async def read(client: NodeClient) -> str:
        await client.solid_head()
        return next(node.provider.name for node in nodes.all if node.client is client)

    return await nodes.ask(read)


async def until(nodes: Nodes, name: str) -> None:
    async with asyncio.timeout(240):
        while await who(nodes) != name:
            pass  # every question waits for its answer


async def test_the_preferred_node_is_asked_and_no_other(chains: list[Chain]) -> None:
    async with over(chains) as nodes:
        assert [await who(nodes) for _ in range(3)] == ["a"] * 3
    assert [chain.asked for chain in chains] == [6, 0, 0]  # three more than the questions: it was admitted


async def test_a_node_suspected_while_it_is_being_admitted_is_looked_at_again(chains: list[Chain]) -> None:
    async with over(chains[:1]) as nodes:

        def suspected_meanwhile(body: Any) -> Any:
            if nodes.proven_block == (0, block_id(0)):
                nodes.proven(40, block_id(40, "d"))
                nodes.suspect_all()
            return block(50)

        chains[0].node.answers[NOW] = suspected_meanwhile
        with pytest.raises(NodeDisagrees, match="block 40 is"):
            await who(nodes)


FAILURES = {
    "refused by a 429": (429, {}),
    "forbidden with a 403": (403, {}),
    "unavailable with a 503": (503, {}),
    "broken with a 500": (500, {}),
    "an Error in a 200": (200, {"Error": "exceed the user frequency limit(5)"}),
    "half an answer": (200, '{"block": [{"blockID'),
    "another shape": (200, []),
}


@pytest.mark.parametrize(("status", "body"), FAILURES.values(), ids=FAILURES)
async def test_a_node_that_fails_is_left_for_the_next_and_comes_back_when_it_is_well(
    chains: list[Chain], status: int, body: Any
) -> None:
    seen: list[tuple[str, NodeError | None]] = []
    async with over(chains) as nodes:
        nodes._observe = lambda name, error: seen.append((name, error))
        chains[0].fails = chains[0].node.answer(body, status)
        assert await who(nodes) == "b"
        assert [name for name, error in seen if error is not None] == ["a"]
        state = nodes.states()[0]
        assert state.score == pytest.approx(0.9, abs=0.3)
        assert state.score < 1
        assert state.why
        chains[0].fails = None
        await until(nodes, "a")
        for _ in range(20):
            await who(nodes)
        assert nodes.states()[0].why is None


async def test_a_silent_node_is_left_when_its_time_is_over(chains: list[Chain]) -> None:
    async with over(chains, timeout=1.0) as nodes:
        chains[0].fails = chains[0].node.answer({}, delay=60)
        assert await who(nodes) == "b"
        assert "TimeoutError" in str(nodes.states()[0].why)


async def test_many_who_wait_for_a_silent_node_wait_once(chains: list[Chain]) -> None:
    chains[0].fails = chains[0].node.answer({}, delay=60)
    async with over(chains, timeout=1.0) as nodes:
        assert await asyncio.gather(*(who(nodes) for _ in range(20))) == ["b"] * 20
    assert chains[0].asked == 1


async def test_somebody_in_a_hurry_hears_of_the_next_node_in_time(chains: list[Chain]) -> None:
    for chain in chains:
        chain.node.answers["wallet/getnowblock"] = block(60)
    chains[0].fails = chains[0].node.answer({}, delay=60)
    async with over(chains) as nodes:
        assert await nodes.heights(patience=1.0) == (60, 50)
        assert nodes.states()[0].why == "NodeUnavailable: no answer within 1 s"


async def test_a_node_that_is_behind_what_is_proven_is_left_and_not_believed(chains: list[Chain]) -> None:
    async with over(chains) as nodes:
        nodes.proven(40, block_id(40))
        nodes.suspect_all()
        chains[0].solid = 39
        assert await who(nodes) == "b"
        assert "solidified up to 39, 40 is proven" in str(nodes.states()[0].why)
        chains[0].solid = 45
        await until(nodes, "a")


async def test_a_node_of_another_chain_is_left_and_not_believed(chains: list[Chain]) -> None:
    async with over(chains) as nodes:
        nodes.proven(40, block_id(40))
        nodes.suspect_all()
        chains[0].fork = "d"
        assert await who(nodes) == "b"
        assert (
            nodes.states()[0].why == f"NodeDisagrees: block 40 is {block_id(40, 'd')} there, {block_id(40)} is proven"
        )
        for chain in chains:
            chain.fork = "d"
        nodes.suspect_all()
        with pytest.raises(NodeDisagrees):
            await who(nodes)
        chains[2].fails = chains[2].node.answer({}, 500)
        with pytest.raises(NodeUnavailable):  # while one might still agree, it is not for sure
            await who(nodes)


async def test_a_node_with_another_genesis_is_not_asked_when_nothing_is_proven_yet(chains: list[Chain]) -> None:
    async with over(chains) as nodes:
        assert await who(nodes) == "a"
        chains[0].fails = chains[0].node.answer({}, 500)
        chains[1].fork = "d"
        assert await who(nodes) == "c"
        assert "NodeDisagrees" in str(nodes.states()[1].why)


async def test_of_nodes_behind_one_balancer_the_one_that_lags_is_never_believed(chains: list[Chain]) -> None:
    balancer, choice = chains[0], random.Random(3)
    balancer.node.answers[NOW] = lambda body: block(50 if choice.random() < 0.5 else 30)
    balancer.node.answers["wallet/getnowblock"] = block(60)
    async with over(chains[:1]) as nodes:
        nodes.proven(40, block_id(40))
        nodes.suspect_all()
        found = []
        for _ in range(20):
            try:
                found.append(await nodes.heights())
            except NodeBehind as error:
                found.append(error.problem)
        assert set(found) == {(60, 50), "solidified up to 30, 40 is proven"}


async def test_the_only_node_is_asked_even_while_it_rests(chains: list[Chain]) -> None:
    async with over(chains[:1]) as nodes:
        chains[0].fails = chains[0].node.answer({}, 500)
        for _ in range(3):
            with pytest.raises(NodeUnavailable):
                await who(nodes)
        chains[0].fails = None
        assert await who(nodes) == "a"


async def test_rests_grow_with_failures_and_a_crowd_of_failures_counts_once(chains: list[Chain]) -> None:
    async with over(chains[:1]) as nodes:
        (node,) = nodes.all
        down = NodeUnavailable(node.client.url, "path", "down")
        for _ in range(100):
            node.failed(down)
        assert node.score == pytest.approx(0.9)
        first = node._rests_until
        node._rests_until = 0.0
        node.failed(NodeLied(node.client.url, "path", "lied"))
        assert node._rests_until > first
        assert node.score == pytest.approx(0.63)
        assert not node.admitted


async def test_a_spent_budget_sends_the_next_question_to_another_node(chains: list[Chain]) -> None:
    async with over(chains, per_day=24 * 5) as nodes:
        assert [await who(nodes) for _ in range(5)] == ["a", "a", "b", "b", "b"]
        assert nodes.states()[0].score == 1.0  # it did nothing wrong
        assert [await who(nodes) for _ in range(3)] == ["c", "c", "c"]
        with pytest.raises(BudgetSpent, match="our budget allows no request"):
            await who(nodes)
    assert [chain.asked for chain in chains] == [5, 5, 5]


async def test_a_question_that_asks_for_too_much_is_nobody_s_fault(chains: list[Chain]) -> None:
    async def ask(client: NodeClient) -> None:
        raise TooMuch(client.url, "path", "10,000 logs")

    async with over(chains) as nodes:
        with pytest.raises(TooMuch):
            await nodes.ask(ask)
        assert [state.score for state in nodes.states()] == [1.0] * 3


def test_providers_need_names_of_their_own_and_show_no_key() -> None:
    with pytest.raises(ValueError, match="each with a name of its own"):
        Nodes([Provider("a", "http://x"), Provider("a", "http://y")])
    assert "secret" not in repr(Provider("a", "http://x", api_key="secret"))


async def test_as_one_client_a_request_that_a_node_fails_is_answered_by_the_next(chains: list[Chain]) -> None:
    chains[1].node.answers["wallet/broadcasthex"] = lambda body: {"result": True, "got": body["transaction"]}
    async with over(chains) as nodes:
        client: Client = AnyNode(nodes)
        assert (await client.solid_head()).number == 50
        assert [found.number for found in await client.blocks(3, 5, solid=False)] == [3, 4, 5]
        assert chains[1].asked == 0
        chains[0].node.answers["wallet/broadcasthex"] = chains[0].node.answer("busy", 503)
        answer = await client.request("wallet/broadcasthex", {"transaction": "0a"})
    assert answer == {"result": True, "got": "0a"}
    assert chains[2].asked == 0
    assert client.url == "any of a, b, c"

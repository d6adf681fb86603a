"""Several nodes as one: the best is asked, the next one when it fails, and none is believed without being checked.

A node is *admitted* before it is asked anything: it must hold the block that was proven last, under the same hash,
solidified. One that lags or is of another chain is left, and so is one that fails or lies; after a rest it is tried
again, so that the preferred node comes back by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from tron.client import NodeClient
from tron.errors import (
    BudgetSpent,
    IncompleteAnswer,
    NodeBehind,
    NodeDisagrees,
    NodeError,
    NodeLied,
    NodeUnavailable,
    TooMuch,
)
from tron.model import Block, TransactionInfo
from tron.pace import Budget, Pace
from tron.parse import Json
from tron.retry import back_off

MEMORY = 0.1
"""How much of the health score one answer makes: the last 20 or so count."""
HEALTHY = 0.5
FORGIVEN = 0.95
"""The score at which the last failure is no longer worth telling."""
LONGEST_REST_SECONDS = 60.0
FIRST_REST_SECONDS: tuple[tuple[type[NodeError], float], ...] = (
    (NodeLied, 5.0),
    (NodeBehind, 2.0),
    (IncompleteAnswer, 0.2),
    (NodeUnavailable, 0.5),
    (NodeError, 1.0),
)
"""How long a node rests after a first failure, by what failed; twice as long after each further one in a row."""

T = TypeVar("T")
Question = Callable[[NodeClient], Awaitable[T]]
Observer = Callable[[str, NodeError | None], None]


@dataclass(frozen=True, slots=True)
class Provider:
    """A node, or a gateway to many, as somebody configured it. Smaller priorities are asked first.

    `per_second` and `per_day` are requests that may be sent (None: any number), `most_requests` those at once. With
    `prove`, each block must be what its id says, and signed by one of the `producers`, if any are named.
    """

    name: str
    url: str
    solid_url: str | None = None
    rpc_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    priority: int = 1
    per_second: float | None = None
    per_day: int | None = None
    timeout: float = 10.0
    most_requests: int = 16
    prove: bool = True
    producers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """How a provider is. `score` is the share of its late answers that were good, 0 to 1; `why` is what failed last."""

    name: str
    score: float
    healthy: bool
    why: str | None


class Node:
    """A provider at work: its client, how fast it is asked, and how well it answers."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.pace = Pace(provider.most_requests)
        self.budget = Budget(provider.per_second, provider.per_day)
        self.client = NodeClient(
            provider.url,
            provider.solid_url,
            provider.rpc_url,
            api_key=provider.api_key,
            timeout=provider.timeout,
            connections=provider.most_requests + 2,
            prove=provider.prove,
            producers=provider.producers,
            budget=self.budget,
            pace=self.pace,
        )
        self.score = 1.0
        self.admitted = False
        self.suspected = 0  # times: an admission that began before the last counts for nothing
        self.admission: asyncio.Task[None] | None = None
        self.why: str | None = None
        self._failures = 0
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it failed so lately that it is asked only if nobody else answers."""
        return monotonic() < self._rests_until

    def state(self) -> State:
        """How it is now."""
        healthy = self.score >= HEALTHY and not self.rests
        return State(self.provider.name, round(self.score, 3), healthy, self.why)

    def succeeded(self, *, resting: bool) -> None:
        """Raise its score. An answer to a question that was asked while it rested ends the rest."""
        self.score += (1 - self.score) * MEMORY
        self._failures = 0
        if resting:
            self._rests_until = 0.0
        if self.score > FORGIVEN:
            self.why = None

    def failed(self, error: NodeError) -> None:
        """Lower its score and let it rest, the longer the worse its score; what it holds may have to be shown anew."""
        self.why = f"{type(error).__name__}: {error.problem}"
        if isinstance(error, NodeLied | NodeBehind):
            self.admitted = False
        if isinstance(error, BudgetSpent) or self.rests:
            return  # our own doing; or one of a crowd, which counts once
        self.score -= self.score * MEMORY * (3 if isinstance(error, NodeLied) else 1)
        first = next(seconds for kind, seconds in FIRST_REST_SECONDS if isinstance(error, kind))
        rest = back_off(self._failures, first / max(self.score, 0.1), LONGEST_REST_SECONDS)
        self._rests_until = monotonic() + rest
        self._failures += 1
        self.admitted = self.admitted and self._failures < 3


class Nodes:
    """All providers of a chain. `observe` is told of every answer: the provider's name, and its error if it failed."""

    def __init__(self, providers: Sequence[Provider], *, observe: Observer = lambda name, error: None) -> None:
        if len({provider.name for provider in providers}) != len(providers) or not providers:
            raise ValueError("providers: expected at least one, each with a name of its own")
        self.all = [Node(provider) for provider in providers]
        self.answered_at = 0.0
        """When one gave its last good answer, on the monotonic clock."""
        self._observe = observe
        self.proven_block: tuple[int, str] | None = None
        """Number and hash of the block below which no node is believed."""
        self.genesis: tuple[int, str] | None = None
        """Number and hash of the first node's, which stays; unknown while other blocks were proven from the start."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        for node in self.all:
            if node.admission is not None:
                node.admission.cancel()
            await node.client.aclose()

    def states(self) -> list[State]:
        """How each provider is, in the order of the settings."""
        return [node.state() for node in self.all]

    def proven(self, number: int, block_hash: str) -> None:
        """Take a solidified block for proven: nodes that are below it or hold another are not asked any more."""
        self.proven_block = (number, block_hash)

    def nothing_proven(self) -> None:
        """Go back to the genesis block."""
        self.proven_block = self.genesis

    def suspect_all(self) -> None:
        """Have every node admitted anew before its next question."""
        for node in self.all:
            node.admitted = False
            node.suspected += 1

    async def ask(self, question: Question[T], *, but: NodeClient | None = None, patience: float | None = None) -> T:
        """Return the answer of the best node that gives one, `but` excepted; each is asked at most once.

        A node that takes more than `patience` seconds for all of it has failed, too (None: its own time-outs count).

        Raises what the best one failed with, if all failed: `NodeDisagrees` only if every one disagrees.
        `TooMuch` is the question's fault and raised at once. Raises LookupError when there is none but `but`.
        """
        failures: list[NodeError] = []
        for node in self._in_order():
            if node.client is but:
                continue
            try:
                return await self._ask(node, question, patience)
            except TooMuch:
                raise
            except NodeError as error:
                failures.append(error)
        if not failures:
            raise LookupError("expected a second provider, there is one")
        others = [error for error in failures if not isinstance(error, NodeDisagrees | BudgetSpent)]
        raise (others or failures)[0]

    async def ask_all(self, question: Question[T]) -> list[tuple[Node, T | NodeError]]:
        """Return what each node answers, or its error, whatever is proven: for a vote among them.

        Those that rest are left out while the others are a majority: they may take as long as their time-out.
        """
        awake = [node for node in self.all if not node.rests]
        asked = awake if 2 * len(awake) > len(self.all) else self.all
        return list(zip(asked, await asyncio.gather(*(self._says(node, question) for node in asked)), strict=True))

    async def heights(self, *, patience: float | None = None) -> tuple[int, int]:
        """Return the numbers of the newest and of the newest solidified block; a node below what is proven is left."""

        async def read(client: NodeClient) -> tuple[int, int]:
            solid = await client.solid_head()
            if self.proven_block is not None:
                _not_behind(client, solid.number, self.proven_block[0])
            return (await client.head()).number, solid.number

        return await self.ask(read, patience=patience)

    def reject(self, client: NodeClient, error: NodeError) -> None:
        """Count an answer that turned out bad only beside others' answers."""
        for node in self.all:
            if node.client is client:
                self._failed(node, error)

    def named(self, name: str) -> Node:
        """Return one by its provider's name. Raises LookupError with the names that there are."""
        for node in self.all:
            if node.provider.name == name:
                return node
        raise LookupError(f"no provider {name!r}; there are {', '.join(node.provider.name for node in self.all)}")

    def _in_order(self) -> list[Node]:
        """Those that rest come last; else by priority, then the one that may be asked soonest, then by score."""
        return sorted(self.all, key=lambda node: (node.rests, node.provider.priority, node.budget.wait(), -node.score))

    async def _ask(self, node: Node, question: Question[T], patience: float | None) -> T:
        resting = node.rests
        try:
            async with asyncio.timeout(patience) as limit:
                await self._admit(node)
                answer = await question(node.client)
        except TooMuch:
            raise
        except NodeError as error:
            self._failed(node, error)
            raise
        except TimeoutError:
            if not limit.expired():
                raise
            late = NodeUnavailable(node.client.url, "", f"no answer within {patience:g} s")
            self._failed(node, late)
            raise late from None
        node.succeeded(resting=resting)
        self.answered_at = monotonic()
        self._observe(node.provider.name, None)
        return answer

    async def _says(self, node: Node, question: Question[T]) -> T | NodeError:
        try:
            return await question(node.client)
        except (IncompleteAnswer, TooMuch) as error:
            return error  # it may be a block behind; the question's fault
        except NodeError as error:
            self._failed(node, error)
            return error

    def _failed(self, node: Node, error: NodeError) -> None:
        node.failed(error)
        self._observe(node.provider.name, error)

    async def _admit(self, node: Node) -> None:
        """Raises NodeBehind or NodeDisagrees unless the node holds what is proven. All who wait share one attempt."""
        while not node.admitted:
            if node.admission is None or node.admission.done():
                node.admission = asyncio.create_task(self._look(node))
                node.admission.add_done_callback(lambda task: task.cancelled() or task.exception())  # has been seen
            await asyncio.shield(node.admission)

    async def _look(self, node: Node) -> None:
        """Asks for the block that is proven. While none is, the genesis block of the first node that answers is."""
        suspected, proven = node.suspected, self.proven_block
        if proven is None:
            (genesis,) = await node.client.blocks(0, 0, solid=False)
            self.genesis = self.genesis or (0, genesis.hash)
            proven = self.proven_block = self.proven_block or self.genesis
        await _holds(node.client, *proven)
        node.admitted = node.suspected == suspected


class AnyNode:
    """Several nodes with the face of one client: each request is answered by the best node that gives an answer.

    A request that one node failed to answer goes to the next, so it must do no harm twice. A signed transaction does
    none: the network takes its id once.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.url = f"any of {', '.join(node.provider.name for node in nodes.all)}"

    async def head(self) -> Block:
        """See `NodeClient`, also for the others."""
        return await self._nodes.ask(lambda node: node.head())

    async def solid_head(self) -> Block:
        return await self._nodes.ask(lambda node: node.solid_head())

    async def blocks(self, first: int, last: int, *, solid: bool = True) -> list[Block]:
        return await self._nodes.ask(lambda node: node.blocks(first, last, solid=solid))

    async def infos_of(self, block: Block, *, solid: bool = True) -> list[TransactionInfo]:
        return await self._nodes.ask(lambda node: node.infos_of(block, solid=solid))

    async def transaction_info(self, tx_id: str, *, solid: bool = False) -> TransactionInfo | None:
        return await self._nodes.ask(lambda node: node.transaction_info(tx_id, solid=solid))

    async def request(self, path: str, body: Json) -> Any:
        return await self._nodes.ask(lambda node: node.request(path, body))


async def _holds(client: NodeClient, number: int, block_hash: str) -> None:
    solid = await client.solid_head()
    _not_behind(client, solid.number, number)
    found = solid if solid.number == number else (await client.blocks(number, number))[0]
    _compare(client, number, block_hash, found.hash)


def _not_behind(client: NodeClient, solid: int, proven: int) -> None:
    if solid < proven:
        problem = f"solidified up to {solid}, {proven} is proven"
        raise NodeBehind(client.solid_url, "walletsolidity/getnowblock", problem)


def _compare(client: NodeClient, number: int, expected: str, found: str) -> None:
    if found != expected:
        problem = f"block {number} is {found} there, {expected} is proven"
        raise NodeDisagrees(client.solid_url, "walletsolidity/getblockbylimitnext", problem)

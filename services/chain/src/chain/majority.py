"""Blocks that most providers agree on: who tells another block, or leaves out a log, is outvoted.

With `CHAIN_CONFIRM=majority` more than half of all providers that are set must say the same of every range of blocks:
the hash of its last block, solidified, and the logs of the watched contracts in it. A parent's hash stands in each
block, so the last one's stands for all. The one that is outvoted loses its health, with the reason; without a majority
nothing is read. So are the genesis block, below an empty log, and the solidified height.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass
from typing import TypeVar

from chain import metrics
from chain.fetch import RETRY, Fetcher, Index, Range, first_difference, logs_told
from tron.client import NodeClient
from tron.errors import NodeBehind, NodeError, NodeLied, NodeUnavailable
from tron.model import BlockLog, logs_of
from tron.providers import Node, Nodes, Question

BEHIND_BLOCKS = 20
"""A node whose solidified height is so far below the majority's, a minute, is left; it may be a few blocks behind."""

V = TypeVar("V", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Vote:
    """What a provider says of a range: its last block's hash, and what the watched contracts logged in it."""

    last_hash: str
    logs: tuple[BlockLog, ...]


class MajorityFetcher(Fetcher):
    """A Fetcher that reads what most providers say; `watched` tells the addresses of the watched contracts."""

    def __init__(
        self, nodes: Nodes, watched: Callable[[], Awaitable[Collection[str]]], index: Index, *, past: bool = False
    ) -> None:
        super().__init__(nodes, index, past=past)
        self._watched = watched
        self._most = len(nodes.all) // 2 + 1

    async def heights(self) -> tuple[int, int]:
        """The newest block that any node has, and the solidified height that most have reached."""
        return await RETRY(self._heights)

    async def _heights(self) -> tuple[int, int]:
        if self.nodes.proven_block == self.nodes.genesis:
            await self._genesis()
        said = await self.nodes.ask_all(_heights)
        answers = _answers(said)
        reached = sorted((solid for _, (_, solid) in answers), reverse=True)
        if len(reached) < self._most:
            raise self._undecided("walletsolidity/getnowblock", "the solidified height", said, str)
        solid = reached[self._most - 1]
        for node, (_, own) in answers:
            if own < solid - BEHIND_BLOCKS:
                problem = f"solidified up to {own}, most providers up to {solid}"
                self.nodes.reject(node.client, NodeBehind(node.client.solid_url, "walletsolidity/getnowblock", problem))
        head = sorted((head for _, (head, _) in answers), reverse=True)[self._most - 1]
        metrics.HEAD.set(max(head, solid))
        metrics.SOLID.set(solid)
        return max(head, solid), solid

    async def _genesis(self) -> None:
        """Under an empty log nodes are held against the genesis block that most have."""
        genesis = 0, await self._voted(_genesis_hash, "the genesis block", lambda one, other: f"it is {one}")
        if self.nodes.genesis != genesis:
            self.nodes.genesis = self.nodes.proven_block = genesis
            self.nodes.suspect_all()

    async def _range(self, first: int, last: int, logged: Collection[str] | None) -> Range:
        """As read from the best node, once it says what most providers say; raises NodeError while it does not."""
        addresses = sorted(await self._watched() if logged is None else logged)

        async def vote(node: NodeClient) -> Vote:
            (end,) = await node.blocks(last, last)
            return Vote(end.hash, tuple(await logs_told(node, first, last, addresses)))

        async def agreed() -> Range:
            read = await super(MajorityFetcher, self)._range(first, last, logged)
            told = [one for block, receipts in read.found for one in logs_of(block, receipts, addresses)]
            ours = Vote(read.found[-1][0].hash, tuple(told))
            of = f"blocks {first} to {last}"
            won = await self._voted(vote, of, _difference)
            if ours != won:
                raise self._outvoted(read.node, of, _difference(ours, won))
            return read

        return await RETRY(agreed)

    async def _voted(self, question: Question[V], of: str, differs: Callable[[V, V], str]) -> V:
        """What most say; the others are rejected. Raises NodeUnavailable, with each answer, without a majority."""
        said = await self.nodes.ask_all(question)
        answers = _answers(said)
        votes = Counter(vote for _, vote in answers)
        won, count = votes.most_common(1)[0] if votes else (None, 0)
        if won is None or count < self._most:
            raise self._undecided("", of, said, _shown)
        for node, vote in answers:
            if vote != won:
                self._outvoted(node.client, of, differs(vote, won))
        return won

    def _outvoted(self, node: NodeClient, of: str, difference: str) -> NodeLied:
        """Counts it against the node; returns the error."""
        problem = f"outvoted by at least {self._most} of {len(self.nodes.all)} on {of}: {difference}"
        error = NodeLied(node.solid_url, "walletsolidity/getblockbylimitnext", problem)
        self.nodes.reject(node, error)
        return error

    def _undecided(
        self, path: str, of: str, said: list[tuple[Node, V | NodeError]], shown: Callable[[V], str]
    ) -> NodeError:
        told = {node: answer.problem if isinstance(answer, NodeError) else shown(answer) for node, answer in said}
        each = (f"{node.provider.name}: {told.get(node, f'rests, {node.why}')}" for node in self.nodes.all)
        return NodeUnavailable("all providers", path, f"no majority agrees on {of}: {'; '.join(each)}")


async def _heights(node: NodeClient) -> tuple[int, int]:
    solid = await node.solid_head()
    return (await node.head()).number, solid.number


async def _genesis_hash(node: NodeClient) -> str:
    (genesis,) = await node.blocks(0, 0, solid=False)
    return genesis.hash


def _answers(said: list[tuple[Node, V | NodeError]]) -> list[tuple[Node, V]]:
    return [(node, answer) for node, answer in said if not isinstance(answer, NodeError)]


def _shown(vote: Hashable) -> str:
    return f"{vote.last_hash}, {len(vote.logs)} logs" if isinstance(vote, Vote) else str(vote)


def _difference(one: Vote, most: Vote) -> str:
    if one.last_hash != most.last_hash:
        return f"the last is {one.last_hash}, not {most.last_hash}"
    return f"{len(one.logs)} logs, not {len(most.logs)}: {first_difference(one.logs, most.logs)}"

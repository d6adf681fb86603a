"""Blocks that two sources agree on: no hash covers receipts, so what one node leaves out of them only another can tell.

With `CHAIN_CONFIRM=second`, what was read is held back until the indexes of two providers tell the same logs of the
watched contracts as the receipts do. Whoever gave a receipt, one of the two is another. What they don't agree on is not
passed: the likelier liar is left for a while, and the blocks are read again. Where one contract logged more in one
block than an index lists, the receipts that the two give are compared instead.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing

from chain.fetch import MOST_BLOCKS, RETRY, Fetcher, Index, Receipts, first_difference, logs_told
from chain.majority import MajorityFetcher
from chain.past.progress import Watching
from chain.settings import ChainSettings
from eventlog import EventLog
from tron.client import NodeClient
from tron.errors import NodeError, NodeLied, NodeUnavailable
from tron.model import Block, BlockLog, logs_of
from tron.providers import Nodes

Read = tuple[Block, Receipts, bool]


class ConfirmedFetcher(Fetcher):
    """A Fetcher that hands out only what is confirmed; `watched` tells the addresses of the watched contracts."""

    def __init__(
        self, nodes: Nodes, watched: Callable[[], Awaitable[Collection[str]]], index: Index, *, past: bool = False
    ) -> None:
        super().__init__(nodes, index, past=past)
        self._watched = watched

    async def blocks(
        self,
        first: int,
        last: int,
        logged: Collection[str] | None = None,
        *,
        after: tuple[int, str] | None = None,
    ) -> AsyncGenerator[Read, None]:
        """As `Fetcher.blocks`; raises NodeLied as well where the sources don't agree."""
        held: list[Read] = []
        async with aclosing(super().blocks(first, last, logged, after=after)) as read:
            async for block, receipts, more in read:
                held.append((block, receipts, more))
                if more and len(held) < MOST_BLOCKS:
                    continue
                await self._confirm(first, held, await self._watched() if logged is None else logged)
                for confirmed in held:
                    yield confirmed
                first, held = block.number + 1, []

    async def _confirm(self, first: int, held: Sequence[Read], addresses: Collection[str]) -> None:
        """Raises NodeLied where the logs differ, NodeUnavailable where there is nobody to confirm them."""
        last = held[-1][0].number
        told = [one for block, receipts, _ in held for one in logs_of(block, receipts, addresses)]

        async def logs(node: NodeClient) -> tuple[NodeClient, list[BlockLog]]:
            return node, await logs_told(node, first, last, addresses)

        one, found = await self._ask(logs)
        try:
            second, also = await RETRY(lambda: self.nodes.ask(logs, but=one))
        except NodeError as error:
            problem = f"blocks {first} to {last} wait for a second source: {error.problem}"
            raise NodeUnavailable(error.node, "jsonrpc", problem) from error
        if found == told == also:
            return
        # The node asked first is the best, which most likely gave the receipts, too; or else the second is the odd one.
        differs, other = (one, found) if found != told else (second, also)
        problem = f"no two sources agree on blocks {first} to {last}: the receipts tell {len(told)} logs, its index"
        lied = NodeLied(differs.url, "jsonrpc", f"{problem} {len(other)}: {first_difference(told, other)}")
        self.nodes.reject(differs, lied)
        raise lied


def fetcher(settings: ChainSettings, nodes: Nodes, log: EventLog, *, past: bool = False) -> Fetcher:
    """The fetcher that the settings ask for."""
    if settings.confirm == "audit":
        return Fetcher(nodes, settings.index, past=past)
    watching = Watching(log)

    async def watched() -> Collection[str]:
        return {contract.address for contract in (await watching.now()).contracts.values()} | {
            *settings.watched.values()
        }

    kind = MajorityFetcher if settings.confirm == "majority" else ConfirmedFetcher
    return kind(nodes, watched, settings.index, past=past)

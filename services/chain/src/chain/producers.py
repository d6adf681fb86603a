"""Who signs the chain's blocks: what `CHAIN_PRODUCERS` may name, so that no node can make up a block."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

from chain.audit import OnProgress
from chain.settings import ChainSettings
from tron.client import BLOCKS_PER_REQUEST, NodeClient
from tron.providers import Nodes


async def producers(
    settings: ChainSettings, blocks: int, on_progress: OnProgress = lambda done, total: None
) -> dict[str, int]:
    """How many of the newest solidified blocks each key has signed, by its address, as the best node tells it.

    Each block is proven to be what was signed, by whomever: whether these are the chain's producers, its votes say.
    Raises NodeError.
    """
    anybody = [replace(provider, prove=True, producers=frozenset()) for provider in settings.providers]
    async with Nodes(anybody) as nodes:
        _, last = await nodes.heights()
        first, signed = max(1, last - blocks + 1), Counter[str]()
        for start in range(first, last + 1, BLOCKS_PER_REQUEST):
            end = min(start + BLOCKS_PER_REQUEST - 1, last)
            signed.update(await nodes.ask(partial(NodeClient.producers, first=start, last=end)))
            on_progress(end - first + 1, last - first + 1)
    return dict(sorted(signed.items()))

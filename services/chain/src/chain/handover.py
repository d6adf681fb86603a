"""Solidified blocks on their way from the ingester to the head.

After an outage both have the same blocks to catch up with. Where they run in one process, the ingester reads and
decodes them, and the head tells what it is handed: no node is asked twice. Nobody waits for long: blocks that don't
come soon the head reads itself, and what it does not need, or doesn't take in time, is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from math import inf
from time import monotonic

from chain.handlers import Ingested

KEPT = 30_000
"""Blocks, transactions and events that wait for the head: tens of MB, several times what is appended at once."""
HURRY_BLOCKS = 20
"""So near to the last solidified block the head waits for nobody."""
FAR_BLOCKS = 200
"""Nor for an ingester that is so far behind it: some twenty blocks are usual, those that were not solidified yet."""
PATIENCE_SECONDS = 10.0
"""Without a block for longer, the ingester is in trouble, or another process has its part."""


class Handover:
    """What the ingester has recorded of the blocks that the head needs, and how far it is going to read."""

    def __init__(self) -> None:
        self.goal = -1
        """The last block that was solidified when the ingester looked."""
        self._given = -1
        self._given_at = 0.0
        self._needed: float = inf  # the head needs nothing
        self._blocks: deque[Ingested] = deque()  # without a gap, up to the one given last
        self._kept = 0

    # ---- for the ingester -------------------------------------------------------------------------------------------

    def reads(self, first: int, goal: int) -> None:
        """The ingester reads these blocks next."""
        self._goes_on(first)
        if self._given >= self.goal:  # it had come to its goal, and sets out for another one
            self._given_at = monotonic()
        self.goal = goal

    def give(self, blocks: Sequence[Ingested]) -> None:
        """The ingester has recorded these."""
        for given in blocks:
            self._goes_on(given.block.number)
            self._given = given.block.number
            self._blocks.append(given)
            self._kept += _size(given)
        self._given_at = monotonic()
        while self._blocks and (self._kept > KEPT or self._blocks[0].block.number < self._needed):
            self._kept -= _size(self._blocks.popleft())

    def _goes_on(self, number: int) -> None:
        """A gap may be blocks that log nothing of interest; what is handed over has none."""
        if number != self._given + 1:
            self._blocks.clear()
            self._kept, self._given = 0, number - 1

    # ---- for the head -----------------------------------------------------------------------------------------------

    def brings(self, number: int) -> bool:
        """The head needs this block next: returns whether to wait for it."""
        self._needed = number
        coming = self._given < number <= min(self.goal - HURRY_BLOCKS, self._given + FAR_BLOCKS)
        return coming and monotonic() - self._given_at < PATIENCE_SECONDS

    def after(self, number: int, block_hash: str, most: int) -> list[Ingested]:
        """At most so many blocks that follow this one; none, if they are not at hand or follow another one."""
        start = number + 1 - self._blocks[0].block.number if self._blocks else -1
        found = list(islice(self._blocks, start, start + most)) if start >= 0 else []
        return found if found and found[0].block.parent_hash == block_hash else []


def _size(given: Ingested) -> int:
    return 1 + len(given.block.transactions) + len(given.events)

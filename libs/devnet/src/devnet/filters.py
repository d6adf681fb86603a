"""Filters of JSON-RPC: what is new since the last time somebody asked, as java-tron tells it.

A filter lives for five minutes after it was last asked. Blocks that a reorganisation has replaced are told by their
logs once more, with `removed`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devnet.blocks import Block
from devnet.chain import Chain
from devnet.proto import Dict

LIVES_SECONDS = 300.0
KEPT_BLOCKS = 64
"""How deep a reorganisation is noticed; a node keeps no more than 32 blocks that can be replaced."""

Match = Callable[[Block], Sequence[Dict]]
"""The logs of a block that a filter is about."""


@dataclass(slots=True)
class Filter:
    """The newest blocks as they were when it was asked, each with its id and the logs told of it."""

    match: Match | None
    """None: it is about blocks."""
    logs: Callable[[], list[Dict]]
    asked_at: float
    told: list[tuple[int, bytes, Sequence[Dict]]] = field(default_factory=list)


class Filters:
    """The filters of one chain, by their ids."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._filters: dict[str, Filter] = {}

    def add(self, match: Match | None, logs: Callable[[], list[Dict]]) -> str:
        """Begins a filter at the newest block; `logs` is all that it finds. Returns its id."""
        now = time.monotonic()
        self._filters = {name: one for name, one in self._filters.items() if now - one.asked_at < LIVES_SECONDS}
        made = Filter(match, logs, now)
        head = self._chain.head.number
        for number in range(max(0, head - KEPT_BLOCKS + 1), head + 1):
            if (block := self._chain.block(number)) is not None:
                made.told.append((number, block.id, ()))
        name = "0x" + secrets.token_hex(16)
        self._filters[name] = made
        return name

    def find(self, name: object) -> Filter | None:
        """The filter, which lives on; None where there is none."""
        found = self._filters.get(name) if isinstance(name, str) else None
        now = time.monotonic()
        if found is None or now - found.asked_at >= LIVES_SECONDS:
            return None
        found.asked_at = now
        return found

    def remove(self, name: str) -> None:
        """Ends one that was found."""
        del self._filters[name]

    def changes(self, of: Filter) -> list[str] | list[Dict]:
        """The ids of new blocks, or their logs and, with `removed`, those of blocks that are gone."""
        logs: list[Dict] = []
        while of.told and not self._stands(*of.told[-1][:2]):
            logs += [{**log, "removed": True} for log in of.told.pop()[2]]
        blocks: list[str] = []
        for number in range(of.told[-1][0] + 1 if of.told else 0, self._chain.head.number + 1):
            if (block := self._chain.block(number)) is not None:
                found = of.match(block) if of.match is not None else ()
                of.told.append((number, block.id, found))
                blocks.append("0x" + block.id.hex())
                logs += found
        del of.told[:-KEPT_BLOCKS]
        return logs if of.match is not None else blocks

    def _stands(self, number: int, block_id: bytes) -> bool:
        block = self._chain.block(number)
        return block is not None and block.id == block_id

"""What is watched, and how far the past of each contract was read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from chain.domain import CURSOR, WATCH, BlocksBackfilled
from chain.domain.watch import Watch, Watched, past_cursor, watch
from eventlog import EventLog, Watermark

IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Past:
    """The past of a contract: the version of its cursor, the next block to read, and the hash of the last one read."""

    contract: Watched
    version: int
    next: int
    last_hash: str | None = None  # None: nothing was read yet

    @property
    def done(self) -> bool:
        """Whether all of it is in the log."""
        return self.next == self.contract.past.stop

    @property
    def since(self) -> int:
        """The block from which on all that the contract logged is in the log."""
        blocks = self.contract.past
        return blocks.start if self.done else blocks.stop

    @property
    def last_block(self) -> tuple[int, str] | None:
        """Number and hash of the last block that was read."""
        return None if self.last_hash is None else (self.next - 1, self.last_hash)


class Watching:
    """The stream `watch`, read again only once it has grown."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._state = Watch()

    async def now(self) -> Watch:
        """What is watched now."""
        if await self._log.version(WATCH) != self._state.version:
            self._state = watch(recorded.event for recorded in await self._log.read_stream(WATCH))
        return self._state


async def pasts(log: EventLog, state: Watch, conn: Any = None) -> list[Past]:
    """The past of each contract that has one, in the order in which they were added."""
    return [await past_of(log, contract, conn) for contract in state.contracts.values() if contract.past]


async def past_of(log: EventLog, contract: Watched, conn: Any = None) -> Past:
    """How far the past of a contract is read."""
    recorded = await log.last(past_cursor(contract.name), conn)
    if recorded is None:
        return Past(contract, 0, contract.past.start)
    done: BlocksBackfilled = recorded.event
    return Past(contract, recorded.version, done.last + 1, done.last_hash)


async def grown(watermark: Watermark, seen: int, pause_seconds: float) -> None:
    """Waits until the log has grown beyond a position, at least for a pause; in a log that stands still, for long."""
    await asyncio.sleep(pause_seconds)
    await watermark.beyond(seen, IDLE_SECONDS)


async def hash_in_log(log: EventLog, first: int, last: int) -> dict[int, str]:
    """The hashes that the log has of some of the blocks `first` to `last`: of those with which an append ended."""
    version = await log.version(CURSOR)
    low, high = 0, version  # the first version whose blocks end at `first` or later is above `low`
    while low < high:
        middle = (low + high) // 2
        (recorded,) = await log.read_stream(CURSOR, middle, limit=1)
        low, high = (middle + 1, high) if recorded.event.last < first else (low, middle)
    found: dict[int, str] = {}
    while low < version:
        for recorded in await log.read_stream(CURSOR, low, limit=500):
            if recorded.event.last > last:
                return found
            found[recorded.event.last] = recorded.event.last_hash
            low = recorded.version
    return found

"""What has become of a transaction: in the blocks that may still change, as the node shows them; for good, in our log.

Only the log settles anything. It holds proven, solidified blocks, and every transaction of a sending key in them, so
what it does not hold within a transaction's validity was never paid.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from chain.domain import CURSOR, WATCH, BlocksIngested, ContractsWatched, TransactionSolidified, transaction_stream
from chain.domain.operation import TransactionSigned, operation_stream
from eventlog import EventLog
from tron.client import Client

WINDOW_BLOCKS = 64


class Head:
    """The newest blocks of the node, which may still be reorganised away."""

    def __init__(self, node: Client) -> None:
        self._node = node
        self._blocks: dict[int, tuple[str, frozenset[str]]] = {}
        self._newest = 0

    async def look(self) -> None:
        """Takes in what is new; blocks that are no longer in the chain are replaced. Raises NodeError."""
        head = await self._node.head()
        if self._blocks.get(head.number, ("",))[0] == head.hash:
            return  # nothing new; a node that lags behind the one before is no reorganisation
        gap = range(self._newest + 1, head.number + 1)
        new = [head] if len(gap) == 1 else []
        if 1 < len(gap) < WINDOW_BLOCKS:
            new = await self._node.blocks(gap[0], gap[-1], solid=False)
        if not new or self._blocks.get(self._newest, ("",))[0] != new[0].parent_hash:
            new = await self._node.blocks(max(0, head.number - WINDOW_BLOCKS + 1), head.number, solid=False)
        self._newest = new[-1].number
        self._blocks |= {block.number: (block.hash, frozenset(t.tx_id for t in block.transactions)) for block in new}
        kept = range(self._newest - WINDOW_BLOCKS + 1, self._newest + 1)
        self._blocks = {number: found for number, found in self._blocks.items() if number in kept}

    def place(self, tx_id: str) -> tuple[int, str] | None:
        """Number and hash of the block that holds a transaction; None where none of the newest does."""
        found = ((number, block_hash) for number, (block_hash, ids) in self._blocks.items() if tx_id in ids)
        return next(found, None)

    def lacks(self, block: tuple[int, str]) -> bool:
        """Whether a block that was seen is certainly no longer in the node's chain."""
        number, block_hash = block
        return number in self._blocks and self._blocks[number][0] != block_hash


@dataclass(frozen=True, slots=True)
class Reached:
    """The last block in the log."""

    number: int
    time: datetime


class Witness:
    """Reads in our log what solidified blocks say of our transactions."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._versions: dict[str, int] = {}
        self._first_blocks: dict[str, int] = {}

    async def look(self, owners: Collection[str]) -> tuple[Reached | None, list[TransactionSolidified]]:
        """How far the log reaches, and what these accounts' transactions have come to since the last look.

        The first look at an account begins with what comes next; `find` knows what was before.
        """
        reached = await self._reached()
        for owner in owners:
            stream = transaction_stream(owner)
            if stream not in self._versions:
                self._versions[stream] = await self._log.version(stream)
        found = []
        for recorded in await self._log.read_streams(dict(self._versions)):
            self._versions[recorded.stream] = recorded.version
            if isinstance(recorded.event, TransactionSolidified):
                found.append(recorded.event)
        return reached, found

    async def find(self, operation_id: str, signed: TransactionSigned) -> TransactionSolidified | None:
        """What a transaction has come to; None while the log does not hold it.

        It was signed into the log before anybody else had it, so it can only stand behind its signature there.
        """
        journal = await self._log.read_stream(operation_stream(operation_id))
        position = next(entry.position for entry in journal if getattr(entry.event, "wire", "") == signed.wire)
        stream = transaction_stream(signed.owner)
        for recorded in await self._log.read_stream(stream, await self._version(stream, position)):
            event = recorded.event
            if isinstance(event, TransactionSolidified) and event.tx_id == signed.tx_id:
                return event
        return None

    async def records_from(self, owner: str) -> int | None:
        """The first block of which the log holds all transactions of an account; None while it holds none."""
        if owner in self._first_blocks:
            return self._first_blocks[owner]
        for recorded in await self._log.read_stream(WATCH):
            watched = recorded.event
            if isinstance(watched, ContractsWatched) and (watched.transactions == "all" or owner in watched.accounts):
                return self._first_blocks.setdefault(owner, watched.first_block)
        return None

    async def _reached(self) -> Reached | None:
        recorded = await self._log.last(CURSOR)
        if recorded is None:
            return None
        done: BlocksIngested = recorded.event
        return Reached(done.last, done.last_time)

    async def _version(self, stream: str, before: int) -> int:
        """The version that a stream had before a position."""
        sql = "SELECT version FROM events WHERE stream = $1 AND position < $2 ORDER BY version DESC LIMIT 1"
        return int(await self._log.pool.fetchval(sql, stream, before) or 0)

"""The newest blocks of the chain, provisionally (`chain.head`): for screens, never for money or law.

One partition, in the order of the chain: a block follows its parent, a reorganisation takes blocks back, newest first,
before it adds others. `HeadChain` puts the messages together. What is final is in the topics `chain.<contract>`.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.envelope import Message, message_class
from contracts.values import Hash, Time


class ProvisionalEvent(BaseModel):
    """An event of a contract as it will be told in `chain.<contract>`, if its block stays."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="the message that it will be: chain.music-nft.PrimarySale.v1")
    stream: str = Field(description="the key that it will have: music-nft/token/7")
    data: dict[str, Any] = Field(description="the fields of that message")

    def message(self) -> Message:
        """The message, typed. Raises LookupError for a type that this release doesn't know."""
        cls = message_class(self.type)
        if cls is None:
            raise LookupError(f"no message class {self.type}")
        return cls.model_validate(self.data)


class BlockAdded(Message, type="chain.head.BlockAdded.v1"):
    """A block follows the one told before. One with many events comes in several parts, one behind the other."""

    number: int = Field(ge=0)
    hash: Hash
    parent: Hash
    time: Time
    transactions: int = Field(ge=0, description="how many the block holds, of whatever kind")
    solidified: int = Field(ge=-1, description="blocks up to this number never change again; -1: none yet")
    part: int = Field(ge=1)
    parts: int = Field(ge=1)
    events: tuple[ProvisionalEvent, ...]

    @property
    def occurred_at(self) -> datetime:
        return self.time


class BlockRetracted(Message, type="chain.head.BlockRetracted.v1"):
    """The newest block is not in the chain any more, and nothing of it happened."""

    number: int = Field(ge=0)
    hash: Hash


class DoesNotLink(ValueError):
    """Messages of `chain.head` that cannot follow each other: some are missing, doubled, or in another order."""


class HeadChain:
    """The chain as the messages tell it, from whichever message on one begins to read.

    `blocks` has the parts of each block, oldest block first; only the newest `keep` (None: all since the beginning).
    Retractions take back no block at or below `solidified`, so a few dozen are enough to go on from.
    """

    def __init__(self, keep: int | None = None) -> None:
        self.blocks: deque[list[BlockAdded]] = deque(maxlen=keep)

    @property
    def complete(self) -> bool:
        """Whether all parts of the newest block are there."""
        return not self.blocks or len(self.blocks[-1]) == self.blocks[-1][0].parts

    def apply(self, message: BlockAdded | BlockRetracted) -> None:
        """Takes the next message in. Raises DoesNotLink naming block, expected and found; nothing has changed then."""
        if isinstance(message, BlockRetracted):
            self._retract(message)
        elif message.part > 1:
            self._continue(message)
        else:
            self._add(message)

    def _add(self, block: BlockAdded) -> None:
        if self.blocks:
            last = self.blocks[-1][0]
            if not self.complete:
                raise DoesNotLink(f"block {last.number}: expected part {len(self.blocks[-1]) + 1} of {last.parts}")
            if (block.number, block.parent) != (last.number + 1, last.hash):
                raise DoesNotLink(
                    f"block {block.number} with the parent {block.parent}: "
                    f"expected block {last.number + 1} with the parent {last.hash}"
                )
        self.blocks.append([block])

    def _continue(self, block: BlockAdded) -> None:
        if not self.blocks:
            return  # the beginning of its block was told before we began to read
        parts = self.blocks[-1]
        if (block.hash, block.part) != (parts[0].hash, len(parts) + 1) or block.part > block.parts:
            raise DoesNotLink(
                f"part {block.part} of block {block.hash}: expected part {len(parts) + 1} of {parts[0].hash}, "
                f"which has {parts[0].parts}"
            )
        parts.append(block)

    def _retract(self, block: BlockRetracted) -> None:
        if not self.blocks:
            return  # it was told before we began to read
        if not self.complete:
            last = self.blocks[-1]
            raise DoesNotLink(f"block {last[0].number}: expected part {len(last) + 1} of {last[0].parts}")
        if block.hash != self.blocks[-1][0].hash:
            raise DoesNotLink(f"retracted {block.hash}: expected the newest block, {self.blocks[-1][0].hash}")
        self.blocks.pop()

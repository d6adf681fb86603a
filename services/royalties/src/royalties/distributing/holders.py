"""Who held what at a block: read from the topics of the chain, which are kept for ever.

The same block gives the same holders at any time and in any process, so nothing is kept of it but the shares that it
led to. What is read is solidified, so it is never taken back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from contracts import chain
from contracts.chain import BlocksSolidified
from messaging import UnknownType
from messaging.chain_time import BLOCKS
from messaging.cloudevents import decode
from messaging.connection import Kafka
from messaging.progress import read_last
from messaging.reading import reading
from royalties.domain import distributions

NOBODY = "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"
"""The zero address: tokens come from it, and go to it when they are burned."""


class HoldersUnknown(Exception):
    """The topics don't tell who held what at a block: the chain is not there, or its past is not told yet."""


@dataclass
class Tally:
    """What the events of a contract up to a block come to. They may be counted in any order."""

    holding: distributions.Holding
    block: int
    _tokens: Counter[str] = field(default_factory=Counter)
    _owners: dict[int, tuple[tuple[int, int], str]] = field(default_factory=dict)  # of an edition: since when, who
    _tracks: dict[int, int] = field(default_factory=dict)

    def take(self, records: Iterable[ConsumerRecord[bytes, bytes]]) -> None:
        """Raises Malformed."""
        for record in records:
            try:
                message = decode(record).message
            except UnknownType:  # of a later release; transfers are not
                continue
            if isinstance(message, chain.ChainMessage) and message.source.block_number <= self.block:
                self._count(message)

    def _count(self, message: chain.ChainMessage) -> None:
        match message:
            case chain.TokenTransfer(from_address=giver, to=taker, value=value):
                self._tokens[giver] -= value
                self._tokens[taker] += value
            case chain.NftTransfer(token_id=token, to=taker, source=source):
                when = (source.block_number, source.log_index)
                if token not in self._owners or self._owners[token][0] < when:
                    self._owners[token] = (when, taker)
            case chain.EditionMinted(token_id=token, track_id=track):
                self._tracks[token] = track
            case _:
                pass

    def holders(self) -> Mapping[str, int]:
        """What each address holds, above 0. Raises HoldersUnknown when more was given than got."""
        held = self._editions() if self.holding.kind == "music-nft" else self._tokens
        if below := [who for who, amount in held.items() if amount < 0 and who != NOBODY]:
            raise HoldersUnknown(f"{below[0]} gave more than it got: the contract's past is not told yet")
        return {who: amount for who, amount in held.items() if amount > 0 and who != NOBODY}

    def _editions(self) -> Counter[str]:
        track = self.holding.track_id
        return Counter(who for token, (_, who) in self._owners.items() if track in (None, self._tracks.get(token)))


class Holders:
    """Holders at a block, for whoever asks."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    async def at(self, holding: distributions.Holding, block: int) -> Mapping[str, int]:
        """What each address held after a block, above 0. Raises HoldersUnknown."""
        await self._reached(block)
        tally = Tally(holding, block)
        async with reading(self._kafka, [f"chain.{holding.kind}"]) as reader:
            if not reader.extents:
                raise HoldersUnknown(f"there is no topic chain.{holding.kind}")
            for partition in reader.extents:
                async for records in reader.records(partition):
                    await asyncio.to_thread(tally.take, records)
        return tally.holders()

    async def _reached(self, block: int) -> None:
        """Returns if all that blocks up to this one hold was told before: it is below the ends that topics have now."""
        async with reading(self._kafka, [BLOCKS]) as reader:
            exists = bool(reader.extents)
        last = await read_last(self._kafka, BLOCKS) if exists else None
        told = BlocksSolidified.model_validate_json(last.value).last if last is not None else -1
        if told < block:
            raise HoldersUnknown(f"expected block {block} to be solidified, told are those up to {told}")

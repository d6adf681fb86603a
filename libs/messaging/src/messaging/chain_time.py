"""How far the chain's own time has come, provided that all it told until then has been taken in here."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from contracts.chain import BlocksSolidified
from messaging.connection import Kafka
from messaging.progress import read_last
from messaging.reading import reading
from messaging.taken_in import taken_in

BLOCKS = "chain.blocks"


class ChainTime:
    """What the chain service has told of solidified blocks to a consumer group, which reads some of its topics."""

    def __init__(self, pool: asyncpg.Pool, kafka: Kafka, group: str, topics: Collection[str]) -> None:
        self._pool = pool
        self._kafka = kafka
        self._group = group
        self._topics = topics

    async def reached(self) -> BlocksSolidified | None:
        """The last blocks of which all that the topics tell is in our log or put aside; None while unknown.

        In this order: the chain service publishes in the order of its log, so what was logged in these blocks was
        published before them, and is among what the topics hold when they are looked at after them.
        """
        async with reading(self._kafka, [BLOCKS]) as reader:
            if not reader.extents:
                return None
        last = await read_last(self._kafka, BLOCKS)
        if last is None or not await taken_in(self._pool, self._kafka, self._group, self._topics):
            return None
        return BlocksSolidified.model_validate_json(last.value)

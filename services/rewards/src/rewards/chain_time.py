"""How far the chain's own time has come for claims, and which of them nobody knows the end of."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from messaging import chain_time
from messaging.chain_time import BLOCKS
from messaging.connection import Kafka
from messaging.taken_in import put_aside

__all__ = ["BLOCKS", "VAULT", "ChainTime"]

VAULT = "chain.reward-vault"


class ChainTime(chain_time.ChainTime):
    """What the vault has told to the consumer group of this service."""

    def __init__(self, pool: asyncpg.Pool, kafka: Kafka, group: str) -> None:
        super().__init__(pool, kafka, group, [VAULT])

    async def put_aside(self, claim_ids: Collection[str]) -> set[str]:
        """Those of the claims of which a message waits for a person: nobody knows whether they were paid."""
        keys = {f"reward-vault/claim/{claim_id}": claim_id for claim_id in claim_ids}
        return {keys[key] for key in await put_aside(self._pool, self._group, VAULT, keys)}

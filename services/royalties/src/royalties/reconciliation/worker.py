"""Holds the books against the contracts again and again, where a node is set."""

from __future__ import annotations

import asyncio

import asyncpg

from eventlog import EventLog
from messaging.chain_time import ChainTime
from messaging.leader import leadership, while_leading
from royalties.handlers import TOPICS
from royalties.reconciliation import reconcile
from royalties.settings import RoyaltiesSettings
from service import get_logger
from tron.client import NodeClient
from tron.errors import TronError

log = get_logger("royalties.reconciliation")


def chain_time(pool: asyncpg.Pool, settings: RoyaltiesSettings) -> ChainTime:
    """How far the books have come on the chain."""
    return ChainTime(pool, settings.kafka_options(), settings.name, TOPICS)


def node_of(settings: RoyaltiesSettings, url: str) -> NodeClient:
    """A client of the node at `url`, to be closed."""
    return NodeClient(url, api_key=settings.api_key.get_secret_value() if settings.api_key else None)


class Reconciler:
    """Compares at a fixed interval; a worker. Of several instances one does. Without a node there is nothing to do."""

    name = "reconciliation"

    def __init__(self, event_log: EventLog, settings: RoyaltiesSettings) -> None:
        self._log = event_log
        self._settings = settings
        self._reached = chain_time(event_log.pool, settings).reached

    async def run(self) -> None:
        """Runs until cancelled."""
        if self._settings.node_url is None:
            await asyncio.Event().wait()
            return
        async with leadership(self._log.pool, f"{self._settings.name}:{self.name}") as lock:
            await while_leading(lock, self._proceed(self._settings.node_url))

    async def _proceed(self, url: str) -> None:
        async with node_of(self._settings, url) as node:
            while True:
                await self._compare(node)
                await asyncio.sleep(self._settings.reconcile_seconds)

    async def _compare(self, node: NodeClient) -> None:
        try:
            outcome = await reconcile(self._log, node, self._reached)
        except (TronError, LookupError) as error:
            log.warning("the books were not compared with the contracts", reason=str(error))
            return
        for one in outcome.differences:
            log.error(
                "the books differ from a contract",
                account=one.compared.account,
                block=one.compared.block_number,
                booked_sun=str(one.compared.booked_sun),
                held_sun=str(one.compared.held_sun),
            )
        log.info("the books were compared with the contracts", block=outcome.first_block, accounts=outcome.accounts)

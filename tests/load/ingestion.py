"""A chain of 200,000 contract events into the chain service's log, against reading and decoding it alone."""

from __future__ import annotations

from harness import Goal, Path, per_second
from servers import Servers

from chain import domain
from chain.fetch import Fetcher
from chain.handlers import Translator
from chain.ingest import Ingester
from eventlog import EventLog, EventTypes
from messaging.testing import eventually, running
from tron.providers import Nodes, Provider

PATIENCE = 300


async def backfill(servers: Servers) -> float:
    """All blocks from the genesis block on, as the service's worker does with its default settings."""
    saved, url = await servers.chain()
    async with servers.empty_log(EventTypes(domain.EVENTS)) as log, Nodes([Provider("devnet", url)]) as nodes:
        _, last = await nodes.heights()
        ingester = Ingester(log, Fetcher(nodes), saved.contracts)

        async def all_read() -> bool:
            return (await ingester.cursor()).next > last

        async def work() -> None:
            async with running(ingester):
                await eventually(all_read, within=PATIENCE)

        times_a_second = await per_second(1, work)
        return await contract_events(log) * times_a_second


async def fetch_and_decode(servers: Servers) -> float:
    """The same fetcher and the same translator: every block proven, every event decoded and checked, none appended."""
    saved, url = await servers.chain()
    async with Nodes([Provider("devnet", url)]) as nodes:
        _, last = await nodes.heights()
        translator, logs = Translator(saved.contracts, "all"), 0

        async def work() -> None:
            nonlocal logs
            async for block, receipts, _ in Fetcher(nodes).blocks(0, last, translator.logged):
                logs += translator.block(block, receipts).logs

        times_a_second = await per_second(1, work)
        return logs * times_a_second


async def contract_events(log: EventLog) -> int:
    """How many logs of contracts the log has; its transactions and cursor events are not counted."""
    sql = "SELECT sum((data->>'events')::bigint)::bigint FROM events WHERE type = 'BlocksIngested'"
    return int(await log.pool.fetchval(sql))


PATHS = (Path("backfill", "events/s", backfill, fetch_and_decode, Goal(ratio=0.7, ours=10_000)),)

"""Both ways of reading a chain give the same events, and neither is fooled by a node that leaves something out."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

import eventlog
from chain.domain import CURSOR, EVENTS
from chain.fetch import Fetcher, Index
from chain.ingest import Ingester
from eventlog import EventLog, EventTypes
from messaging.testing import eventually, running
from tron.model import logs_of
from tron.providers import Nodes, Provider

pytestmark = pytest.mark.endurance
INFOS = "walletsolidity/gettransactioninfobyblocknum"
Bend = Callable[[str, Any, Any], Any]
Rows = list[tuple[object, ...]]
Ingest = Callable[..., Awaitable[Rows]]


@pytest.fixture
async def ingest(town: Any, proxy: Any, tables: asyncpg.Pool) -> Ingest:
    """Reads the whole chain into an empty log, by a node as bent and a true one; returns all of it but the cursor."""

    async def ingest(
        bend: Bend | None = None, index: Index = "agreed", second: str | None = "", only: str = ""
    ) -> Rows:
        await tables.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await tables.execute(eventlog.install_sql())
        proxy.bend = bend or (lambda path, body, answer: answer)
        proxy.asked.clear()
        true = [Provider("true", second or town.url, priority=2)] if second is not None else []
        async with Nodes([Provider("bent", proxy.url), *true]) as nodes:
            log = EventLog(tables, EventTypes(EVENTS))
            contracts = {name: address for name, address in town.contracts.items() if only in name}
            subject = Ingester(log, Fetcher(nodes, index), contracts, transactions="logged", poll_seconds=0.05)
            await whole(subject, nodes)
        rows = await tables.fetch(
            """SELECT stream, version, event_id, type, data::text, metadata->>'causation_id', occurred_at
               FROM events WHERE stream NOT IN ($1, 'watch') ORDER BY position""",
            CURSOR,
        )
        return [tuple(row) for row in rows]

    return ingest


@pytest.fixture(scope="module")
def remembered() -> list[Rows]:
    return []


@pytest.fixture
async def plain(ingest: Ingest, remembered: list[Rows]) -> Rows:
    """What one true node tells, every block read; the same for every test, for nothing here adds to the chain."""
    if not remembered:
        remembered.append(await ingest(index="never", second=None))
    return remembered[0]


async def whole(ingester: Ingester, nodes: Nodes) -> None:
    """Runs it until everything that is solidified now is in the log."""
    last = (await nodes.heights())[1]

    async def there() -> bool:
        return (await ingester.cursor()).next > last

    async with running(ingester):
        await eventually(there)


def one_by_one(path: str, body: Any, answer: Any) -> Any:
    """A node that serves neither JSON-RPC nor the receipts of a block."""
    return (405, "<html>") if path in ("jsonrpc", INFOS) else answer


def indexed(change: Callable[[list[Any]], list[Any]]) -> Bend:
    """A node whose index, asked by address, tells something else than its receipts."""

    def bend(path: str, body: Any, answer: Any) -> Any:
        if path == "jsonrpc":
            for item in answer:
                if isinstance(item.get("result"), list):
                    item["result"] = change(item["result"])
        return answer

    return bend


async def test_both_dialects_give_the_same_events_with_the_same_ids_in_the_same_order(
    ingest: Ingest, proxy: Any, plain: Rows
) -> None:
    assert {row[3] for row in plain} == {"ContractEvent", "TransactionSolidified"}
    assert len(plain) > 900
    assert "jsonrpc" not in proxy.asked
    assert await ingest() == plain
    assert await ingest(index="alone", second=None) == plain
    assert "jsonrpc" in proxy.asked
    assert await ingest(one_by_one, second=None) == plain
    assert proxy.asked.count("walletsolidity/gettransactioninfobyid") > 200


async def test_the_index_spares_the_blocks_in_which_the_contracts_logged_nothing(ingest: Ingest, proxy: Any) -> None:
    plain = await ingest(index="never", second=None, only="vault")
    blocks = proxy.asked.count(INFOS)
    assert await ingest(only="vault") == plain
    assert 0 < proxy.asked.count(INFOS) < blocks
    assert len(plain) > 50


async def test_one_node_alone_is_read_block_by_block_because_nothing_proves_its_index(
    ingest: Ingest, proxy: Any
) -> None:
    await ingest(indexed(lambda logs: logs[:-1]), second=None)
    assert proxy.asked.count(INFOS) > 20


async def test_the_logs_of_every_block_are_the_same_by_index_and_by_receipts(town: Any, nodes: Nodes) -> None:
    client, addresses = nodes.all[0].client, sorted(town.contracts.values())
    solid = (await client.solid_head()).number
    told = []
    for block in await client.blocks(0, solid):
        told += logs_of(block, await client.infos_of(block), addresses)
    assert await client.rpc.logs(0, solid, addresses) == told
    assert len(told) > 600


LIES = {
    "an index that is empty, as where no bloom was kept": lambda logs: [],
    "an index cut short": lambda logs: logs[: len(logs) // 2],
    "an index without one log": lambda logs: logs[1:],
    "an index with a changed log": lambda logs: [log | {"data": "0x" + "00" * 32} for log in logs],
}


@pytest.mark.parametrize("change", LIES.values(), ids=LIES)
async def test_an_index_that_leaves_logs_out_is_never_believed(
    ingest: Ingest, plain: Rows, change: Callable[[list[Any]], list[Any]]
) -> None:
    assert await ingest(indexed(change)) == plain


async def test_while_the_second_node_is_away_every_block_is_read(ingest: Ingest, proxy: Any, plain: Rows) -> None:
    assert await ingest(second="http://127.0.0.1:9") == plain
    assert proxy.asked.count(INFOS) > 20


async def test_an_index_that_fails_every_third_time_loses_nothing(ingest: Ingest, plain: Rows) -> None:
    choice, lies = random.Random(5), [indexed(change) for change in LIES.values()]

    def sometimes(path: str, body: Any, answer: Any) -> Any:
        return choice.choice(lies)(path, body, answer) if choice.random() < 0.3 else answer

    assert await ingest(sometimes) == plain


async def test_of_two_nodes_the_one_that_lies_is_left_and_the_log_is_complete(
    town: Any, proxy: Any, log: EventLog
) -> None:
    proxy.bend = lambda path, body, answer: answer[:-1] if path == INFOS else answer
    both = [Provider("liar", proxy.url, priority=1), Provider("honest", town.url, priority=2)]
    async with Nodes(both) as nodes:
        subject = Ingester(log, Fetcher(nodes), town.contracts, poll_seconds=0.05)
        await whole(subject, nodes)
        liar, honest = nodes.states()
        assert liar.score < honest.score
        assert "receipts for a block of" in str(liar.why)
    assert await log.pool.fetchval("SELECT count(*) FROM events WHERE type = 'ContractEvent'") > 600

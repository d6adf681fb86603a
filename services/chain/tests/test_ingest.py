from __future__ import annotations

import asyncio
import copy
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from chain_lies import BLOCKS, LIES

from chain import fetch
from chain.fetch import Fetcher
from chain.ingest import Ingester, WatchConflict
from eventlog import EventLog
from messaging.testing import eventually, running
from tron.address import hex41, normalise
from tron.providers import Nodes, Provider
from tron.retry import Retry

NOW = "walletsolidity/getnowblock"


def ingester(log: EventLog, nodes: Nodes, town: Any, **options: Any) -> Ingester:
    options = {"contracts": town.contracts, "poll_seconds": 0.05} | options
    return Ingester(log, Fetcher(nodes), options.pop("contracts"), **options)


async def mine(url: str, blocks: int) -> None:
    async with httpx.AsyncClient(timeout=120) as client:
        (await client.post(f"{url}/devnet/mine", json={"blocks": blocks})).raise_for_status()


async def solid(town: Any) -> int:
    async with httpx.AsyncClient(timeout=120) as client:
        return int((await client.get(f"{town.url}/devnet/status")).json()["solid"])


async def logs_of_the_node(town: Any) -> list[tuple[object, ...]]:
    """Every log of the five contracts up to the solidified block, by another way than ingestion's: JSON-RPC."""
    bounds = {"fromBlock": "0x0", "toBlock": hex(await solid(town))}
    addresses = ["0x" + hex41(address)[2:] for address in town.contracts.values()]
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [{**bounds, "address": addresses}]}
    async with httpx.AsyncClient(timeout=120) as client:
        answer = (await client.post(f"{town.url}/jsonrpc", json=question)).json()["result"]
    return [
        (
            int(log["blockNumber"], 16),
            log["blockHash"][2:],
            int(log["logIndex"], 16),
            normalise(log["address"]),
            log["transactionHash"][2:],
        )
        for log in answer
    ]


async def logs_of_the_log(pool: asyncpg.Pool) -> list[tuple[object, ...]]:
    rows = await pool.fetch(
        """SELECT (data->'source'->>'block_number')::bigint, data->'source'->>'block_hash',
                  (data->'source'->>'log_index')::int, data->'source'->>'contract', data->'source'->>'tx_id'
           FROM events WHERE type IN ('ContractEvent', 'UndecodedLog') ORDER BY position"""
    )
    return [tuple(row) for row in rows]


async def transactions_of_the_node(town: Any) -> list[str]:
    async with httpx.AsyncClient(timeout=120) as client:
        answers = [
            (await client.post(f"{town.url}/wallet/getblockbynum", json={"num": number})).json()
            for number in range(await solid(town) + 1)
        ]
    return [transaction["txID"] for block in answers for transaction in block.get("transactions", [])]


async def assert_complete(pool: asyncpg.Pool, town: Any) -> None:
    """The log holds what the chain holds, each once, in order, and its cursor says so."""
    expected = await logs_of_the_node(town)
    assert await logs_of_the_log(pool) == expected
    transactions = await pool.fetch(
        "SELECT data->>'tx_id' FROM events WHERE type = 'TransactionSolidified' ORDER BY position"
    )
    assert [row[0] for row in transactions] == await transactions_of_the_node(town)
    done = await pool.fetch(
        """SELECT (data->>'first')::bigint AS first, (data->>'last')::bigint AS last, (data->>'events')::int AS events,
                  (data->>'transactions')::int AS transactions
           FROM events WHERE stream = 'cursor' ORDER BY version"""
    )
    firsts = [row["first"] for row in done]
    assert firsts == [0, *(row["last"] + 1 for row in done[:-1])]
    assert sum(row["events"] for row in done) == len(expected)
    assert sum(row["transactions"] for row in done) == len(transactions)


async def caught_up(subject: Ingester, town: Any) -> None:
    last = await solid(town)

    async def there() -> bool:
        return (await subject.cursor()).next > last

    await eventually(there)


# ---- everything, once, in order -----------------------------------------------------------------------------------


async def test_every_log_of_the_chain_is_in_the_log_exactly_once_and_in_order(
    town: Any, log: EventLog, nodes: Nodes
) -> None:
    subject = ingester(log, nodes, town, batch_events=200)
    async with running(subject):
        await caught_up(subject, town)
        await mine(town.url, 3)  # and it goes on at the head
        await caught_up(subject, town)
    await assert_complete(log.pool, town)
    rows = await log.pool.fetch("SELECT data->>'contract', data->>'name' FROM events WHERE type = 'ContractEvent'")
    kinds = Counter((row[0], row[1]) for row in rows)
    assert len({contract for contract, _ in kinds}) == 5
    assert len(kinds) >= 30, kinds
    assert await log.pool.fetchval("SELECT count(*) FROM events WHERE type = 'UndecodedLog'") == 0


async def test_an_event_stands_in_the_stream_of_its_entity_with_its_exact_values(
    town: Any, log: EventLog, nodes: Nodes
) -> None:
    subject = ingester(log, nodes, town)
    async with running(subject):
        await caught_up(subject, town)
    first, *_ = await log.read_stream("music-nft/track/1")
    assert first.event.args == {
        "track_id": "1",
        "artist": town.keys[1].address,
        "title": "Nachtlied 1 ♪",
        "artist_name": "Ana",
        "content_hash": "01" * 32,
        "max_editions": 40,
        "price_sun": "3000001",
        "royalty_bps": "1000",
    }
    names = [recorded.event.name for recorded in await log.read_stream("music-nft/token/1000002")]
    assert names == ["Transfer", "EditionMinted", "PrimarySale", "Listed", "Transfer", "SecondarySale"]
    split, *_ = await log.read_stream("royalty-distributor/track/1")
    assert split.event.name == "SplitControlAccepted"
    shares = [
        e.event.args for e in await log.read_stream("royalty-distributor/track/1") if e.event.name == "SplitConfigured"
    ]
    assert [share["shares_ppm"] for share in shares] == [[500_000, 300_000, 200_000], [999_999, 1]]
    assert {e.event.name for e in await log.read_stream("music-nft/admin")} == {"RoleGranted", "RoleRevoked"}
    assert (await log.read_stream(f"dcmx-token/account/{town.keys[7].address}"))[0].metadata.causation_id


async def test_only_transactions_that_touch_a_watched_contract_are_recorded_when_so_asked(
    town: Any, log: EventLog, nodes: Nodes
) -> None:
    vault = {"reward-vault": town.contracts["reward-vault"]}
    subject = ingester(log, nodes, town, contracts=vault, transactions="watched")
    async with running(subject):
        await caught_up(subject, town)
    rows = await log.pool.fetch("SELECT data FROM events WHERE type = 'TransactionSolidified'")
    assert 50 < len(rows) < town.sent
    contracts = await log.pool.fetchval(
        "SELECT count(DISTINCT data->>'contract') FROM events WHERE type = 'ContractEvent'"
    )
    assert contracts == 1


# ---- crashes and rivals -------------------------------------------------------------------------------------------


@pytest.mark.endurance
async def test_kills_at_random_moments_lose_and_double_nothing(
    town: Any, log: EventLog, nodes: Nodes, proxy: Any, database: str
) -> None:
    proxy.delay = 0.06
    last, choice = await solid(town), random.Random(7)
    subject = ingester(log, nodes, town)
    interrupted = 0
    for _ in range(6):
        before = (await subject.cursor()).next
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            database,
            proxy.url,
            *map("=".join, town.contracts.items()),
        )
        async with asyncio.timeout(240):
            while (await subject.cursor()).next == before:
                pass  # every query waits for the server
        await asyncio.sleep(choice.uniform(0, 0.02))  # it appends block by block, every few milliseconds
        process.send_signal(signal.SIGKILL)
        await process.wait()
        if (await subject.cursor()).next > last:
            break
        interrupted += 1
    assert interrupted >= 2
    async with running(subject):
        await caught_up(subject, town)
    await assert_complete(log.pool, town)


async def test_two_ingesters_that_ignore_the_lock_still_record_everything_once(town: Any, log: EventLog) -> None:
    async with AsyncExitStack() as stack:
        each = [await stack.enter_async_context(Nodes([Provider("node", town.url)])) for _ in range(3)]
        rivals = [ingester(log, own, town, batch_events=size) for own, size in zip(each, (7, 13, 29), strict=True)]
        tasks = [asyncio.create_task(rival.ingest()) for rival in rivals]
        await caught_up(rivals[0], town)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
    await assert_complete(log.pool, town)


async def test_one_ingester_leads_and_the_other_takes_over(town: Any, log: EventLog, nodes: Nodes, proxy: Any) -> None:
    async with Nodes([Provider("node", proxy.url)]) as second:
        asked = 0

        def count(path: str, body: Any, answer: Any) -> Any:
            nonlocal asked
            asked += 1
            return answer

        proxy.bend = count
        leader = asyncio.create_task(ingester(log, nodes, town).run())
        subject = ingester(log, second, town)
        await caught_up(subject, town)
        async with running(subject):
            await asyncio.sleep(0.3)
            assert asked == 0
            leader.cancel()
            await asyncio.gather(leader, return_exceptions=True)
            await mine(town.url, 2)
            await caught_up(subject, town)
            assert asked > 0
    await assert_complete(log.pool, town)


# ---- a node that lags, fails or lies ------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRY", Retry(attempts=2, first=0.01, longest=0.01, on=fetch.RETRY.on))


@asynccontextmanager
async def through(proxy: Any) -> AsyncIterator[Nodes]:
    async with Nodes([Provider("node", proxy.url)]) as nodes:
        yield nodes


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_lie_is_never_accepted_and_the_truth_is_taken_later(
    town: Any, log: EventLog, proxy: Any, lie: Callable[[str, Any, Any], Any]
) -> None:
    proxy.bend = lie
    async with through(proxy) as nodes:
        subject = ingester(log, nodes, town)
        async with running(subject):
            await asyncio.sleep(0.5)
            expected = await logs_of_the_node(town)
            found = await logs_of_the_log(log.pool)
            assert found == expected[: len(found)]
            assert len(found) < len(expected)
            proxy.bend = lambda path, body, answer: answer
            await caught_up(subject, town)
    await assert_complete(log.pool, town)


@pytest.mark.usefixtures("impatient")
async def test_a_node_that_fails_every_third_time_is_read_to_the_end(town: Any, log: EventLog, proxy: Any) -> None:
    choice, lies = random.Random(11), list(LIES.values())

    def sometimes(path: str, body: Any, answer: Any) -> Any:
        return choice.choice(lies)(path, body, answer) if choice.random() < 0.3 else answer

    proxy.bend = sometimes
    async with through(proxy) as nodes:
        subject = ingester(log, nodes, town, batch_events=50)
        async with running(subject):
            await caught_up(subject, town)
    await assert_complete(log.pool, town)


@pytest.mark.usefixtures("impatient")
async def test_a_node_that_lags_behind_the_log_is_waited_for(
    town: Any, log: EventLog, nodes: Nodes, proxy: Any
) -> None:
    async with running(subject := ingester(log, nodes, town)):
        await caught_up(subject, town)
    reached = await subject.cursor()
    old = (await nodes.all[0].client.blocks(5, 5))[0]

    def lagging(path: str, body: Any, answer: Any) -> Any:
        if path == NOW:
            return copy.deepcopy(answer) | {
                "blockID": old.hash,
                "block_header": {"raw_data": {"number": 5, "parentHash": old.parent_hash}},
            }
        return {} if path == BLOCKS and body["endNum"] > 6 else answer

    proxy.bend = lagging
    async with through(proxy) as late:
        subject = ingester(log, late, town)
        async with running(subject):
            await asyncio.sleep(0.5)
            assert await subject.cursor() == reached
            await mine(town.url, 4)
            proxy.bend = lambda path, body, answer: answer
            await caught_up(subject, town)
    await assert_complete(log.pool, town)


# ---- what is watched ----------------------------------------------------------------------------------------------


async def test_a_contract_added_later_is_watched_from_then_on_and_none_is_forgotten(
    town: Any, log: EventLog, nodes: Nodes
) -> None:
    vault = {"reward-vault": town.contracts["reward-vault"]}
    async with running(subject := ingester(log, nodes, town, contracts=vault)):
        await caught_up(subject, town)
    cursor = await subject.cursor()
    nft = {"music-nft": town.contracts["music-nft"]}
    async with running(subject := ingester(log, nodes, town, contracts=nft)):
        town.mine(1)  # with the first blocks that it holds for it is recorded
        await eventually(lambda: log.read_stream("watch", 1))
    watched = [recorded.event for recorded in await log.read_stream("watch")]
    assert [(event.contracts, event.first_block) for event in watched] == [(vault, 0), (nft, cursor.next)]
    moved = {"music-nft": town.contracts["dcmx-token"]}
    with pytest.raises(WatchConflict, match="music-nft: the log has the events of"):
        await ingester(log, nodes, town, contracts=moved).run()
    with pytest.raises(WatchConflict, match="transactions: the log was begun with all"):
        await ingester(log, nodes, town, transactions="watched").run()

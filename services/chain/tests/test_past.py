"""Contracts and ABIs that come later: live from then on, the past read beside it, raw logs decoded."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from echo import FEE_LIMIT, FIRST_ABI, SECOND_ABI, Echo, creation  # conftest.py has put this folder on the path
from past_stage import begun, caught_up, noted, serving, solid

import eventlog
from chain.audit import Certificate, audit, check
from chain.domain import EVENTS
from chain.fetch import Fetcher, Index
from chain.ingest import Ingester
from chain.past.adding import add, register, status
from chain.past.backfill import Backfill
from chain.past.progress import Watching, pasts
from chain.past.redecode import Redecoder
from chain.projections import BlockchainEvents, ContractState, UndecodedLogs
from chain.settings import ChainSettings
from eventlog import EventLog, EventTypes, Watermark
from local_stack.process import blocking
from messaging.testing import eventually, running
from projections import Runner
from tron.client import NodeClient
from tron.creation import contract_address
from tron.errors import NodeDisagrees
from tron.providers import Nodes, Provider
from tron.sender import Sender

ROUNDS = 6
FIRST, SECOND = json.dumps(FIRST_ABI), json.dumps({"abi": SECOND_ABI})
KINDS = ["ContractEvent", "ContractEvent", "UndecodedLog", "UndecodedLog"]
"""What the logs of a round become by the first ABI."""


@pytest.fixture(scope="module")
def echo(town: Any) -> Echo:
    """Logs of ROUNDS rounds, a block each, all solidified."""

    async def build() -> Echo:
        async with NodeClient(town.url) as client:
            sender = Sender(client)
            signed = await sender.send(creation(), town.keys[0], FEE_LIMIT)
            town.mine(1)
            echo = Echo(contract_address(signed.tx_id, town.keys[0].address), town.keys[0])
            for number in range(ROUNDS):
                await echo.echo(sender, number)
                town.mine(1)
        town.mine(5)
        return echo

    return blocking(build())


@pytest.fixture
def settings(town: Any) -> ChainSettings:
    return ChainSettings(node_url=town.url)


async def echoed(town: Any, echo: Echo, number: int) -> None:
    """One more round on the chain, solidified."""
    async with NodeClient(town.url) as client:
        await echo.echo(Sender(client), number)
    town.mine(5)


async def logs_of_the_node(town: Any, echo: Echo, first: int = 0) -> list[tuple[object, ...]]:
    async with NodeClient(town.url) as client:
        found = await client.rpc.logs(first, await solid(town), [echo.address])
    return [(one.block_number, one.log.index_in_block, one.block_hash, one.tx_id) for one in found]


async def logs_of_the_log(log: EventLog, echo: Echo) -> list[tuple[object, ...]]:
    rows = await log.pool.fetch(
        """SELECT (data->'source'->>'block_number')::bigint, (data->'source'->>'log_index')::int,
                  data->'source'->>'block_hash', data->'source'->>'tx_id'
           FROM events WHERE type IN ('ContractEvent', 'UndecodedLog') AND data->'source'->>'contract' = $1
           ORDER BY 1, 2""",
        echo.address,
    )
    return [tuple(row) for row in rows]


async def added(log: EventLog, town: Any, echo: Echo, settings: ChainSettings, past_from: int | None = 0) -> None:
    """The contract is asked for, and the ingester has noted it."""
    assert (await add(log, settings, echo.address, FIRST, "echo", past_from)).new

    await noted(log, town)


async def certified(log: EventLog, settings: ChainSettings) -> Certificate:
    outcome = await audit(log, settings, 0)
    assert outcome.problem is None
    assert outcome.certificate is not None
    return outcome.certificate


# ---- a contract ---------------------------------------------------------------------------------------------------


async def test_a_contract_added_to_a_running_service_is_watched_and_its_past_read_beside_it_by_both_dialects_alike(
    town: Any, echo: Echo, tables: asyncpg.Pool, settings: ChainSettings
) -> None:
    told: list[list[Any]] = []
    begins = (await logs_of_the_node(town, echo))[0][0]
    indexes: list[Index] = ["never", "alone"]
    for index in indexes:
        await tables.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await tables.execute(eventlog.install_sql())
        log = EventLog(tables, EventTypes(EVENTS))
        async with serving(log, town, index):
            await caught_up(log, town)
            await added(log, town, echo, settings)
            await echoed(town, echo, 50)
            await caught_up(log, town)
        assert await logs_of_the_log(log, echo) == await logs_of_the_node(town, echo)
        (contract,) = await status(log)
        assert contract.since is not None
        assert contract.backfill is not None
        assert (contract.backfill.first_block, contract.backfill.last_block) == (0, contract.since - 1)
        for stream, live in (("echo/past", False), ("echo/events", True)):
            places = [entry.event.source for entry in await log.read_stream(stream)]
            order = [(place.block_number, place.log_index) for place in places]
            assert order == sorted(order)
            assert order
            assert all((place.block_number >= contract.since) is live for place in places)
        certificate = await certified(log, settings)
        assert certificate.since == {"echo": 0}
        assert certificate.logs == {"echo": len(await logs_of_the_node(town, echo))}
        rows = await tables.fetch(
            """SELECT event_id, type, data::text FROM events
               WHERE type IN ('ContractEvent', 'UndecodedLog') AND (data->'source'->>'block_number')::bigint < $1
               ORDER BY (data->'source'->>'block_number')::bigint, (data->'source'->>'log_index')::int""",
            begins + ROUNDS,
        )
        told.append([tuple(row) for row in rows])
    assert told[0] == told[1]
    assert [row[1] for row in told[0]] == KINDS * ROUNDS
    assert json.loads(told[0][0][2])["args"] == {"ping_value0": "0", "ping_value1": "Nr. 0"}


async def test_while_the_past_is_not_read_the_audit_answers_for_what_is_there(
    town: Any, echo: Echo, log: EventLog, settings: ChainSettings
) -> None:
    async with Nodes([Provider("node", town.url)]) as nodes:
        ingester = Ingester(log, Fetcher(nodes), {}, transactions="logged", poll_seconds=0.05)
        async with running(ingester):
            await eventually(lambda: log.read_stream("cursor"))
            await added(log, town, echo, settings)
    (contract,) = await status(log)
    before = await certified(log, settings)
    assert before.since == {"echo": contract.since}
    async with serving(log, town):
        await caught_up(log, town)
    assert (await certified(log, settings)).since == {"echo": 0}
    assert (await check(log, before)).ok


async def test_rivals_that_ignore_the_locks_still_record_everything_once(
    town: Any, echo: Echo, log: EventLog, settings: ChainSettings
) -> None:
    watermark = Watermark(log.pool)
    await begun(log, town)
    await add(log, settings, echo.address, FIRST, "echo", 0)
    await register(log, "echo", SECOND)
    async with Nodes([Provider("node", town.url)]) as nodes:
        ingester = Ingester(log, Fetcher(nodes), {}, transactions="logged", poll_seconds=0.05)
        fetcher = Fetcher(nodes, past=True)
        rivals = [
            Backfill(log, watermark, fetcher, batch_events=size, poll_seconds=0.05).backfill() for size in (1, 2, 5)
        ]
        redecoders = [Redecoder(log, watermark, poll_seconds=0.05, raw_at_once=size).redecode() for size in (2, 3, 7)]
        async with running(watermark, ingester):
            tasks = [asyncio.create_task(work) for work in (*rivals, *redecoders)]
            await noted(log, town)
            await register(log, "echo", json.dumps([*SECOND_ABI, *FIRST_ABI]), 1)
            await noted(log, town)
            await caught_up(log, town)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
    assert await logs_of_the_log(log, echo) == await logs_of_the_node(town, echo)
    await certified(log, settings)


async def test_a_past_of_other_blocks_than_the_log_knows_is_not_recorded(
    town: Any, echo: Echo, log: EventLog, settings: ChainSettings
) -> None:
    await begun(log, town)
    await add(log, settings, echo.address, FIRST, "echo", 0)
    async with Nodes([Provider("node", town.url)]) as nodes:
        async with running(Ingester(log, Fetcher(nodes), {}, transactions="logged", poll_seconds=0.05)):
            await noted(log, town)
        async with log.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")  # events cannot be changed else
            await connection.execute(
                """UPDATE events SET data = jsonb_set(data::jsonb, '{last_hash}', to_jsonb(repeat('0', 64)))
                   WHERE stream = 'cursor' AND version = 1"""
            )
        (past,) = await pasts(log, await Watching(log).now())
        with pytest.raises(NodeDisagrees, match=f"{'0' * 64} in the log"):
            await Backfill(log, Watermark(log.pool), Fetcher(nodes, past=True))._read(past)
    (after,) = await pasts(log, await Watching(log).now())
    (begins,) = await log.read_stream("cursor", limit=1)
    assert after.next <= begins.event.last


# ---- an ABI -------------------------------------------------------------------------------------------------------


async def shown(log: EventLog) -> tuple[list[Any], list[Any], list[Any]]:
    """Events, raw logs and contracts as the read models have them."""
    watermark, models = Watermark(log.pool), [BlockchainEvents(), UndecodedLogs(), ContractState()]
    end = await log.pool.fetchval("SELECT max(position) FROM events")

    async def there() -> bool:
        reached = [row["position"] for row in await log.pool.fetch("SELECT position FROM checkpoints")]
        return reached == [end] * len(models)

    async with running(watermark, Runner(log.pool, log, watermark, models)):
        await eventually(there)
    tables = zip(models, ("blockchain_events", "undecoded_logs", "contract_counts"), strict=True)
    events, raw, contracts = [await log.pool.fetch(f"SELECT * FROM {model.schema}.{table}") for model, table in tables]
    return events, raw, contracts


async def test_raw_logs_are_decoded_when_an_abi_comes_that_knows_them_and_every_proof_still_holds(
    town: Any, echo: Echo, log: EventLog, settings: ChainSettings
) -> None:
    async with serving(log, town):
        await eventually(lambda: log.read_stream("cursor"))
        await added(log, town, echo, settings)
        await caught_up(log, town)
        before = await certified(log, settings)
        raw = len(await log.read_stream("echo/undecoded"))
        assert (await register(log, "echo", SECOND)).new
        assert not (await register(log, echo.address, SECOND)).new
        await noted(log, town)
        await caught_up(log, town)
        await echoed(town, echo, 60)
        await caught_up(log, town)
    entries = await log.read_stream("echo/undecoded")
    decoded = [entry for entry in entries if entry.type == "LogDecoded"]
    assert len(decoded) == raw // 2
    by_id = {str(entry.event_id): entry.event for entry in entries}
    assert len({entry.event.raw for entry in decoded}) == len(decoded)
    for entry in decoded:
        assert by_id[entry.event.raw].source == entry.event.source
        assert entry.event.name == "Moved"
    first = decoded[0].event.args["moved_value0"]
    assert (first["big_one"], first["list"]) == (str(2**200), [])
    live = [entry.event.name for entry in await log.read_stream("echo/events")][-3:]
    assert live == ["Ping", "Note", "Moved"]
    assert (await check(log, before)).ok
    after = await certified(log, settings)
    assert after.logs["echo"] == len(await logs_of_the_node(town, echo))

    events, rest, (state,) = await shown(log)
    assert len(events) + len(rest) == after.logs["echo"]
    assert len(rest) * 4 == after.logs["echo"]  # of each round, one log says nothing by any ABI
    assert (state["events"], state["undecoded"]) == (len(events), len(rest))


@pytest.mark.endurance
async def test_kills_before_and_after_an_append_of_the_past_lose_and_double_nothing(
    town: Any, echo: Echo, log: EventLog, settings: ChainSettings, database: str
) -> None:
    async def killed(moment: str, number: int) -> None:
        worker = str(Path(__file__).with_name("past_worker.py"))
        process = await asyncio.create_subprocess_exec(sys.executable, worker, database, town.url, moment, str(number))
        try:
            async with asyncio.timeout(240):
                assert await process.wait() == -signal.SIGKILL
        finally:
            if process.returncode is None:
                process.kill()

    await begun(log, town)
    await add(log, settings, echo.address, FIRST, "echo", 0)
    town.mine(1)
    await killed("before", 2)
    await killed("after", 1)
    (past,) = await pasts(log, await Watching(log).now())
    assert not past.done
    async with serving(log, town, batch_events=1):
        await caught_up(log, town)
    await register(log, "echo", SECOND)
    town.mine(1)
    await killed("after", 1)
    async with serving(log, town):
        await caught_up(log, town)
    assert await logs_of_the_log(log, echo) == await logs_of_the_node(town, echo)
    entries = await log.read_stream("echo/undecoded")
    moved = [entry.event.raw for entry in entries if entry.type == "LogDecoded"]
    assert len(set(moved)) == len(moved) == sum(entry.type == "UndecodedLog" for entry in entries) // 2
    await certified(log, settings)


# ---- what is refused ----------------------------------------------------------------------------------------------


async def test_what_cannot_be_added_is_refused_with_the_reason_and_asking_again_changes_nothing(
    town: Any, echo: Echo, log: EventLog, settings: ChainSettings
) -> None:
    with pytest.raises(LookupError, match="has not recorded a block yet"):
        await add(log, settings, echo.address, FIRST)
    await begun(log, town)
    nobody, token = town.keys[5].address, town.contracts["dcmx-token"]
    for arguments, reason in [
        ((nobody, FIRST), "no contract is there"),
        ((echo.address, FIRST, "music-nft"), "one of the five contracts"),
        ((echo.address, FIRST, "Big Name"), "expected a-z, 0-9 and -"),
        ((echo.address, FIRST, "account"), "expected a-z, 0-9 and -"),
        ((echo.address, FIRST, "echo", 10**6), "block 1000000 is not solidified: the newest that is has number"),
        ((echo.address, "{"), "the ABI is no JSON"),
        ((echo.address, "7"), "expected a list of entries"),
        (
            (echo.address, '[{"type": "event", "name": "S", "inputs": [{"type": "tuple"}]}]'),
            "a tuple without components",
        ),
    ]:
        with pytest.raises(LookupError, match=reason):
            await add(log, settings, *arguments)
    assert (await add(log, settings, echo.address, FIRST, "echo")).new
    assert not (await add(log, settings, echo.address, FIRST, "echo")).new
    for arguments, reason in [
        ((token, FIRST, "echo"), f"the name echo is taken by {echo.address}"),
        ((echo.address, FIRST, "other"), "is watched already, as echo"),
        ((echo.address, SECOND, "echo"), "is watched with another ABI; `annals chain abi echo`"),
    ]:
        with pytest.raises(LookupError, match=reason):
            await add(log, settings, *arguments)
    with pytest.raises(LookupError, match="no contract 'nobody' is watched; there are echo"):
        await register(log, "nobody", SECOND)
    with pytest.raises(LookupError, match="expected the last block to be 5 or later, got 4"):
        await register(log, "echo", SECOND, 5, 4)
    stranger = await add(log, settings, token, FIRST)
    assert stranger.contract == token
    assert "the ABI that the chain stores also has Approval(address,address,uint256)" in stranger.warnings[0]

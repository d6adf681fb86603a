"""Which block an answer is of: read with the rows, in one statement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chain import queries
from chain.domain import CURSOR, WATCH, ZERO, BlocksIngested, ContractEvent, ContractsWatched
from chain.projections import BlockchainEvents, ContractState, TokenBalances
from chain.queries import answer
from contracts.chain import Source
from contracts.testing import address, hash_of
from eventlog import EventLog, NewEvent, Watermark
from messaging.testing import eventually, running
from projections import Projection, Runner
from service import Queries

TOKEN = address(9)


@pytest.fixture
async def engine(tables: asyncpg.Pool, database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database), isolation_level="AUTOCOMMIT"
    )
    yield engine
    await engine.dispose()


def time_of(block: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=3 * block)


def minted(block: int, amount: str = "5") -> NewEvent:
    """A block's only event: somebody gets tokens."""
    source = Source(
        contract=TOKEN,
        block_number=block,
        block_hash=hash_of(f"block {block}"),
        block_time=time_of(block),
        tx_id=hash_of(f"tx {block}"),
        log_index=0,
    )
    args = {"from": ZERO, "to": address(1), "value": amount}
    return NewEvent("dcmx-token/account/a", ContractEvent("dcmx-token", "Transfer", args, source), time_of(block))


def cursor(block: int) -> NewEvent:
    done = BlocksIngested(block, block, hash_of(f"block {block}"), time_of(block), 1, 1, 1)
    return NewEvent(CURSOR, done, time_of(block))


async def test_an_answer_names_the_last_block_that_all_its_models_show(
    log: EventLog, watermark: Watermark, engine: AsyncEngine
) -> None:
    reads = Queries("chain", engine, log.pool)

    async def shown(*models: Projection) -> None:
        """Lets some of the models catch up with the log."""
        end = await log.pool.fetchval("SELECT max(position) FROM events")
        reached = "SELECT count(*) = $3 FROM checkpoints WHERE subscription = ANY($1) AND position = $2"
        schemas = [model.schema for model in models]
        async with running(watermark, Runner(log.pool, log, watermark, models)):
            await eventually(lambda: log.pool.fetchval(reached, schemas, end, len(models)))

    async def of(*models: type[Projection], **parts: queries.Query) -> dict[str, Any]:
        return await reads.first(answer(*models, **parts))

    events, tokens, state = BlockchainEvents(), TokenBalances(), ContractState()
    balance = queries.token_balances(address(1))
    await log.append([NewEvent(WATCH, ContractsWatched({"dcmx-token": TOKEN}, "all", 1), time_of(0))])
    await shown(events, tokens, state)
    assert await of(TokenBalances, balance=balance) == {"as_of": None, "balance": []}

    await log.append([minted(1), cursor(1)])
    await shown(events, tokens, state)
    first = {"block_number": 1, "block_hash": hash_of("block 1"), "block_time": "2026-01-01T00:00:03Z", "exact": True}
    assert await of(TokenBalances, balance=balance) == {
        "as_of": first,
        "balance": [{"address": address(1), "contract": "dcmx-token", "balance": 5}],
    }

    await log.append([minted(2), cursor(2), minted(3), cursor(3)])
    assert (await of(TokenBalances))["as_of"] == first  # the log is ahead, the rows are not
    await shown(tokens)
    assert (await of(TokenBalances))["as_of"]["block_number"] == 3
    assert (await of(BlockchainEvents))["as_of"] == first
    both = await of(TokenBalances, BlockchainEvents, balance=balance, events=queries.events(queries.Span(), None, 9))
    assert both["as_of"] == {**first, "exact": False}  # one of them is ahead
    assert (both["balance"][0]["balance"], len(both["events"])) == (15, 1)

    await log.append([minted(4)])  # a batch of the runner may end between events of a block
    await shown(tokens, events, state)
    half = (await of(TokenBalances, BlockchainEvents))["as_of"]
    assert (half["block_number"], half["exact"]) == (3, False)
    await log.append([cursor(4)])
    await shown(tokens, events, state)
    whole = (await of(TokenBalances, BlockchainEvents))["as_of"]
    assert (whole["block_number"], whole["exact"]) == (4, True)

    await log.append([minted(5, "much"), cursor(5)])  # it cannot be added, and is parked
    await shown(tokens, events, state)
    assert (await of(BlockchainEvents))["as_of"]["exact"]
    lacking = (await of(TokenBalances))["as_of"]
    assert (lacking["block_number"], lacking["exact"]) == (5, False)

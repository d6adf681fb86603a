"""A node whose newest block goes back by one for good, and one that tells two blocks of one height in turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import asyncpg
import pytest
from chain_lies import BLOCKS, made_up
from head_stage import Stage, caught_up, retracted

from chain.fetch import Fetcher
from chain.head import HeadFollower, HeadLog, install_sql
from chain.ingest import Ingester
from eventlog import EventLog
from messaging.testing import eventually, running
from service.testing import fails
from tron.client import NodeClient
from tron.providers import Nodes, Provider


@pytest.fixture
async def log(tables: asyncpg.Pool, log: EventLog) -> EventLog:
    await tables.execute(install_sql())
    return log


@pytest.fixture
async def nodes(stage: Stage) -> AsyncIterator[Nodes]:
    async with Nodes([Provider("node", stage.url)]) as nodes:
        yield nodes


async def test_a_head_that_goes_back_by_one_for_good_takes_nothing_back_and_is_followed_again(
    log: EventLog, nodes: Nodes, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.head.follow.SILENT_SECONDS", 0.2)
    subject = HeadFollower(HeadLog(log), log, nodes, "", stage.contracts, poll_seconds=0.02)
    async with running(subject):
        await caught_up(log.pool, stage)
        newest, _ = await stage.newest()
        await stage.control("faults", kind="lag", blocks=1)
        await eventually(lambda: fails(subject.check(), f"its newest block is {newest - 1}, {newest} is known"))
        await stage.mine(3)  # it stays one behind, and goes on
        (await stage.client.delete(f"{stage.url}/devnet/faults")).raise_for_status()
        await caught_up(log.pool, stage)
        await eventually(lambda: well(subject))
    assert await retracted(log.pool) == []


async def well(subject: HeadFollower) -> bool:
    return (await subject.check().probe()).startswith("told up to block")


async def test_of_two_blocks_of_one_height_told_in_turns_the_log_has_the_one_that_goes_on(
    town: Any, proxy: Any, node: NodeClient, log: EventLog
) -> None:
    """Every other answer leaves out the last block's transactions, and its id is that of the block so changed."""
    last, turns = (await node.solid_head()).number, count()

    def twofold(path: str, body: Any, answer: Any) -> Any:
        if path == BLOCKS and answer.get("block") and next(turns) % 2 == 0:
            block = answer["block"][-1]
            if block["block_header"]["raw_data"]["number"] < last:
                made_up(block)
        return answer

    proxy.bend = twofold
    both = [Provider("twofold", proxy.url), Provider("honest", town.url, priority=2)]
    async with Nodes(both) as nodes:
        subject = Ingester(log, Fetcher(nodes), town.contracts, poll_seconds=0.05)
        async with running(subject):

            async def reached() -> bool:
                return (await subject.cursor()).next > last

            await eventually(reached)
    for entry in await log.read_stream("cursor"):
        done = entry.event
        assert (await node.blocks(done.last, done.last))[0].hash == done.last_hash

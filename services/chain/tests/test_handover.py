"""Blocks that the ingester hands to the head: each is read once after an outage, and nobody waits in vain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from chain import handover as module
from chain.fetch import Fetcher
from chain.handlers import Ingested
from chain.handover import FAR_BLOCKS, HURRY_BLOCKS, KEPT, PATIENCE_SECONDS, Handover
from chain.head import HeadFollower, HeadLog, install_sql
from chain.ingest import Ingester
from contracts.head import BlockAdded
from contracts.testing import hash_of
from eventlog import EventLog, NewEvent
from messaging.testing import eventually, running
from tron.model import Block
from tron.providers import Nodes, Provider

sys.path.append(str(Path(__file__).parent))  # for chain_lies and head_stage

from chain_lies import proxied
from head_stage import Stage, caught_up, entries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECEIPTS = "gettransactioninfobyblocknum"


def ingested(first: int, last: int, events: int = 1) -> list[Ingested]:
    blocks = [Block(number, hash_of(number), hash_of(number - 1), 0, ()) for number in range(first, last + 1)]
    return [Ingested(block, NOW, [NewEvent("s", None, NOW)] * events, 0, events) for block in blocks]


def numbers(found: Sequence[Ingested]) -> list[int]:
    return [one.block.number for one in found]


# ---- what is at hand ------------------------------------------------------------------------------------------------


def test_what_follows_a_block_is_at_hand_once_the_ingester_has_recorded_it() -> None:
    subject = Handover()
    subject.reads(80, 500)
    assert subject.brings(100)
    assert subject.after(99, hash_of(99), 50) == []
    subject.give(ingested(80, 102))
    assert not subject.brings(100), "there it is"
    assert numbers(subject.after(99, hash_of(99), 50)) == [100, 101, 102]
    assert numbers(subject.after(99, hash_of(99), 2)) == [100, 101]
    assert numbers(subject.after(101, hash_of(101), 50)) == [102]
    assert subject.after(102, hash_of(102), 50) == []
    assert subject.after(98, hash_of(98), 50) == [], "what lies before it was not needed"


def test_another_branch_gets_nothing() -> None:
    subject = Handover()
    subject.brings(100)
    subject.give(ingested(100, 102))
    assert subject.after(99, hash_of("other", 99), 50) == []


def test_nothing_is_kept_for_a_head_that_needs_nothing() -> None:
    subject = Handover()
    subject.give(ingested(80, 102))  # it runs in another process
    assert subject.after(99, hash_of(99), 50) == []
    subject.brings(120)  # it is ahead, as ever when all is well
    subject.give(ingested(103, 110))
    assert subject.after(109, hash_of(109), 50) == []


def test_across_a_gap_nothing_is_handed() -> None:
    subject = Handover()
    subject.brings(100)
    subject.give(ingested(100, 102))
    subject.give(ingested(104, 105))  # 103 logs nothing of interest
    assert subject.after(99, hash_of(99), 50) == subject.after(102, hash_of(102), 50) == []
    assert not subject.brings(103), "it was left out"
    subject.reads(103, 500)  # begins anew
    assert subject.brings(103)
    assert subject.after(103, hash_of(103), 50) == []


def test_no_more_is_kept_than_fits() -> None:
    subject = Handover()
    subject.brings(100)
    subject.give(ingested(100, 104, events=KEPT // 4 - 1))
    assert subject.after(99, hash_of(99), 50) == []
    assert numbers(subject.after(100, hash_of(100), 50)) == [101, 102, 103, 104]


# ---- whether to wait ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "waits"),
    [(79, False), (80, True), (79 + FAR_BLOCKS, True), (80 + FAR_BLOCKS, False)],
    ids=["recorded", "next", "far", "too far"],
)
def test_the_head_waits_for_what_comes_soon(number: int, waits: bool) -> None:
    subject = Handover()
    subject.reads(80, 10_000)
    assert subject.brings(number) == waits


def test_near_the_newest_blocks_the_head_does_not_wait() -> None:
    subject = Handover()
    subject.reads(80, 200)
    assert subject.brings(200 - HURRY_BLOCKS)
    assert not subject.brings(201 - HURRY_BLOCKS)


def test_an_ingester_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    subject = Handover()
    assert not subject.brings(100), "nobody is known to read"
    subject.reads(80, 500)
    now += PATIENCE_SECONDS
    assert not subject.brings(100)
    subject.reads(80, 500)  # asks again, and gets no further
    assert not subject.brings(100)
    subject.give(ingested(80, 81))
    assert subject.brings(100)


def test_an_ingester_that_has_rested_at_its_goal_is_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    subject = Handover()
    subject.reads(80, 90)
    subject.give(ingested(80, 90))
    now += 600  # the node stood still, too
    subject.reads(91, 500)
    assert subject.brings(100)
    subject.reads(91, 90)  # the height was a lie
    assert not subject.brings(100)


# ---- a chain that went on while nobody looked -----------------------------------------------------------------------


@pytest.fixture
async def log(tables: asyncpg.Pool, log: EventLog) -> EventLog:
    await tables.execute(install_sql())
    return log


async def outage(log: EventLog, stage: Stage) -> tuple[int, int]:
    """Head and ingester catch up and end, and the chain goes on; the ingester's next block, and the last solidified."""
    async with Nodes([Provider("node", stage.url)]) as nodes:
        ingester = Ingester(log, Fetcher(nodes), stage.contracts, poll_seconds=0.02)
        head = HeadFollower(HeadLog(log), log, nodes, "", stage.contracts, poll_seconds=0.02)
        async with running(ingester, head):
            await caught_up(log.pool, stage)
            await eventually(lambda: has_read(log, stage))
        for _ in range(5):
            await stage.pay(2)
            await stage.mine(12)
        await stage.mine(40)
        return (await ingester.cursor()).next, (await nodes.heights())[1]


async def has_read(log: EventLog, stage: Stage) -> bool:
    """Whether all solidified blocks are in the log."""
    cursor = await log.last("cursor")
    return cursor is not None and cursor.event.last == (await stage.node.solid_head()).number


async def test_after_an_outage_each_block_is_read_once(
    log: EventLog, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 600.0)  # a slow machine is no ingester in trouble
    handover, first = Handover(), len(await entries(log.pool))
    handover.reads(*await outage(log, stage))
    async with proxied(stage.url) as proxy, Nodes([Provider("node", proxy.url, timeout=60)]) as nodes:
        ingester = Ingester(log, Fetcher(nodes), stage.contracts, poll_seconds=0.02, handover=handover)
        head = HeadFollower(HeadLog(log), log, nodes, "", stage.contracts, 0.02, handover)
        async with running(ingester, head):
            await caught_up(log.pool, stage)
            await eventually(lambda: has_read(log, stage))
    asked = {place: proxy.asked.count(f"{place}/{RECEIPTS}") for place in ("walletsolidity", "wallet")}
    assert asked == {"walletsolidity": 5, "wallet": 0}, "five blocks have receipts, and the head asked for none"
    added = [one for one in (await entries(log.pool))[first:] if isinstance(one, BlockAdded)]
    told = [(one.hash, event.data["source"]["log_index"]) for one in added for event in one.events]
    assert told == await stage.events(added[0].number)
    assert len(told) == 10


async def test_what_an_ingester_does_not_bring_the_head_reads_itself(
    log: EventLog, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    handover = Handover()
    handover.reads(*await outage(log, stage))
    async with (
        proxied(stage.url) as proxy,
        Nodes([Provider("node", proxy.url, timeout=60)]) as nodes,
        running(HeadFollower(HeadLog(log), log, nodes, "", stage.contracts, 0.02, handover)),
    ):
        await caught_up(log.pool, stage)
    assert proxy.asked.count(f"wallet/{RECEIPTS}") == 5

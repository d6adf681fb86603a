"""A distribution through processes that are killed around every step: each holder is paid once, and the books agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from distributions_stage import PEOPLE, asked, done, failed, minted, solidified, tell

import eventlog
import messaging
from eventlog import EventLog, EventTypes, Executor, Metadata
from eventlog.testing import nursery
from messaging import TopicSpec, ensure
from messaging.taken_in import taken_in
from messaging.testing import delete_topics, eventually
from royalties import domain
from royalties.distributing import intents
from royalties.domain import Reference, Refused, Side, distributions
from royalties.domain.distributions import (
    AllocateRevenue,
    ApproveDistribution,
    Holding,
    OpenDistribution,
    PaymentFailed,
    PaymentMade,
    Terms,
)

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("distributions_worker.py")
HOLDERS, SLICE, AMOUNT = 10, 4, 1_007
RUN = intents.distribution_id_of("run")
TERMS = Terms("platform", "TRX", None, AMOUNT, "2026-Q3", Holding("music-nft"), 10, 0, False, ())


class Books:
    """The log as the test sees it, and what people do in it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.log = EventLog(pool, EventTypes(domain.EVENTS))
        self.executor = Executor(self.log)

    async def open(self) -> None:
        now, reference = datetime.now(UTC), Reference("olga", "r")
        revenue = AllocateRevenue("platform", reference, "TRX", AMOUNT, "treasury", "third quarter", "olga")
        await self.executor.execute([intents.allocate(revenue, now, Metadata())])
        await self.executor.execute([intents.open_(OpenDistribution(RUN, TERMS, "olga"), now, Metadata())])

    async def approve(self, *officers: str) -> None:
        run = await self.executor.state(intents.run_stream(RUN), distributions.distribution)
        assert run.previewed is not None
        for officer in officers:
            approval = ApproveDistribution(officer, run.previewed.digest)
            await self.executor.execute([intents.approve(RUN, approval, datetime.now(UTC), Metadata())])

    async def events(self, *classes: type) -> list[object]:
        found = await self.log.read(0, 2**62)
        return [recorded.event for recorded in found if not classes or isinstance(recorded.event, classes)]

    async def retry_failed(self) -> None:
        for event in await self.events(PaymentFailed):
            assert isinstance(event, PaymentFailed)
            try:
                retry = intents.retry(event.payment_id, event.party, datetime.now(UTC), Metadata())
                await self.executor.execute([retry])
            except Refused:  # tried again before
                continue

    async def balances(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        for event in await self.events(*domain.MONEY_MOVED):
            for posting in event.postings:  # type: ignore[attr-defined]  # they have
                sums[posting.account] += posting.amount if posting.side is Side.CREDIT else -posting.amount
        return sums


class Chain:
    """It answers each operation once it was asked: every third payment fails at first, all are told twice."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._answered: set[str] = set()

    async def answer(self) -> None:
        for operation in await asked(self._kafka):
            if operation.operation_id not in self._answered:
                self._answered.add(operation.operation_id)
                _, attempt = intents.attempt_of(operation.operation_id)
                fails = attempt == 1 and len(self._answered) % 3 == 1
                told = failed(operation) if fails else done(operation)
                await tell(self._kafka, told, told)


@asynccontextmanager
async def going_on(books: Books, chain: Chain) -> AsyncIterator[None]:
    """Meanwhile the chain answers, and an officer tries again what failed."""

    async def go_on() -> None:
        while True:
            await chain.answer()
            await books.retry_failed()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_holder_is_paid_once_whatever_is_killed_when(pool: asyncpg.Pool, database: str, kafka: str) -> None:
    await delete_topics(kafka)
    topics = [TopicSpec(topic) for topic in ("chain.operations", "chain.music-nft", "chain.commands")]
    await ensure(kafka, [*topics, TopicSpec("royalties.events"), TopicSpec("chain.blocks", partitions=1)])
    for library in (eventlog, messaging):
        await pool.execute(library.install_sql())
    editions = [minted(1 + number, PEOPLE[number], block=2) for number in range(HOLDERS)]
    await tell(kafka, *(message for edition in editions for message in edition))
    await solidified(kafka, 10)
    books, chain = Books(pool), Chain(kafka)
    await books.open()

    async def first_slice_was_asked() -> bool:
        return len(await asked(kafka)) == SLICE

    async def heard() -> bool:
        return await taken_in(pool, kafka, "royalties", ["chain.operations"])

    async def reconciled() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM events WHERE type = 'DistributionReconciled'"))

    plan = {"dsn": database, "kafka": kafka, "leads": True, "hears": False}
    async with nursery(WORKER, plan) as workers:
        await workers.killed("before DistributionPreviewed")
        await workers.killed("after DistributionPreviewed")
        await books.approve("piet", "rosa")
        await workers.killed("before SharesCredited")
        await workers.killed("after SharesCredited")
        last = await workers.start()
        await eventually(first_slice_was_asked)
        await workers.stop(last)
        await chain.answer()
        await workers.killed("before PaymentFailed", hears=True, leads=False)
        await workers.killed("before PaymentMade", hears=True, leads=False)
        await workers.killed("after PaymentMade", hears=True, leads=False)
        last = await workers.start(hears=True, leads=False)
        await eventually(heard)
        await workers.stop(last)
        async with going_on(books, chain):
            await workers.start("before DistributionReconciled", hears=True)
            await workers.dies()
            await workers.killed("after DistributionReconciled", hears=True)
        await workers.start(hears=True)
        await eventually(heard)

    assert await reconciled()
    operations = [operation.operation_id for operation in await asked(kafka)]
    assert len(operations) == len(set(operations)), "each attempt was asked for once"
    made = [event for event in await books.events(PaymentMade) if isinstance(event, PaymentMade)]
    share = AMOUNT // HOLDERS
    assert Counter({event.party: event.amount for event in made}) == dict.fromkeys(PEOPLE[:HOLDERS], share)
    assert len(made) == HOLDERS
    repeated = len(await books.events(PaymentFailed))
    assert (repeated > 0, len(operations)) == (True, HOLDERS + repeated)
    balances = await books.balances()
    dust = AMOUNT - HOLDERS * share
    assert {name: balance for name, balance in balances.items() if balance} == {
        "pool:platform": dust,
        "custody:treasury": -dust,
    }

"""Several projections in one transaction: all of them, or each by itself."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from bank_sample import Balances, Highest, Statements, credited, renamed, rows_of

from eventlog import EventLog, Watermark
from projections import Projection, dead_letters
from projections.batch import Held, prepare, unprepared
from projections.errors import Fenced
from projections.feed import read_batch
from projections.generation import Generation
from projections.shared_writer import SharedWriter


class Apart:
    """What `SharedWriter` is given: generations whose next batch is prepared."""

    def __init__(self, pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> None:
        self._pool = pool
        self._log = log
        self._watermark = watermark
        self.writer = SharedWriter(pool)
        self.generations: list[Generation] = []

    async def make(self, *projections: Projection) -> None:
        async with self._pool.acquire() as conn:
            for projection in projections:
                generation = Generation(projection, self._log.types)
                await generation.ensure(conn)
                self.generations.append(generation)

    async def deliver_all(self) -> list[Held | BaseException]:
        """All that the log has, handed over at the same moment."""
        batch = await read_batch(self._log, 0, await self._watermark.measure(), 100)
        prepared = [
            unprepared(generation, batch) if generation.fetches else await prepare(generation, batch, Held())
            for generation in self.generations
        ]
        return await asyncio.gather(
            *(self.writer.deliver(*both) for both in zip(self.generations, prepared, strict=True)),
            return_exceptions=True,
        )

    async def transactions(self) -> int:
        """How many transactions have written the checkpoints as they are now."""
        return int(await self._pool.fetchval("SELECT count(DISTINCT xmin::text) FROM checkpoints WHERE position > 0"))


@pytest.fixture
def apart(pool: asyncpg.Pool, log: EventLog, watermark: Watermark) -> Apart:
    return Apart(pool, log, watermark)


async def test_what_is_ready_at_once_is_written_in_one_transaction(
    apart: Apart, pool: asyncpg.Pool, log: EventLog
) -> None:
    await log.append([credited("a", 5), credited("b", 7), renamed("a", "Ann")])
    await apart.make(Balances(), Highest(), Statements())
    assert await apart.deliver_all() == [Held(), Held(), Held()]
    assert await apart.transactions() == 1
    assert len((await rows_of(pool, Balances))["entries"]) == len((await rows_of(pool, Highest))["highest"]) == 2


async def test_an_event_that_the_database_refuses_in_one_is_parked_there_and_the_others_have_it(
    apart: Apart, pool: asyncpg.Pool, log: EventLog
) -> None:
    await log.append([credited("a", 5, entry="twice"), credited("b", 7)])
    await apart.make(Balances(), Highest())
    await pool.execute("INSERT INTO balances_v1.entries VALUES ('a', 'twice', 5)")
    await apart.deliver_all()
    assert [(letter.subscription, letter.key) for letter in await dead_letters(pool)] == [("balances_v1", "a")]
    assert len((await rows_of(pool, Highest))["highest"]) == 2


async def test_a_handler_that_fails_keeps_nobody_from_the_common_transaction(
    apart: Apart, pool: asyncpg.Pool, log: EventLog
) -> None:
    await log.append([credited("a", 5), renamed("a", "boom")])
    await apart.make(Balances(), Highest(), Statements())
    await apart.deliver_all()
    letters = await dead_letters(pool)
    assert {(letter.subscription, letter.key) for letter in letters} == {("balances_v1", "a"), ("statements_v1", "a")}
    assert len((await rows_of(pool, Highest))["highest"]) == 1


async def test_a_rival_fences_only_the_one_that_it_feeds(apart: Apart, pool: asyncpg.Pool, log: EventLog) -> None:
    await log.append([credited("a", 5)])
    await apart.make(Balances(), Highest(), Statements())
    await pool.execute("UPDATE checkpoints SET position = 1 WHERE subscription = 'highest_v1'")
    outcomes = await apart.deliver_all()
    assert [type(outcome) for outcome in outcomes] == [Held, Fenced, Held]
    assert (await rows_of(pool, Highest))["highest"] == []
    assert len((await rows_of(pool, Statements))["entries"]) == 1


async def test_a_parked_key_stays_parked_in_the_common_transaction(
    apart: Apart, pool: asyncpg.Pool, log: EventLog
) -> None:
    await log.append([credited("a", 5), credited("b", 7)])
    await apart.make(Balances(), Highest())
    await pool.execute(
        """INSERT INTO dead_letters (subscription, position, key, event_id, type, error, attempts)
           SELECT 'balances_v1', position, stream, event_id, type, 'an earlier try', 1 FROM events WHERE stream = 'a'"""
    )
    balances, highest = await apart.deliver_all()
    assert isinstance(balances, Held)
    assert (list(balances.keys), highest) == (["a"], Held())
    assert await apart.transactions() == 1
    assert [row.split(",")[0] for row in (await rows_of(pool, Balances))["accounts"]] == ["(b"]


async def test_whoever_was_cancelled_is_not_written_and_nobody_is_left_waiting(
    apart: Apart, pool: asyncpg.Pool, log: EventLog
) -> None:
    await log.append([credited("a", 5)])
    await apart.make(Balances(), Highest())
    waiting = asyncio.create_task(apart.deliver_all())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await apart.writer.close()
    assert await apart.deliver_all() == [Held(), Held()]

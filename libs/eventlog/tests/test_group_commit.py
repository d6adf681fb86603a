"""Small appends of concurrent callers share transactions, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import asyncpg

from eventlog import NO_STREAM, Appended, EventLog, Metadata, NewEvent, WrongExpectedVersion
from eventlog.testing import NOW, Credited, credited

_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def together(*appends: Coroutine[Any, Any, Appended]) -> list[Appended | BaseException]:
    return await asyncio.gather(*appends, return_exceptions=True)


async def transactions(log: EventLog) -> int:
    return int(await log.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM events"))


async def test_concurrent_appends_share_transactions_and_each_gets_its_own_result(log: EventLog) -> None:
    results = await together(
        *(log.append([credited(f"s/{i}"), credited(f"t/{i}"), credited(f"s/{i}")], {f"s/{i}": 0}) for i in range(32))
    )
    assert await transactions(log) <= 16
    for i, appended in enumerate(results):
        assert isinstance(appended, Appended)
        own = await log.read_stream(f"s/{i}")
        assert (appended.position, appended.versions) == (own[-1].position, {f"s/{i}": 2, f"t/{i}": 1})
        assert [event.version for event in own] == [1, 2]


async def test_a_conflict_is_its_own_callers_and_nobody_elses(log: EventLog) -> None:
    await log.append([credited("s/3")])
    results = await together(*(log.append([credited(f"s/{i}")], {f"s/{i}": NO_STREAM}) for i in range(16)))
    assert [i for i, result in enumerate(results) if isinstance(result, WrongExpectedVersion)] == [3]
    assert [len(await log.read_stream(f"s/{i}")) for i in range(16)] == [1] * 16


async def test_a_repeated_append_among_new_ones_gets_its_first_result(log: EventLog) -> None:
    old = [credited("old"), credited("old")]
    first = await log.append(old)
    results = await together(*(log.append([credited(f"s/{i}")]) for i in range(8)), log.append(old))
    assert results[-1] == replace(first, repeated=True)
    assert [result.repeated for result in results[:-1] if isinstance(result, Appended)] == [False] * 8
    assert len(await log.read(0, 10_000)) == 10


async def test_text_that_cannot_be_stored_fails_only_who_sent_it(log: EventLog) -> None:
    bad = NewEvent("bad", Credited(1), NOW, metadata=Metadata(actor="\0"))
    *good, refused = await together(*(log.append([credited(f"s/{i}")]) for i in range(8)), log.append([bad]))
    assert isinstance(refused, asyncpg.UntranslatableCharacterError)
    assert all(isinstance(result, Appended) for result in good)
    assert await log.read_stream("bad") == []


async def test_appends_to_one_stream_take_turns(log: EventLog) -> None:
    results = await together(*(log.append([credited("hot", i)]) for i in range(40)))
    versions = [result.versions["hot"] for result in results if isinstance(result, Appended)]
    assert sorted(versions) == list(range(1, 41))
    stored = await log.read_stream("hot")
    assert [stored[version - 1].event.amount for version in versions] == list(range(40))


async def test_a_cancelled_caller_leaves_the_others_alone(log: EventLog) -> None:
    appends = [asyncio.create_task(log.append([credited(f"s/{i}")])) for i in range(16)]
    await asyncio.sleep(0)
    for task in appends[::2]:
        task.cancel()
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert (await log.append([credited("later")])).versions == {"later": 1}


async def test_a_lost_connection_fails_whoever_was_on_it_and_nobody_after(log: EventLog) -> None:
    async with log.pool.acquire() as other, other.transaction():
        await log.append([credited("s/0")], conn=other)  # holds the stream, so that those behind it wait
        appends = [asyncio.create_task(log.append([credited(f"s/{i}")])) for i in range(8)]
        while not (blocked := await log.pool.fetchval(_BLOCKED)):  # noqa: ASYNC110 - the event is PostgreSQL's
            await asyncio.sleep(0.01)
        await log.pool.execute("SELECT pg_terminate_backend($1)", blocked)
        await asyncio.wait(appends, timeout=240, return_when=asyncio.FIRST_EXCEPTION)
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert any(isinstance(result, asyncpg.PostgresError | asyncpg.InterfaceError | OSError) for result in results)
    assert (await log.append([credited("later")])).versions == {"later": 1}
    assert len(await log.read(0, 10_000)) == 2 + sum(isinstance(result, Appended) for result in results)

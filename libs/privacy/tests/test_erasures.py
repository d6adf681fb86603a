from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid5

import asyncpg
import pytest
from pydantic import SecretStr

from eventlog import EventLog, EventTypes, NewEvent, RecordedEvent, Watermark
from eventlog.testing import NOW
from privacy import Erasures, KeyStore, Personal, SubjectOf, Vault


@dataclass(frozen=True, slots=True)
class Noted:
    text: str


@dataclass(frozen=True, slots=True)
class SubjectErased:
    subject: str


@dataclass(frozen=True, slots=True)
class KeyDestroyed:
    subject: str


TYPES = EventTypes({"Noted.v1": Noted, "SubjectErased.v1": SubjectErased, "KeyDestroyed.v1": KeyDestroyed})
SUBJECTS: SubjectOf = {SubjectErased: lambda event: event.subject}


@pytest.fixture
def log(keys: KeyStore, pool: asyncpg.Pool) -> EventLog:
    return EventLog(pool, TYPES)


async def erase(log: EventLog, *subjects: str) -> None:
    await log.append(
        [NewEvent("noise", Noted("x"), NOW), *(NewEvent(f"s/{s}", SubjectErased(s), NOW) for s in subjects)]
    )


async def reported(log: EventLog) -> list[str]:
    events = await log.read(0, 2**62, types=["KeyDestroyed"])
    return [recorded.event.subject for recorded in events]


def reports(log: EventLog) -> Callable[[Sequence[RecordedEvent]], Awaitable[None]]:
    async def report(erasures: Sequence[RecordedEvent]) -> None:
        for recorded in erasures:
            event, of = KeyDestroyed(recorded.event.subject), recorded.event_id
            await log.append([NewEvent(recorded.stream, event, NOW, event_id=uuid5(of, "destroyed"))])

    return report


@asynccontextmanager
async def working(
    log: EventLog, keys: KeyStore, vault: Vault, report: Callable[[Sequence[RecordedEvent]], Awaitable[None]]
) -> AsyncIterator[Erasures]:
    watermark = Watermark(log.pool, poll_seconds=0.01)
    erasures = Erasures(log, watermark, keys, vault, SUBJECTS, report)
    tasks = [asyncio.create_task(watermark.run()), asyncio.create_task(erasures.run())]
    try:
        yield erasures
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)


async def test_the_log_says_who_is_erased_and_the_keys_follow(log: EventLog, keys: KeyStore, vault: Vault) -> None:
    sealed = await vault.seal([Personal(f"u-{number}", "email", SecretStr("x")) for number in range(4)])
    await erase(log, "u-0", "u-1")
    async with working(log, keys, vault, reports(log)):
        await erase(log, "u-2", "u-9")
        await until(lambda: _equals(reported(log), ["u-0", "u-1", "u-2", "u-9"]))
        opened = await vault.open(sealed)
        assert [value is None for value in opened] == [True, True, True, False], "reported when nobody remembers them"


async def test_killed_at_any_step_each_erasure_is_reported_once(log: EventLog, keys: KeyStore, vault: Vault) -> None:
    await vault.seal([Personal("u-1", "email", SecretStr("x"))])
    await erase(log, "u-1")
    identity = await log.identity()

    async def dies(_: Sequence[RecordedEvent]) -> None:
        raise ConnectionError("before the report")

    async with working(log, keys, vault, dies):
        await until(lambda: _equals(keys.erased(["u-1"]), {"u-1"}))
    assert await keys.done(identity) == 0, "not done, so it is taken up again"

    async def dies_after(erasures: Sequence[RecordedEvent]) -> None:
        await reports(log)(erasures)
        raise ConnectionError("after the report")

    async with working(log, keys, vault, dies_after):
        await until(lambda: _equals(reported(log), ["u-1"]))
    assert await keys.done(identity) == 0
    async with working(log, keys, vault, reports(log)):
        await until(lambda: _at_least(keys.done(identity), 2))
    assert await reported(log) == ["u-1"]


async def test_keys_of_an_old_backup_are_destroyed_again_before_anything_is_served(
    log: EventLog, keys: KeyStore, vault: Vault, pool: asyncpg.Pool
) -> None:
    [sealed] = await vault.seal([Personal("u-1", "email", SecretStr("x"))])
    backup = await pool.fetch("SELECT * FROM subject_keys")
    await erase(log, "u-1")
    async with working(log, keys, vault, reports(log)) as erasures:
        await until(lambda: _caught_up(erasures))
    await pool.execute("TRUNCATE subject_keys, erasures_done")
    await pool.copy_records_to_table("subject_keys", records=backup)
    restored = Vault(keys)
    assert await restored.open([sealed]) != [None], "the backup has it still"
    async with working(log, keys, vault, reports(log)) as erasures:
        assert not erasures.caught_up
        await until(lambda: _caught_up(erasures))
        assert await Vault(keys).open([sealed]) == [None]


async def _caught_up(erasures: Erasures) -> bool:
    return erasures.caught_up


async def _equals(found: Awaitable[object], expected: object) -> bool:
    return await found == expected


async def _at_least(found: Awaitable[int], expected: int) -> bool:
    return await found >= expected

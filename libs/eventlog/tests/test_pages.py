"""Pages: who follows a log side by side shares what is read of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from eventlog import EventLog, Events, RecordedEvent, pages
from eventlog.pages import Pages
from eventlog.testing import credited


class Counted:
    """Reads a log and counts how often."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.asked: list[tuple[int, int, int]] = []

    async def read(self, after: int, upto: int, limit: int) -> Sequence[RecordedEvent]:
        self.asked.append((after, upto, limit))
        return await self._log.read(after, upto, limit)


@pytest.fixture
async def counted(log: EventLog) -> Counted:
    await log.append([credited(f"a/{number % 3}", number) for number in range(100)])
    return Counted(log)


def positions(events: Sequence[RecordedEvent]) -> list[int]:
    return [event.position for event in events]


async def test_readers_at_the_same_place_share_one_read_and_its_objects(counted: Counted) -> None:
    shared = Pages(counted.read)
    first, second = await asyncio.gather(shared.after(0, 100, 50), shared.after(0, 100, 50))
    assert len(counted.asked) == 1
    assert positions(first) == list(range(1, 51))
    assert first is second, "a whole page is given as it is"
    assert isinstance(first, Events)
    assert first.places == {"Credited": list(range(50))}
    assert [a is b for a, b in zip(first[20:], await shared.after(20, 100, 50), strict=True)] == [True] * 30
    assert len(counted.asked) == 1


async def test_what_is_given_keeps_to_the_limits_of_who_asks(counted: Counted) -> None:
    shared = Pages(counted.read)
    await shared.after(0, 100, 100)
    assert positions(await shared.after(10, 100, 5)) == [11, 12, 13, 14, 15]
    assert positions(await shared.after(10, 13, 50)) == [11, 12, 13]
    assert positions(await shared.after(10, 10, 50)) == []
    assert len(counted.asked) == 1
    assert positions(await shared.after(100, 200, 50)) == []  # behind the page: read, and there is nothing
    assert len(counted.asked) == 2


async def test_a_walk_with_pages_of_any_size_meets_every_event_once_while_the_log_grows(
    counted: Counted, log: EventLog
) -> None:
    shared = Pages(counted.read)

    async def walk(limit: int) -> list[int]:
        seen: list[int] = []
        while len(seen) < 200:
            seen += positions(await shared.after(seen[-1] if seen else 0, 200, limit))
        return seen

    async def grow() -> None:
        for number in range(10):
            await log.append([credited(f"b/{number}", each) for each in range(10)])

    first, second, third, _ = await asyncio.gather(walk(7), walk(30), walk(500), grow())
    assert first == second == third == list(range(1, 201))


async def test_a_read_that_failed_fails_for_all_who_waited_and_is_made_again(counted: Counted) -> None:
    away = True

    async def read(*asked: Any) -> Sequence[RecordedEvent]:
        if away:
            raise asyncpg.ConnectionDoesNotExistError("away")
        return await counted.read(*asked)

    shared = Pages(read)
    both = await asyncio.gather(shared.after(0, 100, 50), shared.after(0, 100, 50), return_exceptions=True)
    assert [type(error) for error in both] == [asyncpg.ConnectionDoesNotExistError] * 2
    away = False
    assert len(await shared.after(0, 100, 50)) == 50


async def test_a_reader_that_is_cancelled_does_not_cancel_the_read_of_another(counted: Counted) -> None:
    shared = Pages(counted.read)
    first, second = (asyncio.create_task(shared.after(0, 100, 50)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert len(await second) == 50
    assert len(counted.asked) == 1


async def test_pages_are_read_anew_after_some_seconds_and_when_told_to(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Pages(counted.read)
    await shared.after(0, 100, 50)
    shared.forget()
    await shared.after(0, 100, 50)
    assert len(counted.asked) == 2
    monkeypatch.setattr(pages, "FRESH_SECONDS", 0.0)
    await shared.after(0, 100, 50)
    assert len(counted.asked) == 3

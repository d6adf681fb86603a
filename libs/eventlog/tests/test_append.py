from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest

from eventlog import (
    ANY,
    MAX_EVENT_BYTES,
    NO_STREAM,
    DuplicateEvent,
    EventLog,
    InvalidEvent,
    Metadata,
    NewEvent,
    Share,
    UnknownEventType,
    Watermark,
    WrongExpectedVersion,
)
from eventlog.append import COPY_ROWS
from eventlog.log import READ_BYTES
from eventlog.testing import NOW, Credited, credited

BLOCKED = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
FEW, MANY = 3, 450  # below and above the size from which COPY is used


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_events_are_read_back_as_they_were_appended(log: EventLog, count: int) -> None:
    sent = [
        NewEvent(f"account/{i % 2}", Credited(2**200 + i, "zł"), NOW, metadata=Metadata(actor="a", causation_id=str(i)))
        for i in range(count)
    ]
    appended = await log.append(sent)

    got = await log.read(0, appended.position)
    assert [(e.event_id, e.stream, e.event, e.metadata, e.occurred_at) for e in got] == [
        (e.event_id, e.stream, e.event, e.metadata, e.occurred_at) for e in sent
    ]
    assert appended.versions == {"account/0": (count + 1) // 2, "account/1": count // 2}
    assert [e.version for e in got if e.stream == "account/0"] == list(range(1, (count + 1) // 2 + 1))
    assert got[-1].position == appended.position
    assert [e.position for e in got] == sorted(e.position for e in got)


HOSTILE = ["\\N", "\\.", "a\tb", "a\nb", "a\r\nb", "a\\tb", "\\", "'\"", "{}", "\u2028", "ż🎵", "\x7f\x01", " "]


@pytest.mark.parametrize("count", [len(HOSTILE), MANY])
async def test_whatever_stands_in_names_and_texts_is_read_back_as_it_was(log: EventLog, count: int) -> None:
    texts = [HOSTILE[i % len(HOSTILE)] for i in range(count)]
    streams = [text if text and text.isprintable() else "unprintable" for text in texts]
    await log.append(
        [
            NewEvent(stream, Credited(1, text), NOW, metadata=Metadata(actor=text))
            for stream, text in zip(streams, texts, strict=True)
        ]
    )
    got = await log.read(0, count)
    assert [(e.stream, e.event.note, e.metadata.actor) for e in got] == list(zip(streams, texts, texts, strict=True))


TIMES = [
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=-11, minutes=-30))),
    datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC),
]


@pytest.mark.parametrize("count", [len(TIMES), MANY])
async def test_any_time_is_read_back_to_the_microsecond(log: EventLog, count: int) -> None:
    times = [TIMES[i % len(TIMES)] for i in range(count)]
    await log.append([replace(credited("a"), occurred_at=at) for at in times])
    assert [event.occurred_at for event in await log.read(0, count)] == times


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_a_time_without_its_zone_is_refused(log: EventLog, count: int) -> None:
    unzoned = replace(credited("a"), occurred_at=NOW.replace(tzinfo=None))
    with pytest.raises(InvalidEvent, match="a: occurred_at: expected a time with its zone, got 2026"):
        await log.append([*(credited("b") for _ in range(count)), unzoned])


@pytest.mark.parametrize("count", [FEW, MANY])
async def test_a_wrong_expected_version_is_refused_and_writes_nothing(log: EventLog, count: int) -> None:
    await log.append([credited("a"), credited("a"), credited("b")])
    with pytest.raises(WrongExpectedVersion, match="stream a: expected version 1, found 2") as refusal:
        await log.append([credited("a"), credited("b")] * count, {"a": 1, "b": 1})
    assert (refusal.value.stream, refusal.value.expected, refusal.value.found) == ("a", 1, 2)
    assert len(await log.read(0, 10_000)) == 3
    assert await log.pool.fetchval("SELECT version FROM streams WHERE stream = 'b'") == 1


async def test_no_stream_any_and_exact_versions_are_told_apart(log: EventLog) -> None:
    await log.append([credited("a")], {"a": NO_STREAM})
    with pytest.raises(WrongExpectedVersion):
        await log.append([credited("a")], {"a": NO_STREAM})
    with pytest.raises(WrongExpectedVersion, match="expected version 5, found 0"):
        await log.append([credited("new")], {"new": 5})
    assert (await log.append([credited("a")], {"a": ANY})).versions == {"a": 2}
    assert (await log.append([credited("a")], {"a": 2})).versions == {"a": 3}


@pytest.mark.parametrize("count", [FEW, MANY])
@pytest.mark.parametrize("expected", [ANY, NO_STREAM])
async def test_repeating_an_append_gives_the_first_result(log: EventLog, count: int, expected: int) -> None:
    events = [credited("a", i) for i in range(count)]
    first = await log.append(events, {"a": expected})
    await log.append([credited("a")])
    again = await log.append(events, {"a": expected})
    assert again == replace(first, repeated=True)
    assert len(await log.read(0, 10_000)) == count + 1


async def test_a_server_lost_while_events_are_copied_leaves_none_of_them(log: EventLog) -> None:
    events = [credited(f"s/{i % 7}", i) for i in range(COPY_ROWS + MANY)]
    async with log.pool.acquire() as other:
        holding = other.transaction()
        await holding.start()
        await log.append([replace(events[-1], stream="other")], conn=other)  # its id: what comes last will wait for it
        appending = asyncio.create_task(log.append(events, {"s/0": NO_STREAM}))
        while not (blocked := await log.pool.fetchval(BLOCKED)):  # noqa: ASYNC110 - the event is PostgreSQL's
            await asyncio.sleep(0.01)
        await log.pool.execute("SELECT pg_terminate_backend($1)", blocked)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await appending
        await holding.rollback()
    assert await log.pool.fetchval("SELECT count(*) FROM events") == 0
    assert await log.version("s/0") == 0
    appended = await log.append(events, {"s/0": NO_STREAM})
    assert sum(appended.versions.values()) == len(events)
    assert [event.event_id for event in await log.read(0, appended.position, limit=10_000)] == [
        event.event_id for event in events
    ]


async def test_an_event_id_used_for_something_else_is_refused(log: EventLog) -> None:
    event = credited("a")
    await log.append([event])
    with pytest.raises(DuplicateEvent, match=str(event.event_id)):
        await log.append([event, credited("a")])
    with pytest.raises(DuplicateEvent):
        await log.append([NewEvent("b", event.event, NOW, event.event_id)])
    assert len(await log.read(0, 100)) == 1


async def test_an_append_inside_a_transaction_disappears_with_it(log: EventLog) -> None:
    async with log.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await log.append([credited("a")], conn=conn)
        await transaction.rollback()
    assert await log.read(0, 100) == []
    assert (await log.append([credited("a")], {"a": NO_STREAM})).versions == {"a": 1}


async def test_many_writers_of_the_same_streams_never_deadlock_and_versions_have_no_holes(log: EventLog) -> None:
    async def write(writer: int) -> None:
        for i in range(20):
            names = [f"s/{(writer + i + k) % 5}" for k in range(4)]
            await log.append([credited(name) for name in names])

    await asyncio.gather(*(write(w) for w in range(8)))
    for k in range(5):
        versions = [e.version for e in await log.read_stream(f"s/{k}")]
        assert versions == list(range(1, len(versions) + 1))
    assert len(await log.read(0, 10_000)) == 8 * 20 * 4


async def test_one_of_two_racing_appends_wins(log: EventLog) -> None:
    results = await asyncio.gather(
        *(log.append([credited("a")], {"a": NO_STREAM}) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(r, WrongExpectedVersion) for r in results) == 7


@pytest.mark.parametrize("statement", ["UPDATE events SET type = 'X'", "DELETE FROM events", "TRUNCATE events"])
async def test_the_log_refuses_to_be_changed(log: EventLog, statement: str) -> None:
    await log.append([credited("a")])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await log.pool.execute(statement)


async def test_what_is_no_event_of_this_log_is_refused(log: EventLog) -> None:
    with pytest.raises(UnknownEventType, match="str"):
        await log.append([NewEvent("a", "hello", NOW)])
    with pytest.raises(InvalidEvent, match="Credited"):
        await log.append([NewEvent("a", Credited("ten"), NOW)])  # type: ignore[arg-type]  # hostile on purpose
    with pytest.raises(InvalidEvent, match="bytes, at most"):
        await log.append([NewEvent("a", Credited(1, "x" * 1_000_000), NOW)])
    with pytest.raises(ValueError, match="no events"):
        await log.append([])
    assert await log.read(0, 100) == []


async def test_events_of_some_types_can_be_selected_and_pages_follow_each_other(log: EventLog) -> None:
    await log.append([credited("a", i) for i in range(10)])
    last = (await log.append([credited("b")])).position
    first_page = await log.read(0, last, limit=4)
    second_page = await log.read(first_page[-1].position, last, limit=4)
    assert [e.event.amount for e in first_page + second_page] == list(range(8))
    assert await log.read(0, last, types=["Debited"]) == []
    assert [e.version for e in await log.read_stream("a", after_version=8)] == [9, 10]
    assert [e.stream for e in await log.read_streams({"a": 9, "b": 0, "none": 0})] == ["a", "b"]


async def test_streams_are_read_together_in_the_order_of_the_log_and_pages_follow_each_other(log: EventLog) -> None:
    positions = []
    for i in range(9):
        positions.append((await log.append([credited("abc"[i % 3], i)])).position)
    first = await log.read_together(["c", "a", "none"], 0, positions[-1], limit=4)
    rest = await log.read_together(["c", "a"], first[-1].position, positions[-1], limit=4)
    assert [e.event.amount for e in first + rest] == [0, 2, 3, 5, 6, 8]
    assert [e.event.amount for e in await log.read_together(["a", "b"], positions[2], positions[5])] == [3, 4]
    assert await log.read_together(["a"], 0, positions[-1], types=["Debited"]) == []
    assert await log.read_together([], 0, positions[-1]) == []


async def test_a_stream_tells_its_version_and_its_last_event(log: EventLog) -> None:
    assert (await log.version("s"), await log.last("s")) == (0, None)
    await log.append([credited("s", 1), credited("other", 2), credited("s", 3)])
    last = await log.last("s")
    assert last is not None
    assert (await log.version("s"), last.version, last.event) == (2, 2, credited("s", 3).event)


async def test_shares_deal_the_streams_and_keep_their_order(log: EventLog) -> None:
    last = (await log.append([credited(f"s{i % 20}", i) for i in range(100)])).position
    shares = [await log.read(0, last, share=Share(index, 3), types=["Credited"]) for index in range(3)]
    streams = [{event.stream for event in share} for share in shares]
    assert all(streams)
    assert sum(map(len, streams)) == 20
    assert sorted(event.position for share in shares for event in share) == [
        e.position for e in await log.read(0, last)
    ]
    assert all(share == sorted(share, key=lambda event: event.position) for share in shares)


async def test_a_reader_that_meets_large_events_gets_a_few_at_a_time_and_every_one(
    log: EventLog, pool: asyncpg.Pool
) -> None:
    chance = random.Random(7)  # so that PostgreSQL can't compress them
    large = [NewEvent(f"large/{i}", Credited(i, chance.randbytes(400_000).hex()), NOW) for i in range(30)]
    await log.append([credited("small", i) for i in range(100)] + large)
    horizon, sizes, checkpoint = await Watermark(pool).measure(), [], 0
    while events := await log.read(checkpoint, horizon, limit=1_000):
        sizes.append(sum(len(event.data) for event in events))
        checkpoint = events[-1].position
    assert checkpoint == horizon
    assert len(sizes) == 2
    assert max(sizes) < READ_BYTES + MAX_EVENT_BYTES


@pytest.mark.parametrize("stream", ["", "a\nb", "a\0b", "a\u200bb", "\ud800", "x" * 501, "\u017c" * 251])
async def test_a_stream_whose_name_could_not_travel_is_refused(log: EventLog, stream: str) -> None:
    with pytest.raises(InvalidEvent, match="expected a name of printable characters, at most 500 bytes"):
        await log.append([credited(stream)])


@pytest.mark.parametrize("stream", ["x" * 500, "\u017c" * 250, "pool/';--", "\U0001f600", "a b"])
async def test_other_streams_are_not(log: EventLog, stream: str) -> None:
    await log.append([credited(stream)])
    assert len(await log.read_stream(stream)) == 1

"""A log that was lost, or restored from a backup, is brought up to date from its copy; then life goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

import eventlog
import messaging
from eventlog import Decider, EventLog, Executor, Intent, NewEvent, Watermark, restore
from local_stack.postgres import PostgresServer
from messaging import Consumer, LogForked, MissingPrerequisite, Received, Relay, reading, recover
from messaging.errors import Led
from messaging.leader import Leadership
from messaging.progress import read_progress
from messaging.reading import Step
from messaging.testing import NOW, TYPES, Counted, CountedMessage, count, eventually, headers, publish_to, running

pytestmark = pytest.mark.endurance

ROWS = f"SELECT {', '.join(restore.COLUMNS)} FROM events ORDER BY position"
NewDatabase = Callable[..., Awaitable[str]]


@pytest.fixture
async def new_database(postgres: PostgresServer) -> AsyncIterator[NewDatabase]:
    """Makes a freshly migrated database, or one restored from a backup of another."""
    made: list[str] = []

    async def make(backup_of: str | None = None) -> str:
        made.append(await asyncio.to_thread(postgres.create_database, backup_of))
        if backup_of is None:
            async with connected(made[-1]) as connection:
                await connection.execute(eventlog.install_sql())
                await connection.execute(messaging.install_sql())
        return made[-1]

    yield make
    for url in made:
        await asyncio.to_thread(postgres.drop_database, url)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[EventLog, Watermark]]:
    async with asyncpg.create_pool(url, min_size=1, max_size=10) as pool:
        watermark = Watermark(pool)
        yield EventLog(pool, TYPES, watermark), watermark


async def relayed(log: EventLog, kafka: str, name: str) -> bool:
    last = await log.pool.fetchval("SELECT max(position) FROM events")
    progress = await read_progress(kafka, f"{name}.relay")
    return progress is not None and progress.position == last


async def fill_and_relay(url: str, kafka: str, name: str, topic: str, first: int, last: int, streams: int = 5) -> None:
    """Appends numbers to streams of the log and publishes them; one append is rolled back and leaves a hole."""
    async with opened(url) as (log, watermark):
        for stream in range(streams):
            await count(log, f"counter/{stream}", first, last)
        await log.pool.execute("SELECT nextval('events_position')")
        await log.append([NewEvent("texts/ü", Counted(10**30), NOW, metadata=eventlog.Metadata(actor='"data":'))])
        async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
            await eventually(lambda: relayed(log, kafka, name))


async def state(url: str) -> tuple[list[Any], list[Any], Any]:
    """Everything a log is made of: events, versions, the next position."""
    async with connected(url) as connection:
        events = [tuple(row) for row in await connection.fetch(ROWS)]
        streams = [tuple(row) for row in await connection.fetch("SELECT * FROM streams ORDER BY stream")]
        return events, streams, tuple(await connection.fetchrow("SELECT last_value, is_called FROM events_position"))


async def identity(url: str) -> object:
    async with connected(url) as connection:
        return await connection.fetchval("SELECT log_id FROM log_identity")


@pytest.mark.parametrize("lost", [True, False])
async def test_a_log_is_recovered_to_the_byte_and_its_relay_goes_on(
    new_database: NewDatabase, kafka: str, name: str, topic: str, lost: bool
) -> None:
    original = await new_database()
    await fill_and_relay(original, kafka, name, topic, 1, 300)
    backup = await new_database(None if lost else original)
    await fill_and_relay(original, kafka, name, topic, 301, 600)
    before = await identity(backup)

    steps: list[Step] = []
    async with connected(backup) as connection:
        done = await recover(connection, kafka, name, on_progress=steps.append)
    assert await state(backup) == await state(original)
    assert (done.after, done.events) == ((0, 3_002) if lost else (1_502, 1_501))
    assert (steps[-1].done, steps[-1].phase) == (steps[-1].total, "events")
    assert done.log_id == await identity(backup) != before

    await fill_and_relay(backup, kafka, name, topic, 601, 700)
    async with opened(backup) as (log, watermark):
        reports = await messaging.audit(log, watermark, kafka, name, publish_to(topic), [topic])
    assert [(report.topic, report.ok, report.events) for report in reports] == [
        (topic, True, 3_503),
        (f"{name}.log", True, 3_503),
    ]


async def test_a_log_that_lacks_nothing_stays_as_it_is(
    new_database: NewDatabase, kafka: str, name: str, topic: str
) -> None:
    database = await new_database()
    await fill_and_relay(database, kafka, name, topic, 1, 10)
    async with opened(database) as (log, _):
        await count(log, "counter/0", 11, 12)  # not yet published
    before = await state(database), await identity(database)
    async with connected(database) as connection:
        assert (await recover(connection, kafka, name)).events == 0
    assert (await state(database), await identity(database)) == before


class Killed(BaseException):
    """The end of a process, as far as a function can meet it."""


async def test_a_recovery_killed_at_any_moment_goes_on_when_it_is_run_again(
    new_database: NewDatabase, kafka: str, name: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = await new_database()
    await fill_and_relay(original, kafka, name, topic, 1, 400)
    target = await new_database()
    monkeypatch.setattr(reading, "MAX_RECORDS", 200)  # about ten steps for the events, then those for the messages
    for moment in (1, 2, 5, 10, 12, 14):
        async with connected(target) as connection:
            with pytest.raises(Killed):
                await recover(connection, kafka, name, [topic], on_progress=killing(connection, moment))
        async with opened(target) as (log, _):
            with pytest.raises(asyncpg.CannotConnectNowError, match="the log is closed while it is restored"):
                await count(log, "counter/0", 1, 1)
    async with connected(target) as connection:
        done = await recover(connection, kafka, name, [topic])
    assert (done.after, done.events) == (0, 2_001)
    assert await state(target) == await state(original)
    async with opened(target) as (log, _):
        await count(log, "counter/0", 401, 401)


def killing(connection: asyncpg.Connection, moment: int) -> Callable[[Step], None]:
    """Cuts the connection at the given step, without a word."""
    steps: list[Step] = []

    def at(step: Step) -> None:
        steps.append(step)
        if len(steps) == moment:
            connection.terminate()
            raise Killed

    return at


async def test_a_log_that_went_on_by_itself_is_refused_with_the_first_position_and_left_open(
    new_database: NewDatabase, kafka: str, name: str, topic: str
) -> None:
    original = await new_database()
    await fill_and_relay(original, kafka, name, topic, 1, 10)
    backup = await new_database(original)
    await fill_and_relay(original, kafka, name, topic, 11, 20)
    async with opened(backup) as (log, _):
        await count(log, "other", 1, 3)
    before = await state(backup)
    async with connected(backup) as connection:
        with pytest.raises(LogForked, match=r"position 53: expected event .*\(Counted, stream counter/0, version 11\)"):
            await recover(connection, kafka, name)
    assert await state(backup) == before
    async with opened(backup) as (log, _):
        await count(log, "other", 4, 5)


async def test_a_log_with_a_hole_where_it_goes_on_behind_is_refused(
    new_database: NewDatabase, kafka: str, name: str, topic: str
) -> None:
    database = await new_database()
    await fill_and_relay(database, kafka, name, topic, 1, 10)
    async with connected(database) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("DELETE FROM events WHERE position = 7")
        with pytest.raises(LogForked, match=r"position 7: expected event .*, found no event in a log that goes on to"):
            await recover(connection, kafka, name)


async def test_a_log_is_not_recovered_under_a_relay_that_leads(
    new_database: NewDatabase, kafka: str, name: str, topic: str
) -> None:
    database = await new_database()
    await fill_and_relay(database, kafka, name, topic, 1, 10)
    refusal = rf"relay:{name}: expected nobody to lead, found .*: stop the service first"
    async with connected(database) as leader, connected(database) as connection:
        await Leadership(leader, f"relay:{name}").acquire()
        await leader.execute("SET idle_session_timeout = 0")  # it lives, and says nothing
        with pytest.raises(Led, match=refusal):
            await recover(connection, kafka, name)


async def test_a_log_that_was_never_copied_says_so(new_database: NewDatabase, kafka: str, name: str) -> None:
    async with connected(await new_database()) as connection:
        with pytest.raises(LookupError, match=rf"topic {name}\.log: not found"):
            await recover(connection, kafka, name)


# ---- messages across a restore ------------------------------------------------------------------------------------


def decide(command: int, state: int) -> Sequence[Counted]:
    return [] if command == state else [Counted(command)]


SET = Decider(initial=0, decide=decide, evolve=lambda state, event: event.number)
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Setter:
    """Sets the stream of a message's key to its number; 13 has to wait and 66 fails until both are mended."""

    def __init__(self, mended: bool = False) -> None:
        self.mended = mended

    def translate(self, received: Received) -> Sequence[Intent]:
        assert isinstance(received.message, CountedMessage)
        match received.message.number:
            case 13 if not self.mended:
                raise MissingPrerequisite("13 comes after something")
            case 66 if not self.mended:
                raise ValueError("66 is refused")
            case number:
                return [Intent(f"set/{received.key}", SET, number, AT)]


class Site:
    """The service over one database: what it consumes, decides and publishes."""

    def __init__(self, url: str, kafka: str, name: str, topic: str) -> None:
        self.url, self.kafka, self.name, self.topic = url, kafka, name, topic

    @asynccontextmanager
    async def running(self, mended: bool = False) -> AsyncIterator[EventLog]:
        """Runs it inside the block, and until all is consumed, put aside or published."""
        async with opened(self.url) as (log, watermark):
            handle = messaging.inbox(Setter(mended).translate, Executor(log))
            consumer = Consumer(log.pool, self.kafka, self.name, [self.topic], handle)
            relay = Relay(log, watermark, self.kafka, self.name, lambda recorded: None)
            async with running(watermark, consumer, relay):
                yield log
                await eventually(lambda: relayed(log, self.kafka, self.name))


async def values(log: EventLog) -> dict[str, list[int]]:
    rows = await log.pool.fetch(
        """SELECT substr(stream, 5) AS key, array_agg((data->>'number')::integer ORDER BY version) AS numbers
           FROM events WHERE stream LIKE 'set/%' GROUP BY stream"""
    )
    return {row["key"]: row["numbers"] for row in rows}


async def test_each_message_takes_effect_once_across_a_restore_and_a_recovery(
    new_database: NewDatabase, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    async def send(key: str, *numbers: int) -> None:
        for number in numbers:
            await producer.send(topic, f'{{"number":{number}}}'.encode(), key.encode(), headers=headers())
        await producer.flush()

    async def has(log: EventLog, **expected: list[int]) -> None:
        async def equal() -> bool:
            return await values(log) == expected

        await eventually(equal)

    async def has_parked(log: EventLog, number: int) -> None:
        await eventually(lambda: log.pool.fetchval("SELECT count(*) = $1 FROM parked", number))

    original = await new_database()
    site = Site(original, kafka, name, topic)
    async with site.running() as log:
        await send("settings", 5)
        await send("waiting", 13, 14)
        await send("spoiled", 66, 67)
        await has(log, settings=[5])
        await has_parked(log, 4)
    backup = await new_database(original)

    async with site.running() as log:  # all this is only in the copy
        await send("settings", 5, 9)  # the first says nothing new: decided again, after the second, it would
        await send("late", 66, 68)
        await send("given up", 66, 69)
        await has_parked(log, 8)
        for parked in await messaging.list_parked(log.pool):
            if parked.reason == "failed" and parked.key != b"late":
                await messaging.discard(log, parked.id, reason="a prank", by="ann")
        await has(log, settings=[5, 9], spoiled=[67], **{"given up": [69]})
    async with site.running(mended=True) as log:  # what waited is applied; what failed stays
        await has(log, settings=[5, 9], spoiled=[67], waiting=[13, 14], **{"given up": [69]})

    async with connected(backup) as connection:
        done = await recover(connection, kafka, name, [topic])
    assert done.settled == 7  # 9, 13, 14, 67, 69, and the two given up
    site = Site(backup, kafka, name, topic)
    async with site.running() as log:
        await send("settings", 1)
        await has(log, settings=[5, 9, 1], spoiled=[67], waiting=[13, 14], **{"given up": [69]})
        await has_parked(log, 2)
        assert [p.key for p in await messaging.list_parked(log.pool)] == [b"late", b"late"]
        await messaging.retry(log.pool)
    async with site.running(mended=True) as log:
        await messaging.retry(log.pool)
        await has(log, settings=[5, 9, 1], spoiled=[67], waiting=[13, 14], late=[66, 68], **{"given up": [69]})


async def test_a_consumer_waits_until_the_recovery_is_through(
    new_database: NewDatabase, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    original = await new_database()
    site = Site(original, kafka, name, topic)
    await producer.send_and_wait(topic, b'{"number":5}', b"a", headers=headers())
    async with site.running() as log:
        await eventually(lambda: log.pool.fetchval("SELECT count(*) = 1 FROM events"))
    target = await new_database()

    def kill(step: Step) -> None:
        raise Killed

    async with connected(target) as connection:
        with pytest.raises(Killed):
            await recover(connection, kafka, name, [topic], on_progress=kill)
    async with opened(target) as (log, _):
        consumer = Consumer(log.pool, kafka, name, [topic], messaging.inbox(Setter().translate, Executor(log)))
        async with running(consumer):
            await asyncio.sleep(1)
            assert await log.pool.fetchval("SELECT count(*) FROM offsets") == 0
            async with connected(target) as connection:
                await recover(connection, kafka, name, [topic])
            await producer.send_and_wait(topic, b'{"number":6}', b"a", headers=headers())
            await eventually(lambda: log.pool.fetchval("SELECT count(*) = 2 FROM events"))
        assert await values(log) == {"a": [5, 6]}

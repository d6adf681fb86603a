"""The log against a plain model of it, on a real server: whatever is done in whatever order, both say the same.

`ANNALS_TEST_EXAMPLES=2000` looks for longer.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar
from unittest.mock import patch

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from model import Reader, Stored, Writer, measuring, stored

from eventlog import (
    ANY,
    NO_STREAM,
    Appended,
    DuplicateEvent,
    EventLog,
    NewEvent,
    Watermark,
    WrongExpectedVersion,
    append,
    install_sql,
    log,
)
from eventlog.testing import EXAMPLE_TYPES, NOW, PATIENCE_SECONDS, Credited, Debited
from local_stack.postgres import PostgresServer

EXAMPLES = int(os.environ.get("ANNALS_TEST_EXAMPLES", "40"))
STEPS = 40
STREAMS = ("account/a", "account/b", "claim/a", "claim/b")
WRITERS = 3
MANY = 4  # events from which an append is a COPY, in this test
T = TypeVar("T")

streams = st.sampled_from(STREAMS)
classes = st.sampled_from((Credited, Debited))
plans = st.lists(st.tuples(streams, classes), min_size=1, max_size=MANY + 1)
expectations = st.sampled_from(("any", "exact", "one too low", "no stream", "one too high"))
some_types = st.none() | st.sets(st.sampled_from(("Credited", "Debited")), min_size=1)
some_streams = st.none() | st.sampled_from(("account/", "claim/", "claim/b", "nothing/", ""))


class LogMachine(RuleBasedStateMachine):
    """What the log holds is in `committed`; what open transactions will add, in their `pending`.

    A rule that has nothing to act on does nothing. It has no precondition: who wins a race is up to chance, and
    Hypothesis wants the rules that may follow to be the same each time.
    """

    def __init__(self, create_database: Callable[[], str], drop_database: Callable[[str], None]) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.url, self.drop = create_database(), drop_database
        self.pool: asyncpg.Pool = self.run(self.open())
        self.watermark = Watermark(self.pool, poll_seconds=0.02)
        self.log = EventLog(self.pool, EXAMPLE_TYPES, self.watermark)
        self.committed: list[Stored] = []
        self.appends: list[tuple[Sequence[NewEvent], Appended]] = []
        self.writers: dict[int, Writer] = {}
        self.readers: list[Reader] = []
        self.amount = 0
        self.live: list[Stored] = []
        self.following = self.run(self.start(self.watermark.run(), self.follow()))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def in_time() -> T:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await coroutine

        return self.loop.run(in_time())

    async def open(self) -> asyncpg.Pool:
        pool = await asyncpg.create_pool(self.url, min_size=1, max_size=12)
        await pool.execute(install_sql())
        return pool

    async def start(self, *coroutines: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(coroutine) for coroutine in coroutines]

    async def follow(self) -> None:
        """A subscription as services have it."""
        checkpoint = 0
        while True:
            horizon = await self.watermark.beyond(checkpoint, timeout=1)
            while batch := await self.log.read(checkpoint, horizon, limit=3):
                self.live += map(stored, batch)
                checkpoint = batch[-1].position

    # ---- what the model knows --------------------------------------------------------------------------------

    def version(self, stream: str, writer: Writer | None = None) -> int:
        known = self.committed + (writer.pending if writer else [])
        return max((event.version for event in known if event.stream == stream), default=0)

    def free(self, but: Writer | None = None) -> list[str]:
        """Streams that no other open transaction has taken: one would wait for it."""
        taken = {e.stream for writer in self.writers.values() if writer is not but for e in writer.pending}
        return [stream for stream in STREAMS if stream not in taken]

    def events(self, plan: Sequence[tuple[str, type]], allowed: Sequence[str]) -> list[NewEvent]:
        events = []
        for stream, cls in plan:
            if stream in allowed:
                self.amount += 1
                events.append(NewEvent(stream, cls(self.amount), NOW))
        return events

    def expected(self, events: Sequence[NewEvent], how: str, writer: Writer | None) -> tuple[dict[str, int], bool]:
        """Expected versions of the first event's stream, and whether they hold."""
        stream = events[0].stream
        version = self.version(stream, writer)
        if how == "any":
            return {stream: ANY}, True
        value = {"exact": version, "one too low": version - 1, "no stream": NO_STREAM, "one too high": version + 1}[how]
        return {stream: value}, value == version or value < 0

    def as_stored(self, events: Sequence[NewEvent], last: int, before: dict[str, int]) -> list[Stored]:
        """What an append has made of events: consecutive positions, since nobody else appends at the time."""
        made, seen = [], Counter(before)
        for position, new in enumerate(events, last - len(events) + 1):
            seen[new.stream] += 1
            name = EXAMPLE_TYPES.name(type(new.event))
            made.append(Stored(position, new.stream, seen[new.stream], new.event_id, name, new.event))
        return made

    def before(self, events: Sequence[NewEvent], writer: Writer | None = None) -> dict[str, int]:
        return {event.stream: self.version(event.stream, writer) for event in events}

    def takes_effect(self, events: Sequence[NewEvent], appended: Appended, writer: Writer | None) -> list[Stored]:
        before = self.before(events, writer)
        assert appended.versions == {s: before[s] + sum(e.stream == s for e in events) for s in before}
        assert not appended.repeated
        return self.as_stored(events, appended.position, before)

    # ---- appending -------------------------------------------------------------------------------------------

    @rule(plan=plans, how=expectations)
    def append(self, plan: list[tuple[str, type]], how: str) -> None:
        if not (events := self.events(plan, self.free())):
            return
        expected, holds = self.expected(events, how, None)
        if not holds:
            with pytest.raises(WrongExpectedVersion) as refused:
                self.run(self.log.append(events, expected))
            assert (refused.value.stream, refused.value.found) == (events[0].stream, self.version(events[0].stream))
            return
        appended = self.run(self.log.append(events, expected))
        self.committed += self.takes_effect(events, appended, None)
        self.appends.append((events, appended))

    @rule(number=st.integers(0), how=expectations)
    def append_again(self, number: int, how: str) -> None:
        """Whatever is expected now, it was right the first time."""
        if not self.appends:
            return
        events, first = self.appends[number % len(self.appends)]
        if not {event.stream for event in events} <= set(self.free()):
            return
        again = self.run(self.log.append(events, self.expected(events, how, None)[0]))
        assert again == Appended(first.position, first.versions, repeated=True)

    @rule(number=st.integers(0), plan=plans, first=st.booleans())
    def append_an_event_twice(self, number: int, plan: list[tuple[str, type]], first: bool) -> None:
        if not self.appends:
            return
        events, _ = self.appends[number % len(self.appends)]
        new = self.events(plan, free := self.free())
        if new and events[0].stream in free:
            with pytest.raises(DuplicateEvent, match=str(events[0].event_id)):
                self.run(self.log.append([events[0], *new] if first else [*new, events[0]]))

    @rule(wanted=st.lists(st.tuples(streams, st.booleans(), plans), min_size=2, max_size=6))
    def race(self, wanted: list[tuple[str, bool, list[tuple[str, type]]]]) -> None:
        """Appends of one process at the same time: of those that expect a stream's version, the first one wins."""
        free = self.free()
        batches = [self.events([(stream, Credited), *more], free) for stream, _, more in wanted if stream in free]
        exact = [exact for stream, exact, _ in wanted if stream in free]
        expected = [self.expected(e, "exact" if x else "any", None)[0] for e, x in zip(batches, exact, strict=True)]

        async def together() -> list[Appended | BaseException]:
            appends = (self.log.append(e, x) for e, x in zip(batches, expected, strict=True))
            return await asyncio.gather(*appends, return_exceptions=True)

        outcomes = self.run(together())
        known = {event.event_id for event in self.committed}
        found = [e for s in free for e in map(stored, self.run(self.log.read_stream(s))) if e.event_id not in known]
        won: set[str] = set()
        for events, precise, outcome in zip(batches, exact, outcomes, strict=True):
            ours = [e for e in found if e.event_id in {event.event_id for event in events}]
            if isinstance(outcome, WrongExpectedVersion):
                assert precise
                assert ours == []
                continue
            assert isinstance(outcome, Appended), outcome
            assert len(ours) == len(events)
            assert outcome.position == max(e.position for e in ours)
            assert outcome.versions == {e.stream: max(o.version for o in ours if o.stream == e.stream) for e in ours}
            if precise:
                first = next(event for event in ours if event.event_id == events[0].event_id)
                assert first.version == self.version(first.stream) + 1
                assert first.stream not in won
                won.add(first.stream)
        assert won or not all(exact) or not batches
        self.committed = sorted(self.committed + found, key=lambda event: event.position)

    # ---- transactions of callers, which may commit in any order ------------------------------------------------

    @rule()
    def begin(self) -> None:
        if len(self.writers) == WRITERS:
            return

        async def begin() -> Writer:
            conn = await self.pool.acquire()
            transaction = conn.transaction()
            await transaction.start()
            return Writer(conn, transaction)

        number = next(number for number in range(WRITERS) if number not in self.writers)
        self.writers[number] = self.run(begin())

    @rule(number=st.integers(0), plan=plans, how=expectations)
    def append_inside(self, number: int, plan: list[tuple[str, type]], how: str) -> None:
        if not self.writers:
            return
        number, writer = sorted(self.writers.items())[number % len(self.writers)]
        if not (events := self.events(plan, self.free(but=writer))):
            return
        expected, holds = self.expected(events, how, writer)
        if not holds:
            with pytest.raises(WrongExpectedVersion):
                self.run(self.log.append(events, expected, writer.conn))
            self.end(number, "rollback")
            return
        appended = self.run(self.log.append(events, expected, writer.conn))
        writer.pending += self.takes_effect(events, appended, writer)

    @rule(number=st.integers(0), which=st.integers(0))
    def repeat_inside(self, number: int, which: int) -> None:
        """There it is an error, since it has aborted the transaction."""
        if not self.writers or not self.committed:
            return
        number, writer = sorted(self.writers.items())[number % len(self.writers)]
        old = self.committed[which % len(self.committed)]
        if old.stream in self.free(but=writer):
            with pytest.raises(DuplicateEvent):
                self.run(self.log.append([NewEvent(old.stream, old.event, NOW, old.event_id)], conn=writer.conn))
            self.end(number, "rollback")

    @rule(number=st.integers(0), how=st.sampled_from(("commit", "commit", "rollback")))
    def finish(self, number: int, how: str) -> None:
        if self.writers:
            self.end(sorted(self.writers)[number % len(self.writers)], how)

    def end(self, number: int, how: str) -> None:
        writer = self.writers.pop(number)

        async def end() -> None:
            await (writer.transaction.commit() if how == "commit" else writer.transaction.rollback())
            await self.pool.release(writer.conn)

        self.run(end())
        if how == "commit":
            self.log.wake()
            self.committed = sorted(self.committed + writer.pending, key=lambda event: event.position)
        for reader in self.readers:
            if number in reader.waits_for:
                reader.waits_for.remove(number)
                self.read_on(reader)

    # ---- reading ---------------------------------------------------------------------------------------------

    @rule(types=some_types, prefix=some_streams)
    def subscribe(self, types: set[str] | None, prefix: str | None) -> None:
        if len(self.readers) < 3:
            self.readers.append(Reader(types, prefix))

    @rule(number=st.integers(0))
    def look(self, number: int) -> None:
        """A reader measures how far it may read; it has to wait for the transactions that have drawn positions."""
        if not self.readers:
            return
        reader = self.readers[number % len(self.readers)]
        if reader.measuring is None:
            reader.waits_for = {number for number, writer in self.writers.items() if writer.pending}
            reader.at_least = max((event.position for event in self.committed), default=0)
            reader.measuring = self.run(measuring(self.pool))
            self.read_on(reader)

    def read_on(self, reader: Reader) -> None:
        """Once it knows how far, it reads, and has then seen all there is: each event once, in order."""
        assert reader.measuring is not None
        if reader.waits_for:
            assert not reader.measuring.done(), "it must wait for those that hold lower positions"
            return
        measured, reader.measuring = reader.measuring, None

        async def read() -> None:
            horizon = await measured
            assert horizon >= reader.at_least
            page = reader.checkpoint
            while batch := await self.log.read(page, horizon, limit=2, types=reader.types, streams=reader.prefix):
                reader.seen += map(stored, batch)
                page = batch[-1].position
            reader.checkpoint = horizon

        self.run(read())
        assert all(e.position > reader.checkpoint for w in self.writers.values() for e in w.pending)
        upto = [event for event in self.committed if event.position <= reader.checkpoint]
        assert reader.seen == [event for event in upto if reader.wants(event)]

    @rule(after=st.integers(0, 40), upto=st.integers(0, 60), limit=st.integers(1, 9), types=some_types, of=some_streams)
    def read(self, after: int, upto: int, limit: int, types: set[str] | None, of: str | None) -> None:
        wanted = [e for e in self.committed if after < e.position <= upto and Reader(types, of).wants(e)]
        found = self.run(self.log.read(after, upto, limit, types, streams=of))
        assert [stored(event) for event in found] == wanted[:limit]

    @rule(stream=streams, after=st.integers(0, 5), limit=st.none() | st.integers(1, 3))
    def read_stream(self, stream: str, after: int, limit: int | None) -> None:
        wanted = [event for event in self.committed if event.stream == stream and event.version > after]
        assert [stored(e) for e in self.run(self.log.read_stream(stream, after, limit))] == wanted[:limit]

    @rule(after=st.dictionaries(st.sampled_from((*STREAMS, "unknown/x")), st.integers(0, 5)), inside=st.booleans())
    def read_streams(self, after: dict[str, int], inside: bool) -> None:
        """Also in a transaction, which sees what it has appended itself."""
        writer = next(iter(self.writers.values()), None) if inside else None
        known = self.committed + (writer.pending if writer else [])
        found = [stored(e) for e in self.run(self.log.read_streams(after, writer.conn if writer else None))]
        for stream, version in after.items():
            wanted = [event for event in known if event.stream == stream and event.version > version]
            assert [event for event in found if event.stream == stream] == wanted
        assert {event.stream for event in found} <= after.keys()

    @invariant()
    def versions_have_no_holes(self) -> None:
        for stream in STREAMS:
            versions = [event.version for event in self.committed if event.stream == stream]
            assert versions == list(range(1, len(versions) + 1))

    def teardown(self) -> None:
        try:
            for number in list(self.writers):
                self.end(number, "rollback")
            assert [stored(e) for e in self.run(self.log.read(0, 2**62))] == self.committed
            self.run(self.until_followed())
            assert self.live == self.committed, "what a live subscription has seen"
        finally:
            self.run(self.close())
            self.loop.close()
            self.drop(self.url)

    async def until_followed(self) -> None:
        while len(self.live) < len(self.committed):
            for task in self.following:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        tasks = [*self.following, *(reader.measuring for reader in self.readers if reader.measuring)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.pool.terminate()


@pytest.mark.endurance
def test_the_log_does_what_a_plain_model_of_it_does(postgres: PostgresServer) -> None:
    with patch.object(append, "COPY_FROM", MANY), patch.object(log, "COPY_FROM", MANY):
        run_state_machine_as_test(
            lambda: LogMachine(postgres.create_database, postgres.drop_database),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

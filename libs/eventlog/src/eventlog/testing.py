"""For tests: sentences such as ``given(decider, Credited(50)).when(Debit(20)).then(Debited(20))``; events; spans;
what comes about eventually; workers; processes that kill themselves at a step; and a superuser who forges what is
sealed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import asyncpg
import pytest
from opentelemetry import trace

from eventlog import merkle
from eventlog.append import Appended
from eventlog.decider import Decider
from eventlog.events import NewEvent
from eventlog.leaves import COLUMNS, leaves, of_rows
from eventlog.log import EventLog
from eventlog.seals import read_seals
from eventlog.types import EventTypes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


@dataclass(frozen=True)
class Given:
    decider: Decider[Any, Any, Any]
    history: Sequence[object]

    def when(self, command: object) -> When:
        return When(self, command)


@dataclass(frozen=True)
class When:
    given: Given
    command: object

    def then(self, *expected: object) -> None:
        decider = self.given.decider
        assert list(decider.decide(self.command, decider.fold(self.given.history))) == list(expected)

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, error: type[Exception], saying: str = "") -> None:
        decider = self.given.decider
        with pytest.raises(error, match=re.escape(saying) if saying else None):
            decider.decide(self.command, decider.fold(self.given.history))


def given(decider: Decider[Any, Any, Any], *history: object) -> Given:
    return Given(decider, history)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PATIENCE_SECONDS = 240.0
"""No measure: what comes about comes in a second, or in minutes on a machine that others keep busy."""


@dataclass(frozen=True, slots=True)
class Credited:
    """Example event: money came in."""

    amount: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Debited:
    """Example event: money went out."""

    amount: int


EXAMPLE_TYPES = EventTypes(
    {"Credited.v2": Credited, "Debited.v1": Debited}, {"Credited.v1": lambda old: {**old, "note": "old"}}
)


def credited(stream: str, amount: int = 1) -> NewEvent:
    """An example event for `stream`."""
    return NewEvent(stream, Credited(amount), NOW)


class Spans:
    """The spans that ended while tracing was on, in the order in which they ended."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """The spans whose parent is this one."""
        assert parent.context is not None
        return [span for span in self.all() if span.parent and span.parent.span_id == parent.context.span_id]


@contextmanager
def tracing_on() -> Iterator[Spans]:
    """Inside the block an OpenTelemetry SDK keeps every sampled span in memory (needs `opentelemetry-sdk`)."""
    spans = Spans()
    # A process can set its provider only once; tests need it gone afterwards.
    with patch.object(trace, "get_tracer_provider", lambda: spans.provider):
        yield spans
    spans.provider.shutdown()


# ---- processes that kill themselves ---------------------------------------------------------------------------------


class Doom:
    """Ends this process as a power cut would, when it comes to a step for the `number`-th time."""

    def __init__(self, step: str, number: int = 1) -> None:
        self._step, self._left = step, number

    def at(self, *steps: str) -> None:
        if self._step in steps:
            self._left -= steps.count(self._step)
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, of: Any, *names: str) -> None:
        """Comes to "before erase" and "after erase" around each call of `of.erase` that has something to erase.

        Of `advance`, which several tasks call, to "before advance exports".
        """
        for name in names:
            setattr(of, name, self._around(getattr(of, name)))

    def _around(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any) -> Any:
            given = [list(arg) if hasattr(arg, "__next__") else arg for arg in args]
            if given == [[]]:
                return await step(*given)
            name = " ".join([step.__name__, *(arg for arg in given[:1] if isinstance(arg, str))])
            self.at(f"before {name}")
            done = await step(*given)
            self.at(f"after {name}")
            return done

        return call


class DoomedLog(EventLog):
    """Comes to "before Credited" and "after Credited" around each append of such an event, with its commit."""

    doom = Doom("")
    _uncommitted: tuple[str, ...] = ()

    async def append(
        self,
        events: Sequence[NewEvent],
        expected: Mapping[str, int] | None = None,
        conn: Any = None,
    ) -> Appended:
        steps = [type(event.event).__name__ for event in events]  # each counts, in however many appends they come
        self.doom.at(*(f"before {step}" for step in steps))
        appended = await super().append(events, expected, conn)
        after = tuple(f"after {step}" for step in steps)
        if conn is None:
            self.doom.at(*after)
        else:  # the caller commits, and says so
            self._uncommitted += after
        return appended

    def wake(self) -> None:
        super().wake()
        committed, self._uncommitted = self._uncommitted, ()
        self.doom.at(*committed)


class Nursery:
    """Processes that die at a step, one after the other, of a program that calls `fork_for_each_plan`."""

    def __init__(self, process: asyncio.subprocess.Process, plan: Mapping[str, Any]) -> None:
        self._process = process
        self._plan = plan

    async def start(self, kill: str = "", number: int = 1, **more: Any) -> int:
        """Starts one that dies when it comes to the step `kill` for the `number`-th time; returns its id."""
        assert self._process.stdin is not None
        plan = {**self._plan, "kill": kill, "number": number, **more}
        self._process.stdin.write(json.dumps(plan).encode() + b"\n")
        return await self._said()

    async def dies(self) -> None:
        """Returns when the last one has killed itself. Raises TimeoutError while it lives on."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await self._said()
        assert ended == -signal.SIGKILL, f"expected a process that was killed, it ended with {ended}"

    async def killed(self, step: str, number: int = 1, **more: Any) -> None:
        """Runs one until it dies at a step."""
        await self.start(step, number, **more)
        await self.dies()

    async def stop(self, process: int) -> None:
        """Kills the last one wherever it is."""
        os.kill(process, signal.SIGKILL)
        await self.dies()

    async def _said(self) -> int:
        assert self._process.stdout is not None
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def nursery(program: Path, plan: Mapping[str, Any]) -> AsyncIterator[Nursery]:
    """Starts a program; kills it at the end with the process that is left."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdin=pipe, stdout=pipe, start_new_session=True
    )
    try:
        yield Nursery(process, plan)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


def fork_for_each_plan(main: Callable[[dict[str, Any]], Coroutine[Any, Any, None]]) -> None:
    """What a nursery's program does: all modules are loaded once, and each process is there at once."""
    for line in sys.stdin:
        if child := os.fork():
            print(child, flush=True)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what it logs
            asyncio.run(main(json.loads(line)))
            os._exit(0)


async def eventually(check: Callable[[], Awaitable[Any]], within: float = PATIENCE_SECONDS) -> None:
    """Waits until `check` returns something true. Raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not await check():  # noqa: ASYNC110 - what it asks is outside this process
            await asyncio.sleep(0.02)


@asynccontextmanager
async def at_work(*work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Runs coroutines inside the block. One may end by an error: what it has left is what its test looks at."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def as_superuser(pool: asyncpg.Pool, statement: str, *arguments: Any) -> None:
    """Runs a statement that no trigger refuses."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        assert not (await conn.execute(statement, *arguments)).endswith(" 0"), f"nothing was forged by: {statement}"


async def reseal_from(pool: asyncpg.Pool, number: int) -> None:
    """Computes the seals from `number` on anew, as a forger would who has read this library, and replaces them."""
    seals = await read_seals(pool)
    before = seals[number - 2] if number > 1 else None
    for seal in seals[number - 1 :]:
        sql = f"SELECT {COLUMNS} FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position"  # noqa: S608 - constant columns
        rows = await pool.fetch(sql, seal.first_position, seal.last_position)
        forged = replace(
            seal,
            events=len(rows),
            root=merkle.root(leaves(of_rows(rows), seal.first_position, seal.last_position)),
            previous=before.hash if before else bytes(32),
        )
        before = forged = replace(forged, hash=forged.computed_hash())
        await as_superuser(
            pool,
            "UPDATE seals SET events = $2, root = $3, previous = $4, hash = $5 WHERE number = $1",
            forged.number,
            forged.events,
            forged.root,
            forged.previous,
            forged.hash,
        )

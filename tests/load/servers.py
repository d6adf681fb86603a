"""The servers that are measured, started when a path first asks, and the logs that paths share."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import chains
from books import TYPES, payment

import eventlog
import messaging
import projections
from eventlog import EventLog, EventTypes
from local_stack import kafka, postgres
from local_stack.postgres import PostgresServer
from local_stack.process import blocking
from local_stack.stack import scratch_folder

T = TypeVar("T")

CONNECTIONS = 20
FILL_EVENTS = 5_000  # of one append


class Servers:
    """PostgreSQL and Kafka as in production: what is committed is on the disk."""

    def __init__(self, stack: contextlib.AsyncExitStack, folder: Path, lock: int, events: int) -> None:
        self.events = events  # of the log that is only read
        self._stack = stack
        self.folder = folder  # of the servers' files
        self._lock = lock
        self._postgres: PostgresServer | None = None
        self._kafka: str | None = None
        self._filled: dict[int, EventLog] = {}
        self._chain: tuple[chains.Saved, str] | None = None

    async def postgres(self) -> PostgresServer:
        """The database server."""
        if self._postgres is None:
            starting = postgres.start(self.folder, password=secrets.token_hex(16), hold=(self._lock,))
            process, self._postgres = await apart(starting)
            self._stack.push_async_callback(lambda: apart(process.stop()))
        return self._postgres

    async def kafka(self) -> str:
        """The broker's address."""
        if self._kafka is None:
            process, self._kafka = await apart(kafka.start(self.folder, hold=(self._lock,)))
            self._stack.push_async_callback(lambda: apart(process.stop()))
        return self._kafka

    async def saved_chain(self) -> chains.Saved:
        """The chain that was made before, or is made now."""
        return await chains.saved_chain(self.folder, self._lock)

    async def chain(self) -> tuple[chains.Saved, str]:
        """That chain, and the address of a devnet that has it."""
        if self._chain is None:
            saved = await self.saved_chain()
            url = await self._stack.enter_async_context(chains.node(self.folder, self._lock, saved.options))
            self._chain = saved, url
        return self._chain

    async def filled_log(self, events: int) -> EventLog:
        """A log with so many payments, made once; paths that only read it share it."""
        if events not in self._filled:
            log = await self.keep(self.empty_log())
            await fill(log, events)
            self._filled[events] = log
        return self._filled[events]

    async def keep(self, opened: contextlib.AbstractAsyncContextManager[T]) -> T:
        """Opens something for several runs, a log for instance; it is closed at the end of all."""
        return await self._stack.enter_async_context(opened)

    @contextlib.asynccontextmanager
    async def empty_log(self, types: EventTypes = TYPES) -> AsyncIterator[EventLog]:
        """A log in a database of its own, dropped afterwards."""
        server = await self.postgres()
        url = await asyncio.to_thread(server.create_database)
        async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
            for library in (eventlog, projections, messaging):
                await pool.execute(library.install_sql())
            await pool.execute("CHECKPOINT")  # the work before is not to be written out during this one
            yield EventLog(pool, types)
        await asyncio.to_thread(server.drop_database, url)


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of asyncio's own: uvloop, on which services and this bench run, can't start another user's process."""
    return await asyncio.to_thread(blocking, work)


async def fill(log: EventLog, events: int) -> None:
    """Appends so many payments."""
    for start in range(0, events, FILL_EVENTS):
        await log.append([payment(number) for number in range(start, min(start + FILL_EVENTS, events))])
    await log.pool.execute("VACUUM ANALYZE events")


@contextlib.asynccontextmanager
async def servers(events: int) -> AsyncIterator[Servers]:
    """Stops at the end whatever was started."""
    with scratch_folder(f"test-bench-{secrets.token_hex(3)}") as (folder, lock):
        async with contextlib.AsyncExitStack() as stack:
            yield Servers(stack, folder, lock, events)

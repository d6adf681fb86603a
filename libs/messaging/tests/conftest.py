"""A service of its own for each test: a database with the tables, a name, a topic."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

import eventlog
import messaging
from eventlog import EventLog, Watermark
from messaging import TopicSpec
from messaging.testing import TYPES

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
async def tables(pool: asyncpg.Pool) -> asyncpg.Pool:
    await pool.execute(eventlog.install_sql())
    await pool.execute(messaging.install_sql())
    await pool.execute("CREATE TABLE handled (at bigserial, topic text, key text, number integer)")
    return pool


@pytest.fixture
def watermark(tables: asyncpg.Pool) -> Watermark:
    return Watermark(tables)


@pytest.fixture
def log(tables: asyncpg.Pool, watermark: Watermark) -> EventLog:
    return EventLog(tables, TYPES, watermark)


@pytest.fixture
def name() -> str:
    """A service name of its own, so that tests do not meet in Kafka."""
    return f"s{uuid4().hex[:12]}"


@pytest.fixture
async def topic(kafka: str, name: str) -> str:
    await messaging.ensure(kafka, [TopicSpec(f"{name}.events")])
    return f"{name}.events"


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as started:
        yield started


@pytest.fixture
async def spawn() -> AsyncIterator[Callable[..., Awaitable[Process]]]:
    """Starts `worker.py` with arguments; what still runs at the end is killed."""
    processes: list[Process] = []

    async def start(*arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(sys.executable, str(WORKER), *arguments)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Link:
    """A network in front of a server at `host:port`: it can be cut, or fall silent without telling anybody.

    A Kafka broker tells its clients where to connect; where it names itself, it is made to name the link.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._host, self._port, self._own_port = host, int(port), 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self.received = 0
        """Bytes that came from the server."""

    @property
    def address(self) -> str:
        return f"{self._host}:{self._own_port}"

    def silence(self) -> None:
        """Holds every byte back, in both directions, and closes nothing."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Closes the connections there are."""
        for connection in self._connections:
            connection.cancel()

    async def __aenter__(self) -> Link:
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self._own_port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer.transport):
            await self._flowing.wait()
            answers, upstream = await asyncio.open_connection(self._host, self._port)
            with contextlib.closing(upstream.transport):
                pumps = [
                    asyncio.create_task(self._pump(reader, upstream)),
                    asyncio.create_task(self._back(answers, writer)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        itself, link = (self._host.encode() + port.to_bytes(4, "big") for port in (self._port, self._own_port))
        while chunk := await reader.read(65_536):
            self.received += len(chunk)
            await self._flowing.wait()
            writer.write(chunk.replace(itself, link))
            await writer.drain()
        await self._flowing.wait()  # a server that hangs up is not heard either


@pytest.fixture
def link() -> type[Link]:
    """`async with link(address) as network`: connect to `network.address` then."""
    return Link

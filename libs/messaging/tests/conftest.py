"""A service of its own for each test: a database with the tables, a name, a topic."""

from __future__ import annotations

import asyncio
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
from local_stack.proxy import Proxy
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


class Link(Proxy):
    """A network in front of a server at `host:port` of this machine.

    A Kafka broker tells its clients where to connect; where it names itself, it is made to name the link.
    """

    def __init__(self, address: str) -> None:
        host, _, target = address.partition(":")
        super().__init__(0, int(target))
        self._host = host.encode()

    def answered(self, chunk: bytes) -> bytes:
        itself, link = (self._host + port.to_bytes(4, "big") for port in (self.target, self.port))
        return chunk.replace(itself, link)


@pytest.fixture
def link() -> type[Link]:
    """`async with link(address) as network`: connect to `network.address` then."""
    return Link

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

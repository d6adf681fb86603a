"""The paths that are measured, each beside its bare baseline."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from harness import Path

import messaging
import projections
from eventlog import EventLog, EventTypes, NewEvent, RecordedEvent, Watermark, install_sql, uuid7
from local_stack.postgres import PostgresServer
from messaging import Relay, TopicSpec
from messaging.metrics import relay_position
from messaging.testing import CountedMessage, eventually
from projections import Amount, Projection, Rows, on

AT = datetime(2026, 1, 1, tzinfo=UTC)
BATCHES, BATCH, STREAMS = 40, 1_000, 100
CLIENTS, SINGLES = 16, 2_000
STORED = 100_000


@dataclass(frozen=True, slots=True)
class Paid:
    """An event as most are: two names, an amount, a reference."""

    account: str
    asset: str
    amount: int
    reference: str


TYPES = EventTypes({"Paid.v1": Paid})


@dataclass(frozen=True, slots=True)
class Servers:
    postgres: PostgresServer
    kafka: str


@contextlib.asynccontextmanager
async def empty_log(servers: Servers) -> AsyncIterator[EventLog]:
    """A log in a database of its own, dropped afterwards."""
    url = servers.postgres.create_database()
    async with asyncpg.create_pool(url, min_size=1, max_size=CLIENTS + 4) as pool:
        for library in (install_sql(), projections.install_sql(), messaging.install_sql()):
            await pool.execute(library)
        yield EventLog(pool, TYPES)
    servers.postgres.drop_database(url)


def event(number: int) -> NewEvent:
    paid = Paid(f"account-{number % STREAMS}", "TRX", number * 1_000_003, f"reference-{number:08}")
    return NewEvent(f"account/{number % STREAMS}", paid, AT)


async def per_second(count: int, work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return count / (time.perf_counter() - begun)


# ---- append, batches of 1,000 over 100 streams, against COPY into the same table with its indexes ----------------


async def append_batch(servers: Servers) -> float:
    async with empty_log(servers) as log:
        batches = [[event(start + i) for i in range(BATCH)] for start in range(0, BATCHES * BATCH, BATCH)]

        async def work() -> None:
            for batch in batches:
                await log.append(batch)

        return await per_second(BATCHES * BATCH, work)


async def copy_raw(servers: Servers) -> float:
    async with empty_log(servers) as log:
        columns = ("stream", "version", "event_id", "type", "type_version", "data", "metadata", "occurred_at")
        encoded = TYPES.encode(event(1).event)
        batches = [
            [
                (f"account/{i % STREAMS}", i // STREAMS + 1, uuid7(), *encoded, "{}", AT)
                for i in range(start, start + BATCH)
            ]
            for start in range(0, BATCHES * BATCH, BATCH)
        ]

        async def work() -> None:
            async with log.pool.acquire() as conn:
                for batch in batches:
                    await conn.copy_records_to_table("events", records=batch, columns=columns)

        return await per_second(BATCHES * BATCH, work)


# ---- append, single commands of 16 clients, against bare single-row commits --------------------------------------


async def append_single(servers: Servers) -> float:
    async with empty_log(servers) as log:

        async def client(number: int) -> None:
            for turn in range(SINGLES // CLIENTS):
                await log.append([NewEvent(f"client/{number}", event(turn).event, AT)], {f"client/{number}": turn})

        return await per_second(SINGLES, lambda: asyncio.gather(*(client(number) for number in range(CLIENTS))))


async def commit_raw(servers: Servers) -> float:
    async with empty_log(servers) as log:
        await log.pool.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, data jsonb NOT NULL)")
        data = TYPES.encode(event(1).event)[2]

        async def client() -> None:
            for _ in range(SINGLES // CLIENTS):
                await log.pool.execute("INSERT INTO bare (data) VALUES ($1)", data)

        return await per_second(SINGLES, lambda: asyncio.gather(*(client() for _ in range(CLIENTS))))


# ---- rebuild of three tables, against reading and decoding the log -----------------------------------------------

metadata = sa.MetaData()
payments = sa.Table(
    "payments",
    metadata,
    sa.Column("reference", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),
)
balances = sa.Table(
    "balances",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("balance", Amount, nullable=False),
)
days = sa.Table(
    "days", metadata, sa.Column("day", sa.Date, primary_key=True), sa.Column("payments", sa.BigInteger, nullable=False)
)


class Payments(Projection):
    name = "bench_payments"
    tables = (payments,)
    totals = (balances, days)

    @on(Paid)
    def paid(self, event: Paid, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(payments, reference=event.reference, account=event.account, amount=event.amount)
        rows.increment(balances, {"account": event.account, "asset": event.asset}, balance=event.amount)
        rows.increment(days, {"day": recorded.occurred_at.date()}, payments=1)


async def fill(log: EventLog) -> None:
    for start in range(0, STORED, 5_000):
        await log.append([event(start + i) for i in range(5_000)])
    await log.pool.execute("ANALYZE events")


async def rebuild(servers: Servers) -> float:
    async with empty_log(servers) as log:
        await fill(log)
        await projections.Runner(log.pool, log, Watermark(log.pool), [Payments()]).create_missing()
        rebuilt = await projections.rebuild(log.pool, log, Watermark(log.pool), Payments())
        return rebuilt.events / rebuilt.seconds


async def read_and_decode(servers: Servers) -> float:
    async with empty_log(servers) as log:
        await fill(log)

        async def work() -> None:
            position = 0
            while batch := await log.read(position, 2**62):
                for recorded in batch:
                    _ = recorded.event
                position = batch[-1].position

        return await per_second(STORED, work)


# ---- relay log → Kafka, against a bare transactional producer -----------------------------------------------------


def relay(copy: bool) -> Callable[[Servers], Awaitable[float]]:
    async def run(servers: Servers) -> float:
        async with empty_log(servers) as log:
            await fill(log)
            service, topic = f"bench{uuid4().hex[:8]}", f"bench.{uuid4().hex[:8]}"
            watermark = Watermark(log.pool)
            relaying = Relay(
                log,
                watermark,
                servers.kafka,
                service,
                lambda recorded: messaging.Publication(topic, CountedMessage(number=recorded.position)),
                publishes=[TopicSpec(topic)],
                copy=copy,
            )

            async def work() -> None:
                tasks = [asyncio.create_task(worker.run()) for worker in (watermark, relaying)]
                try:
                    await eventually(lambda: all_published(service), within=300)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

            return await per_second(STORED, work)

    return run


async def all_published(service: str) -> bool:
    return relay_position.labels(service)._value.get() >= STORED


async def produce_raw(servers: Servers) -> float:
    topic = f"bench.{uuid4().hex[:8]}"
    await messaging.ensure(servers.kafka, [TopicSpec(topic)])
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka, transactional_id=uuid4().hex, linger_ms=5)
    await producer.start()
    body = CountedMessage(number=1).model_dump_json().encode()

    async def work() -> None:
        for start in range(0, STORED, 5_000):
            async with producer.transaction():
                for number in range(start, start + 5_000):
                    await producer.send(topic, body, key=b"account/%d" % (number % STREAMS))

    try:
        return await per_second(STORED, work)
    finally:
        await producer.stop()


PATHS = (
    Path("append_batch", "events/s", append_batch, copy_raw),
    Path("append_single", "events/s", append_single, commit_raw),
    Path("rebuild", "events/s", rebuild, read_and_decode),
    Path("relay", "events/s", relay(copy=False), produce_raw),
    Path("relay_with_copy", "events/s", relay(copy=True), produce_raw),
)

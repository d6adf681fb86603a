"""Activities from Kafka, or by HTTP, to the rows of all read models of rewards, against reading the messages alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from harness import Goal, Path, per_second
from servers import Servers

import messaging
import privacy
from contracts.activity import ReportActivity, ReportListen, ReportShare, ReportSkip, ReportVote
from eventlog import EventTypes, Executor, Watermark
from messaging import Consumer
from messaging.testing import eventually, headers, running
from privacy import DEVELOPMENT, Keks, KeyStore, MonthKeys
from projections import Runner
from rewards import domain, handlers, projections
from rewards.app import create
from rewards.recorder import Recorder
from rewards.reports import Origins
from service.testing import serving

ACTIVITIES = 100_000
USERS = 5_000
TRACKS = 2_000
BATCH = 500
CLIENTS = 8
TRANSACTION = 5_000
PATIENCE = 300


@cache
def activities() -> Sequence[ReportActivity]:
    """Of 5,000 users with a device each, three to an address: seven listens of ten, the rest votes, skips, shares."""
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    return [_activity(number, end - timedelta(seconds=(ACTIVITIES - number) // 4)) for number in range(ACTIVITIES)]


def _activity(number: int, at: datetime) -> ReportActivity:
    user = number * 7_919 % USERS
    facts: dict[str, Any] = {
        "user": f"user-{user}",
        "activity_id": f"activity-{number}",
        "at": at,
        "track_id": f"track-{number * 104_729 % TRACKS}",
        "device_key": f"{user:032x}",
        "address_key": f"{user // 3:032x}",
    }
    match number % 10:
        case 0:
            return ReportVote(**facts, like=number % 4 != 0)
        case 1:
            return ReportSkip(**facts, listened_seconds=5)
        case 2:
            return ReportShare(**facts, channel="telegram")
        case _:
            return ReportListen(**facts, listened_seconds=20 if number % 10 == 3 else 200, track_seconds=300)


async def by_kafka(servers: Servers) -> float:
    """From the first message read to the last row, in one process as the service has it."""
    kafka = await _told(servers)
    async with servers.empty_log(EventTypes(domain.EVENTS)) as log:
        watermark = Watermark(log.pool)
        log = type(log)(log.pool, log.types, watermark)
        await log.pool.execute(privacy.install_sql())
        keys = KeyStore(log.pool, Keks.parse(DEVELOPMENT))
        origins = Origins("bench", keys, MonthKeys(keys, "origins"))
        handle = handlers.handle_messages(Executor(log), Recorder(log), origins)
        consumer = Consumer(log.pool, kafka, f"bench{uuid4().hex[:8]}", [handlers.COMMANDS.name], handle)
        runner = Runner(log.pool, log, watermark, projections.ALL)

        async def all_shown() -> bool:
            return await shown(log.pool)

        async def work() -> None:
            async with running(watermark, consumer, runner):
                await eventually(all_shown, within=PATIENCE)

        began = time.process_time()
        rate = await per_second(ACTIVITIES, work)
        events = await log.pool.fetchval("SELECT count(*) FROM events")
        spent = (time.process_time() - began) / ACTIVITIES * 1e6
        print(f"by Kafka: {spent:,.0f} µs of CPU in Python an activity, {events:,} events")
        return rate


async def by_http(servers: Servers) -> float:
    """Batches of 500 from eight clients in the service's own process: from the first request to the last row."""
    server, kafka = await servers.postgres(), await servers.kafka()
    url = await asyncio.to_thread(server.create_database)
    bodies = [_body(activities()[start : start + BATCH]) for start in range(0, ACTIVITIES, BATCH)]
    async with serving(create, url, kafka, seal_seconds=600) as service, service.client("bench", "service") as client:
        waiting = list(enumerate(bodies))

        async def post() -> None:
            while waiting:
                number, body = waiting.pop()
                answer = await client.post(
                    "/activities", content=body, headers=_JSON | {"idempotency-key": str(number)}
                )
                answer.raise_for_status()

        async def work() -> None:
            await asyncio.gather(*(post() for _ in range(CLIENTS)))
            await service.shown()

        began = time.process_time()
        rate = await per_second(ACTIVITIES, work)
        spent = (time.process_time() - began) / ACTIVITIES * 1e6
        print(f"by HTTP: {spent:,.0f} µs of CPU in Python an activity, relay and clients included")
    await asyncio.to_thread(server.drop_database, url)
    return rate


_JSON = {"content-type": "application/json"}
_KINDS = {ReportListen: "listen", ReportShare: "share", ReportVote: "vote", ReportSkip: "skip"}


def _body(told: Sequence[ReportActivity]) -> bytes:
    listed = [
        one.model_dump_json(exclude={"address_key", "device_key"})[:-1]
        + f',"kind":"{_KINDS[type(one)]}","device":"{one.device_key}","address":"{one.address_key}"}}'
        for one in told
    ]
    return f'{{"activities":[{",".join(listed)}]}}'.encode()


async def shown(pool: Any) -> bool:
    """Whether all activities are recorded and all read models show them."""
    recorded = "SELECT count(*) FROM events WHERE type LIKE '%Recorded'"
    last = await pool.fetchval("SELECT last_value FROM events_position")
    if last < ACTIVITIES:
        return False
    schemas = [projection.schema for projection in projections.ALL]
    there = "SELECT count(*) FROM progress WHERE subscription = ANY ($1) AND position >= $2"
    if await pool.fetchval(there, schemas, last) < len(schemas):
        return False
    return bool(await pool.fetchval(recorded) == ACTIVITIES)


async def read_messages(servers: Servers) -> float:
    """The same messages by aiokafka's consumer, each body decoded; nothing else."""
    kafka = await _told(servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest")

    async def work() -> None:
        await consumer.start()
        topic, partitions = handlers.COMMANDS.name, handlers.COMMANDS.partitions
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        left = ACTIVITIES
        while left:
            for records in (await consumer.getmany(timeout_ms=250)).values():
                left -= len(records)
                for record in records:
                    ReportListen.model_validate_json(record.value) if b"track_seconds" in record.value else None

    try:
        return await per_second(ACTIVITIES, work)
    finally:
        await consumer.stop()


_told_to: set[str] = set()


async def _told(servers: Servers) -> str:
    """The broker whose topic `rewards.commands` has the activities."""
    kafka = await servers.kafka()
    if kafka not in _told_to:
        await messaging.ensure(kafka, [handlers.COMMANDS])
        producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=uuid4().hex, max_batch_size=524_288)
        await producer.start()
        try:
            for start in range(0, ACTIVITIES, TRANSACTION):
                async with producer.transaction():
                    for told in activities()[start : start + TRANSACTION]:
                        named = headers(ce_id=uuid4().hex.encode(), ce_type=told.type.encode())
                        key = getattr(told, "user").encode()  # noqa: B009 - each of these classes has one
                        await producer.send(
                            handlers.COMMANDS.name, told.model_dump_json().encode(), key=key, headers=named
                        )
        finally:
            await producer.stop()
        _told_to.add(kafka)
    return kafka


PATHS = (
    Path("rewards_activity", "activities/s", by_kafka, read_messages, Goal(ours=5_000)),
    Path("rewards_activity_http", "activities/s", by_http, read_messages),
)

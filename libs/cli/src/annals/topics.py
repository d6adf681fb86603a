"""Is Kafka, read committed, what the logs say? Every event exactly once, unchanged, in the order of its key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from annals.services import Installed
from eventlog import EventLog, Watermark
from messaging import cloudevents, stored
from messaging.connection import closed
from messaging.progress import read_progress
from messaging.topics import log_topic, progress_topic

READ_SECONDS = 120
AT_ONCE = 5_000
FAULTS = ("missing", "unexpected", "doubled", "out_of_order", "changed")


@dataclass(slots=True)
class TopicReport:
    """One topic: how many events the log has for it, and how many of the records are wrong, and how."""

    topic: str
    events: int = 0
    missing: int = 0
    unexpected: int = 0
    doubled: int = 0
    out_of_order: int = 0
    changed: int = 0

    @property
    def ok(self) -> bool:
        return not any(getattr(self, name) for name in FAULTS)


Record = tuple[bytes, bytes, dict[str, bytes | None]]
"""Key, value and headers."""


@dataclass(slots=True)
class _Topic:
    """What a topic must hold: records by the position of their event in the log."""

    report: TopicReport
    expected: dict[int, Record] = field(default_factory=dict)

    def check(self, found: Iterable[tuple[int, Record]]) -> TopicReport:
        """Compares with what was found, partition by partition in order."""
        seen: set[int] = set()
        last: dict[bytes, int] = {}
        for position, record in found:
            if position in seen:
                self.report.doubled += 1
                continue
            seen.add(position)
            if position not in self.expected:
                self.report.unexpected += 1
                continue
            self.report.changed += record != self.expected[position]
            self.report.out_of_order += position < last.get(record[0], 0)
            last[record[0]] = position
        self.report.events = len(self.expected)
        self.report.missing = len(self.expected.keys() - seen)
        return self.report


async def inspect(bootstrap: str, services: Iterable[Installed]) -> list[TopicReport]:
    """Compares all topics of services with their logs as these are now; waits for the relays to get there.

    Raises TimeoutError after two minutes.
    """
    async with asyncio.timeout(READ_SECONDS):
        return [report for service in services for report in await _inspect(bootstrap, service)]


async def _inspect(bootstrap: str, service: Installed) -> list[TopicReport]:
    async with service.log() as log:
        horizon = await Watermark(log.pool).measure()
        topics = await _expected(log, service, horizon)
    copy = log_topic(service.name).name
    await _until_published(bootstrap, service.name, max(topics[copy].expected, default=0))
    reports = []
    for name, topic in topics.items():
        found = [(stored.decode(r).position if name == copy else _position(r), r) for r in await _read(bootstrap, name)]
        if name == copy:  # one partition, so it keeps the order of the whole log
            topic.report.out_of_order += sum(before > after for (before, _), (after, _) in pairwise(found))
        reports.append(topic.check((at, (r.key, r.value, dict(r.headers))) for at, r in found if at <= horizon))
    return reports


async def _expected(log: EventLog, service: Installed, horizon: int) -> dict[str, _Topic]:
    """The topics of a service as its log up to `horizon` has them."""
    copy = log_topic(service.name).name
    topics = {name: _Topic(TopicReport(name)) for name in (*service.topics, copy)}
    log_id: UUID = await log.identity()
    position = 0
    while events := await log.read(position, horizon, AT_ONCE):
        for event in events:
            key, value, headers = stored.encode(event, log_id)
            topics[copy].expected[event.position] = (key, value, dict(headers))
            if (publication := service.publish(event)) is not None:
                key, value, headers = cloudevents.encode(publication.message, event, service.name, log_id)
                topics[publication.topic].expected[event.position] = (key, value, dict(headers))
        position = events[-1].position
    return topics


async def _until_published(bootstrap: str, service: str, position: int) -> None:
    topic = progress_topic(service).name
    while True:
        progress = await read_progress(bootstrap, topic)
        if progress is not None and progress.position >= position:
            return
        await asyncio.sleep(0.3)


def _position(record: ConsumerRecord[bytes, bytes]) -> int:
    return int(dict(record.headers)["annalsposition"])


async def _read(bootstrap: str, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """All committed records, those of each partition in order."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord[bytes, bytes]] = []
        while [partition for partition in partitions if await consumer.position(partition) < ends[partition]]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found
    finally:
        await closed(consumer)

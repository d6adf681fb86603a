"""Is Kafka, read committed, what the log says? Every event exactly once, unchanged, in order.

The relay publishes in the log's order, so each partition holds a part of the log with ascending positions. Log and
partitions are read side by side and merged; only what does not fit is kept in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from eventlog import EventLog, RecordedEvent, Watermark
from messaging import cloudevents, stored
from messaging.connection import Kafka
from messaging.errors import AuditAborted, Malformed
from messaging.producer import partition_of
from messaging.progress import read_progress
from messaging.reading import OnProgress, Reading, Step, reading
from messaging.relay import Publication
from messaging.topics import log_topic, progress_topic

FAULTS = ("missing", "unexpected", "doubled", "out_of_order", "changed")
NAMED = 10
AT_ONCE = 2_000
MOST_FAULTS = 1_000_000  # bounds the memory
PATIENCE_SECONDS = 60.0
CHANGING = frozenset({"annalslog", "traceparent"})
"""Headers that may differ: a recovered log has a new id, and a trace names the span that published."""

Publish = Callable[[RecordedEvent], Publication | None]


@dataclass(slots=True)
class TopicReport:
    """One topic: how many events the log has for it, how many of its records are wrong, and how; the first by name."""

    topic: str
    events: int = 0
    missing: int = 0
    unexpected: int = 0
    doubled: int = 0
    out_of_order: int = 0
    changed: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not any(getattr(self, name) for name in FAULTS)

    def note(self, fault: str, where: str) -> None:
        """Counts a fault."""
        setattr(self, fault, getattr(self, fault) + 1)
        if len(self.examples) < NAMED:
            self.examples.append(f"{fault.replace('_', ' ')}: {where}")


Contents = tuple[bytes | None, bytes | None, frozenset[tuple[str, bytes | None]]]
"""Key, value and the headers that never change."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it was found; its position is None when it names none."""

    position: int | None
    contents: Contents
    where: str


class Partition:
    """Holds what a partition has against what the log says it should have, both in order."""

    def __init__(self, report: TopicReport, found: AsyncIterator[Found]) -> None:
        self._report = report
        self._found = found
        self._head: Found | None = None
        self._missing: dict[int, int] = {}  # hashes of what was expected there
        self._strange: list[Found] = []

    async def expect(self, position: int, contents: Contents) -> None:
        """The log says that this record comes next."""
        self._report.events += 1
        while (head := await self._peek()) is not None and (head.position is None or head.position < position):
            self._misplaced(head)
            self._head = None
        if head is None or head.position != position:
            self._missing[position] = hash(contents)  # unless it comes later
            self._limit()
            return
        self._compare(head, hash(contents))
        self._head = None

    async def finish(self, horizon: int, expected: Callable[[int], Awaitable[bool]]) -> None:
        """The log says nothing more up to `horizon`; `expected` tells whether it had a record for a position."""
        while (head := await self._peek()) is not None:
            if head.position is None or head.position <= horizon:
                self._misplaced(head)
            self._head = None
        for position in self._missing:
            self._report.note("missing", f"position {position}")
        for strange in self._strange:
            known = strange.position is not None and await expected(strange.position)
            self._report.note("doubled" if known else "unexpected", strange.where)

    def _misplaced(self, found: Found) -> None:
        """A record that does not stand where it should: it is late, a repetition, or not of this log."""
        if found.position is not None and found.position in self._missing:
            self._report.note("out_of_order", found.where)
            self._compare(found, self._missing.pop(found.position))
        else:
            self._strange.append(found)
            self._limit()

    def _compare(self, found: Found, expected: int) -> None:
        if hash(found.contents) != expected:
            self._report.note("changed", found.where)

    def _limit(self) -> None:
        if len(self._missing) + len(self._strange) > MOST_FAULTS:
            raise AuditAborted(f"topic {self._report.topic}: more than {MOST_FAULTS:,} records differ from the log")

    async def _peek(self) -> Found | None:
        if self._head is None:
            self._head = await anext(self._found, None)
        return self._head


class _Service:
    """What the topics of a service should hold, told by its log."""

    def __init__(
        self, log: EventLog, log_id: UUID, service: str, publish: Publish, counts: Mapping[str, int], copy: str
    ) -> None:
        self._log, self._log_id, self._service, self._publish = log, log_id, service, publish
        self._counts, self._copy = counts, copy

    def records(self, event: RecordedEvent) -> Iterator[tuple[TopicPartition, Contents]]:
        """Yields where an event is published, and as what; topics that others write to as well are left out."""
        key, value, headers = stored.encode(event, self._log_id)
        yield TopicPartition(self._copy, 0), _contents(key, value, headers)
        if (publication := self._publish(event)) is not None and publication.topic in self._counts:
            key, value, headers = cloudevents.encode(publication.message, event, self._service, self._log_id)
            number = partition_of(key, self._counts[publication.topic])
            yield TopicPartition(publication.topic, number), _contents(key, value, headers)

    def expects(self, partition: TopicPartition) -> Callable[[int], Awaitable[bool]]:
        async def expects(position: int) -> bool:
            events = await self._log.read(position - 1, position, 1)
            return any(place == partition for event in events for place, _ in self.records(event))

        return expects


async def audit(
    log: EventLog,
    watermark: Watermark,
    kafka: Kafka,
    service: str,
    publish: Publish,
    publishes: Sequence[str],
    *,
    on_progress: OnProgress = lambda step: None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> list[TopicReport]:
    """Compares the topics that `service` publishes to, and the copy of its log, with the log as it is now.

    Waits at most so long for the relay to get there; what it has not published then is missing. Raises AuditAborted
    when nearly nothing fits.
    """
    horizon = await watermark.measure()
    await _until_published(log, kafka, service, horizon, patience_seconds)
    copy = log_topic(service).name
    names = [*publishes, copy]
    async with reading(kafka, names) as reader:
        counts = {name: sum(partition.topic == name for partition in reader.extents) for name in names}
        expected = _Service(log, await log.identity(), service, publish, {n: c or 1 for n, c in counts.items()}, copy)
        reports = {name: TopicReport(name) for name in names}
        partitions = {
            place: Partition(reports[place.topic], _found(reader, place, copy))
            for place in (TopicPartition(name, number) for name in names for number in range(counts[name] or 1))
        }
        position = 0
        while events := await log.read(position, horizon, AT_ONCE):
            for event in events:
                for place, contents in expected.records(event):
                    await partitions[place].expect(event.position, contents)
            position = events[-1].position
            on_progress(Step("events", position, horizon))
        for place, partition in partitions.items():
            await partition.finish(horizon, expected.expects(place))
    return list(reports.values())


async def _until_published(log: EventLog, kafka: Kafka, service: str, horizon: int, patience_seconds: float) -> None:
    last = await log.pool.fetchval("SELECT max(position) FROM events WHERE position <= $1", horizon)
    deadline = asyncio.get_running_loop().time() + patience_seconds
    async with reading(kafka, [progress_topic(service).name]) as reader:
        exists = bool(reader.extents)
    while exists and last is not None and asyncio.get_running_loop().time() < deadline:
        progress = await read_progress(kafka, progress_topic(service).name)
        if progress is not None and progress.position >= last:
            return
        await asyncio.sleep(0.3)


async def _found(reader: Reading, partition: TopicPartition, copy: str) -> AsyncIterator[Found]:
    if partition not in reader.extents:
        return
    async for records in reader.records(partition):
        for record in records:
            position = _copied_position(record) if partition.topic == copy else _position(record)
            where = f"{record.topic}[{record.partition}]@{record.offset}"
            yield Found(position, _contents(record.key, record.value, record.headers), where)


def _contents(key: bytes | None, value: bytes | None, headers: cloudevents.Headers) -> Contents:
    return key, value, frozenset(header for header in headers if header[0] not in CHANGING)


def _position(record: ConsumerRecord[bytes, bytes]) -> int | None:
    text = dict(record.headers).get("annalsposition") or b""
    return int(text) if text.isdigit() else None


def _copied_position(record: ConsumerRecord[bytes, bytes]) -> int | None:
    try:
        return stored.decode(record).position
    except Malformed:
        return None

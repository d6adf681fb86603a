"""Follow a topic record by record, as it is: whatever its type, whoever wrote it; committed records only."""

from __future__ import annotations

import asyncio
import heapq
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic as clock
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from annals.errors import UnknownName
from contracts import message_types
from messaging import Malformed, stored
from messaging.connection import Kafka, closed, options, started
from messaging.records import tolerate_header_names

POLL_MILLISECONDS = 250
AT_ONCE = 500
QUIET_SECONDS = 5.0
ANSWER_SECONDS = 10.0

Start = Literal["beginning", "latest"] | datetime | int
"""A time is that of publishing, a number a position in the publisher's log."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record as people read it."""

    time: datetime
    """When it happened; when it was published if the record does not say."""
    key: str
    type: str
    """Empty for records that are no messages."""
    body: str
    record: ConsumerRecord[bytes, bytes]

    def to_json(self) -> str:
        """One line of JSON; the value stands in it byte for byte if it is JSON."""
        headers = {name: None if value is None else _text(value) for name, value in self.record.headers}
        published = datetime.fromtimestamp(self.record.timestamp / 1000, UTC).isoformat()
        place = {"topic": self.record.topic, "partition": self.record.partition, "offset": self.record.offset}
        named = json.dumps({**place, "published": published, "key": self.key, "headers": headers}, ensure_ascii=False)
        return f'{named[:-1]}, "value": {_as_json(self.record.value)}}}'


def parse_start(text: str) -> Start:
    """`beginning`, `latest`, an RFC 3339 time or a position. Raises UnknownName for anything else."""
    ends: dict[str, Start] = {"beginning": "beginning", "latest": "latest"}
    if text in ends:
        return ends[text]
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UnknownName(
            f"--from {text!r}: expected beginning, latest, a time such as 2026-01-31T12:00:00Z, or a position"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def full_types(topic: str, names: list[str]) -> set[str]:
    """The message types of a topic that `names` mean: `RewardPaid`, `RewardPaid.v1`, or the whole type.

    Raises UnknownName when the topic's messages are known and none is meant.
    """
    known = [cls.type for cls in message_types().values() if cls.topic == topic]
    found = {ce_type for ce_type in known for name in names if _means(name, ce_type)}
    if known and (strangers := [name for name in names if not any(_means(name, ce_type) for ce_type in known)]):
        short = [ce_type.removeprefix(f"{topic}.") for ce_type in known]
        raise UnknownName.among(f"topic {topic} has no message", strangers[0], short)
    return found if known else set(names)


def _means(name: str, ce_type: str) -> bool:
    return ce_type == name or ce_type.endswith(f".{name}") or ce_type.rpartition(".")[0].endswith(f".{name}")


async def follow(kafka: Kafka, topic: str, start: Start, *, endless: bool) -> AsyncGenerator[Line]:
    """The records of a topic from `start` on; without `endless` up to its present end.

    Partitions are woven together by time, each in its own order. Raises UnknownName when the topic is not there,
    KafkaError or TimeoutError when Kafka is away, also later on: silence would look like peace.
    """
    consumer = AIOKafkaConsumer(
        **options(kafka), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await started(consumer.start())
        cluster = await consumer._client.fetch_all_metadata()  # a consumer asks only for what it is subscribed to
        if not (numbers := cluster.partitions_for_topic(topic)):
            names = sorted(name for name in cluster.topics(exclude_internal_topics=True) if not name.startswith("__"))
            raise UnknownName.among("no topic", topic, names)
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, offset in (await _offsets(consumer, partitions, start, ends)).items():
            consumer.seek(partition, offset)
        quiet_since = clock()
        while endless or not await _all_read(consumer, ends):
            records = await _poll(consumer)
            for record in records:
                if endless or record.offset < ends[TopicPartition(topic, record.partition)]:
                    yield line(record)
            if records:
                quiet_since = clock()
            elif clock() - quiet_since > QUIET_SECONDS:  # nothing new, or nobody there to tell?
                await asyncio.wait_for(consumer.end_offsets(partitions), ANSWER_SECONDS)
                quiet_since = clock()
    finally:
        await closed(consumer)


def line(record: ConsumerRecord[bytes, bytes]) -> Line:
    """A record in words. Messages name their type in a header, copies of a log in their body."""
    headers = dict(record.headers)
    published = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    key = _text(record.key)
    if "ce_type" in headers:
        ce_type = _text(headers["ce_type"]).removeprefix(f"{record.topic}.")
        return Line(_time(headers.get("ce_time")) or published, key, ce_type, _text(record.value), record)
    if "annalslog" in headers and record.topic.endswith(".log"):
        try:
            event = stored.decode(record)
        except Malformed:
            return Line(published, key, "", _text(record.value), record)
        return Line(event.occurred_at, key, event.type, event.data, record)
    return Line(published, key, "", _text(record.value), record)


async def _offsets(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], start: Start, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Where to begin in each partition."""
    beginnings: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    match start:
        case "beginning":
            return beginnings
        case "latest":
            return dict(ends)
        case datetime():
            milliseconds = max(0, int(start.timestamp() * 1000))
            at = await consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
            return {p: at[p].offset if at.get(p) is not None else ends[p] for p in partitions}
        case int():
            return {p: await _find(consumer, p, start, beginnings[p], ends[p]) for p in partitions}


async def _find(consumer: AIOKafkaConsumer, partition: TopicPartition, position: int, low: int, high: int) -> int:
    """The offset of the first record whose event stands at `position` or behind it; positions only grow."""
    while low < high:
        middle = (low + high) // 2
        record = await _first(consumer, partition, middle, high)
        if record is None or _position(record) >= position:
            high = middle
        else:
            low = record.offset + 1
    return high


async def _first(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int, end: int
) -> ConsumerRecord[bytes, bytes] | None:
    """The first committed record between two offsets."""
    consumer.seek(partition, offset)
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=POLL_MILLISECONDS, max_records=1)).get(
            partition, ()
        ):
            return record if record.offset < end else None
    return None


def _position(record: ConsumerRecord[bytes, bytes]) -> int:
    headers = dict(record.headers)
    if (position := headers.get("annalsposition")) is not None:
        return int(position)
    try:
        return stored.decode(record).position
    except Malformed:
        raise UnknownName(f"topic {record.topic} has no positions of a log; expected a time or an end") from None


async def _poll(consumer: AIOKafkaConsumer) -> list[ConsumerRecord[bytes, bytes]]:
    try:
        polled = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=AT_ONCE)
    except UnicodeDecodeError:
        tolerate_header_names()  # aiokafka has moved nothing on
        return []
    return list(heapq.merge(*polled.values(), key=lambda record: record.timestamp))


async def _all_read(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        stable = consumer.last_stable_offset(partition)  # nobody reads past it: there a transaction is still open
        limit = end if stable is None or stable < 0 else min(stable, end)
        if await consumer.position(partition) < limit:
            return False
    return True


def _time(header: bytes | None) -> datetime | None:
    try:
        return None if header is None else datetime.fromisoformat(header.decode())
    except ValueError:
        return None


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="backslashreplace")


def _as_json(value: bytes | None) -> str:
    if value is None:
        return "null"
    text = _text(value)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    return text if "\n" not in text else json.dumps(parsed, ensure_ascii=False)

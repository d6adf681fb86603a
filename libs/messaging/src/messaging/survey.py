"""What Kafka holds, for people and their tools: every topic with its size, and how far groups are behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiokafka.errors as kafka_errors
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from messaging.connection import Kafka, closed, options, started
from messaging.reading import committed_reader

FETCH_MILLISECONDS = 200
PEEK_BYTES = 65_536  # of each partition: only the first record is looked at


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a reader has not read yet."""

    records: int
    """Offsets between the first unread record and the end: at most so many records, for offsets have holes."""
    since: datetime | None
    """When the first of them was published; None when there is none."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as its brokers describe it."""

    name: str
    partitions: int
    replication: int
    in_sync: int
    """Replicas in sync of the partition that has the fewest."""
    cleanup: str
    """`delete` (after the retention), `compact`, or both."""
    retention_ms: int | None
    """None: kept for ever."""
    records: int
    """Offsets between beginning and end: at most so many records, for transactions leave marks and compaction holes."""
    bytes: int | None
    """On disk, over all replicas; None when the brokers do not tell us."""
    groups: dict[str, Waiting]
    """What each consumer group has not read, by the offsets that it committed to Kafka."""


async def survey(kafka: Kafka, names: Collection[str] | None = None) -> list[TopicState]:
    """Returns the state of the topics, of all but Kafka's own without `names`, sorted by name.

    Topics that do not exist are left out. Raises KafkaError.
    """
    async with _admin(kafka) as admin:
        described = {
            topic["topic"]: topic["partitions"]
            for topic in await admin.describe_topics()
            if not topic["is_internal"] and (names is None or topic["topic"] in names)
        }
        if not described:
            return []
        configs, sizes, committed = await asyncio.gather(_configs(admin, described), _sizes(admin), _committed(admin))
    partitions = [TopicPartition(name, p["partition"]) for name, found in described.items() for p in found]
    counts, groups = await asyncio.gather(_counts(kafka, partitions), _groups(kafka, committed, described))
    return [
        TopicState(
            name=name,
            partitions=len(found),
            replication=max(len(p["replicas"]) for p in found),
            in_sync=min(len(p["isr"]) for p in found),
            cleanup=configs[name]["cleanup.policy"],
            retention_ms=None if configs[name]["retention.ms"] == "-1" else int(configs[name]["retention.ms"]),
            records=sum(counts[TopicPartition(name, p["partition"])] for p in found),
            bytes=None if sizes is None else sizes.get(name, 0),
            groups=groups.get(name, {}),
        )
        for name, found in sorted(described.items())
    ]


async def waiting(kafka: Kafka, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Waiting]:
    """Returns what a reader that goes on at `offsets` has not read of each partition, and since when.

    Each partition is read up to its first committed record: whether there is one cannot be seen from offsets, because
    every transaction ends with a mark that has an offset of its own. Partitions that do not exist are left out.
    """
    result: dict[TopicPartition, Waiting] = {}
    async with committed_reader(kafka, PEEK_BYTES) as consumer:
        cluster = await consumer._client.fetch_all_metadata()  # a consumer asks only for what it is subscribed to
        existing = [p for p in offsets if p.partition in (cluster.partitions_for_topic(p.topic) or ())]
        beginnings, ends = await _bounds(consumer, existing)
        pending = {partition for partition in existing if offsets[partition] < ends[partition]}
        result |= {partition: Waiting(0, None) for partition in existing if partition not in pending}
        consumer.assign(sorted(pending))
        for partition in pending:
            consumer.seek(partition, max(offsets[partition], beginnings[partition]))
        while pending:
            for partition, records in (await consumer.getmany(*pending, timeout_ms=FETCH_MILLISECONDS)).items():
                first = records[0]
                since = datetime.fromtimestamp(first.timestamp / 1000, UTC)
                result[partition] = Waiting(ends[partition] - first.offset, since)
            read = {partition for partition in pending if await _at_end(consumer, partition, ends[partition])}
            result |= {partition: Waiting(0, None) for partition in read - result.keys()}
            pending -= result.keys()
    return result


def total(parts: Collection[Waiting]) -> Waiting:
    """Returns what waits in several partitions together."""
    since = [part.since for part in parts if part.since is not None]
    return Waiting(sum(part.records for part in parts), min(since, default=None))


async def _at_end(consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> bool:
    stable = consumer.last_stable_offset(partition)  # nobody reads past it: there a transaction is still open
    return bool(stable is not None and await consumer.position(partition) >= min(stable, end))


async def _configs(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    resources = [resource for response in responses for resource in response.resources]
    return {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in resources}


async def _counts(kafka: Kafka, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    async with committed_reader(kafka, PEEK_BYTES) as consumer:
        beginnings, ends = await _bounds(consumer, partitions)
        return {partition: ends[partition] - beginnings[partition] for partition in partitions}


async def _bounds(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    if not partitions:
        return {}, {}
    return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)


async def _committed(admin: AIOKafkaAdminClient) -> dict[str, dict[TopicPartition, int]]:
    """Offsets by group."""
    names = [group for group, _ in await admin.list_consumer_groups()]
    found = await asyncio.gather(*(admin.list_consumer_group_offsets(name) for name in names))
    return {
        name: {partition: stored.offset for partition, stored in offsets.items() if stored.offset >= 0}
        for name, offsets in zip(names, found, strict=True)
    }


async def _groups(
    kafka: Kafka, committed: Mapping[str, Mapping[TopicPartition, int]], topics: Collection[str]
) -> dict[str, dict[str, Waiting]]:
    """What each group has not read, by topic."""
    result: dict[str, dict[str, Waiting]] = {}
    for group, offsets in sorted(committed.items()):
        found = await waiting(kafka, {p: offset for p, offset in offsets.items() if p.topic in topics})
        for topic in sorted({partition.topic for partition in found}):
            parts = [part for partition, part in found.items() if partition.topic == topic]
            result.setdefault(topic, {})[group] = total(parts)
    return result


async def _sizes(admin: AIOKafkaAdminClient) -> dict[str, int] | None:
    """Bytes on disk by topic, over all replicas; None when a broker does not answer that."""
    sizes: dict[str, int] = {}
    brokers = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
    try:
        responses = [await admin._client.send(broker, _LogDirs()) for broker in brokers]
    except (kafka_errors.IncompatibleBrokerVersion, NotImplementedError):
        return None
    for error_code, _, topics in (log_dir for response in responses for log_dir in response.results):
        if error_code:  # such as: not authorised
            return None
        for name, partitions in topics:
            sizes[name] = sizes.get(name, 0) + sum(size for _, size, _, _ in partitions)
    return sizes


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**options(kafka))
    try:
        await started(admin.start())
        yield admin
    finally:
        await closed(admin)


class _LogDirsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    """DescribeLogDirs v1 of the Kafka protocol, which aiokafka does not speak."""

    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _LogDirsRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _LogDirsResponse
    SCHEMA = Schema(("topics", Array(("name", String("utf-8")), ("partitions", Array(Int32)))))


class _LogDirs(Request[_LogDirsRequest]):  # type: ignore[misc]
    """Asks for all topics of a broker."""

    API_KEY = 35

    def build(self, request_struct_class: type[_LogDirsRequest]) -> Any:
        return request_struct_class(None)

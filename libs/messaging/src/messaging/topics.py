"""Topics with a fixed number of partitions and settings, created once and verified ever after.

Changing the number of partitions breaks the order by key, so an existing topic that differs is an error, never
altered: the way is a new topic and a cut-over.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from uuid import UUID

import aiokafka.errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from messaging.connection import Kafka, closed, options, started
from messaging.errors import TopicMismatch

# The largest value of a public message, and the larger limit of a topic: records are wrapped into batches with keys
# and headers, and the verbatim copy wraps an event into a whole row.
MAX_VALUE_BYTES = 1_048_576
MAX_BATCH_BYTES = 2_097_152
TIMEOUT_SECONDS = 30
COMMANDS_KEPT_DAYS = 30
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must be. `replication` -1 leaves it to the broker (production sets 3 there, with two in sync)."""

    name: str
    partitions: int = 4
    config: Mapping[str, str] = field(default_factory=dict)
    replication: int = -1

    def settings(self) -> dict[str, str]:
        """Returns the topic settings in force: those of Annals (kept for ever, 2 MiB a batch) under its own.

        What is asked of a service, on `<service>.commands`, expires: it may say in clear what only its sender could
        have sealed. A segment ends after a day, for Kafka deletes whole segments only.
        """
        expires = self.name.endswith(".commands")
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(COMMANDS_KEPT_DAYS * DAY_MS) if expires else "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(MAX_BATCH_BYTES),
            **({"segment.ms": str(DAY_MS)} if expires else {}),
        } | dict(self.config)


def progress_topic(service: str) -> TopicSpec:
    """Returns the compacted topic of one partition that holds how far the relay of `service` has come."""
    config = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}
    return TopicSpec(f"{service}.relay", partitions=1, config=config)


def log_topic(service: str) -> TopicSpec:
    """Returns the topic of the verbatim copy of a service's log: one partition, so that it keeps the log's order."""
    return TopicSpec(f"{service}.log", partitions=1)


def seals_topic(service: str) -> TopicSpec:
    """Returns the topic of the seals of a service's log: one partition, so that it keeps their order."""
    return TopicSpec(f"{service}.seals", partitions=1)


async def ensure(kafka: Kafka, specs: Iterable[TopicSpec]) -> None:
    """Creates the topics that are missing and verifies the others.

    Raises TopicMismatch naming the topic, the setting, the expected and the found value; TimeoutError when Kafka
    does not answer within half a minute.
    """
    wanted = {spec.name: spec for spec in specs}
    async with asyncio.timeout(TIMEOUT_SECONDS):
        admin = AIOKafkaAdminClient(**options(kafka), request_timeout_ms=TIMEOUT_SECONDS * 1000)
        try:
            await started(admin.start())
            existing = set(await admin.list_topics())
            missing = [spec for spec in wanted.values() if spec.name not in existing]
            await _create(admin, missing)
            await _verify(admin, list(wanted.values()))
        finally:
            await closed(admin)


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    if not specs:
        return
    new = [
        # An empty assignment lets aiokafka pass -1, the broker's own replication factor.
        NewTopic(s.name, s.partitions, s.replication, {} if s.replication == -1 else None, s.settings())
        for s in specs
    ]
    response = await admin.create_topics(new)
    for topic, code, *message in response.topic_errors:
        error = kafka_errors.for_code(code)
        if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
            raise error(f"topic {topic}: could not be created: {message[0] if message else error.__name__}")


async def _verify(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    partitions = await _partitions(admin, [spec.name for spec in specs])
    configs = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, s.name) for s in specs])
    found = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in configs
        for resource in response.resources
    }
    for spec in specs:
        if partitions[spec.name] != spec.partitions:
            raise TopicMismatch(
                f"topic {spec.name}: expected {spec.partitions} partitions, found {partitions[spec.name]}; "
                "changing the number breaks the order by key: publish to a new topic and cut over"
            )
        for name, value in spec.settings().items():
            if found[spec.name].get(name) != value:
                raise TopicMismatch(f"topic {spec.name}: expected {name}={value}, found {found[spec.name].get(name)}")


async def _partitions(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Returns the number of partitions of each topic; waits until a topic just created has leaders everywhere."""
    while True:
        described = await admin.describe_topics(list(names))
        ready = {
            topic["topic"]: len(topic["partitions"])
            for topic in described
            if topic["error_code"] == 0 and all(p["error_code"] == 0 for p in topic["partitions"])
        }
        if ready.keys() == set(names):
            return ready
        await asyncio.sleep(0.1)


async def topic_ids(client: AIOKafkaClient, names: Iterable[str]) -> dict[str, UUID]:
    """Returns the id of each topic that exists. An id is never given twice: a re-created topic has another one.

    Any broker will do. Raises KafkaError when none answers.
    """
    error = kafka_errors.NodeNotReadyError("no Kafka broker is known")
    brokers = [broker.nodeId for broker in client.cluster.brokers()]
    for broker in random.sample(brokers, len(brokers)):
        try:
            response = await client.send(broker, _TopicIds(sorted(names)))
        except kafka_errors.KafkaError as failed:  # this one is away
            error = failed
        else:
            return {topic[1]: topic[2] for topic in response.topics if topic[0] == 0}
    raise error


class _Uuid(AbstractType[UUID]):  # type: ignore[misc]  # aiokafka has no types
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]
    """Metadata v12 of the Kafka protocol, the first with topic ids by name; aiokafka itself speaks v0-v5."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIds(Request[_MetadataRequest]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class([(UUID(int=0), name, {}) for name in self._names], False, False, {})

"""A readiness check of Kafka: asks a broker for metadata over a connection of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from service import metrics
from service.health import Check
from service.settings import ServiceSettings

Partitions = Mapping[str, Collection[Mapping[str, Any]]]
"""What a broker says of the partitions of each topic: their leader, replicas, and those in sync (isr)."""


def kafka_check(settings: ServiceSettings, topics: Iterable[str] = ()) -> Check:
    """Fails unless a broker answers with metadata and every one of `topics` exists with a leader for each partition."""
    wanted = sorted(topics)

    async def probe() -> str:
        admin = AIOKafkaAdminClient(request_timeout_ms=2000, **settings.kafka_options())
        try:
            await admin.start()
            brokers = len((await admin.describe_cluster())["brokers"])
            described = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
        finally:
            await admin.close()
        found = {topic: described[topic] for topic in wanted if described.get(topic)}
        _measure(brokers, found)
        if missing := [topic for topic in wanted if topic not in found]:
            raise RuntimeError(f"topics missing: {', '.join(missing)}")
        if leaderless := [topic for topic, partitions in found.items() if not all(map(_has_leader, partitions))]:
            raise RuntimeError(f"topics without a leader: {', '.join(leaderless)}")
        return f"{brokers} brokers"

    return Check("kafka", probe)


def _measure(brokers: int, found: Partitions) -> None:
    partitions = [partition for each in found.values() for partition in each]
    metrics.KAFKA_BROKERS.set(brokers)
    metrics.KAFKA_PARTITIONS.labels("all").set(len(partitions))
    metrics.KAFKA_PARTITIONS.labels("leaderless").set(sum(not _has_leader(partition) for partition in partitions))
    metrics.KAFKA_PARTITIONS.labels("under-replicated").set(
        sum(len(partition["isr"]) < len(partition["replicas"]) for partition in partitions)
    )


def _has_leader(partition: Mapping[str, Any]) -> bool:
    return int(partition["leader"]) >= 0

"""A readiness check of Kafka: asks a broker for metadata over a connection of its own."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.client import AIOKafkaClient

from service.health import Check
from service.settings import ServiceSettings


def kafka_check(settings: ServiceSettings, topics: Iterable[str] = ()) -> Check:
    """Fails unless a broker answers with metadata and every one of `topics` exists with a leader for each partition."""
    wanted = sorted(topics)

    async def probe() -> str:
        client = AIOKafkaClient(request_timeout_ms=2000, **settings.kafka_options())
        try:
            await client.bootstrap()
            cluster = await client.fetch_all_metadata()
        finally:
            await client.close()
        if missing := [topic for topic in wanted if not cluster.partitions_for_topic(topic)]:
            raise RuntimeError(f"topics missing: {', '.join(missing)}")
        if leaderless := [topic for topic in wanted if _lacks_leader(cluster, topic)]:
            raise RuntimeError(f"topics without a leader: {', '.join(leaderless)}")
        return f"{len(cluster.brokers())} brokers"

    return Check("kafka", probe)


def _lacks_leader(cluster: object, topic: str) -> bool:
    partitions: set[int] = cluster.partitions_for_topic(topic)  # type: ignore[attr-defined]  # aiokafka is untyped
    available: set[int] | None = cluster.available_partitions_for_topic(topic)  # type: ignore[attr-defined]  # as above
    return partitions != available

"""Whether a group has taken in all that was published until now: the proof that something has *not* been told."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
from aiokafka import TopicPartition

from messaging import parking
from messaging.connection import Kafka
from messaging.reading import reading
from messaging.survey import waiting

_STORED = "SELECT topic, partition, next_offset FROM offsets WHERE consumer_group = $1 AND topic = ANY ($2)"


async def taken_in(pool: asyncpg.Pool, kafka: Kafka, group: str, topics: Collection[str]) -> bool:
    """Whether what the topics hold as it is called has been handled by the group, or put aside.

    What is put aside has not taken effect: ask `parking.blocked` for the keys that matter.
    """
    async with reading(kafka, topics) as reader:
        partitions = list(reader.extents)
    if {partition.topic for partition in partitions} != set(topics):
        return False  # a topic that is not there yet may be late, and not empty
    rows = await pool.fetch(_STORED, group, list(topics))
    stored = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    behind = await waiting(kafka, {partition: stored.get(partition, 0) for partition in partitions})
    return not any(part.records for part in behind.values())


async def put_aside(pool: asyncpg.Pool, group: str, topic: str, keys: Collection[str]) -> set[str]:
    """Those of the keys of a topic whose messages wait for a person, or for what they need."""
    async with pool.acquire() as connection:
        blocked = await parking.blocked(connection, group, {(topic, key.encode()) for key in keys})
    return {key.decode() for _, key in blocked}

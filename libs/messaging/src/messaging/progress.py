"""How far a relay has come, kept where it publishes: in the compacted one-partition topic `<service>.relay`.

The position is written in the same Kafka transaction as the records it stands for, so neither can be there without
the other. PostgreSQL takes no part in it.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from messaging.connection import Kafka
from messaging.reading import committed_reader

READ_BACK = 16
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything up to `position` of the log `log_id` is published; its last event is `event_id` at that position.

    The event's id tells a log that was restored and has since grown past this position from the one that was relayed.
    """

    log_id: UUID
    position: int
    event_id: UUID

    def encode(self) -> bytes:
        return json.dumps({"log": str(self.log_id), "position": self.position, "event_id": str(self.event_id)}).encode()

    @classmethod
    def decode(cls, value: bytes) -> Progress:
        fields = json.loads(value)
        return cls(UUID(fields["log"]), int(fields["position"]), UUID(fields["event_id"]))


async def read_progress(kafka: Kafka, topic: str) -> Progress | None:
    """Returns the last committed progress, None when the relay never published."""
    last = await read_last(kafka, topic)
    return Progress.decode(last.value) if last is not None else None


async def read_last(kafka: Kafka, topic: str) -> ConsumerRecord[bytes, bytes] | None:
    """Returns the last committed record of a topic of one partition, None when there is none.

    To be called after the transactional id was initialised: only then is no transaction of a predecessor open, and
    what is committed is the whole truth. Reads backwards in growing steps, because the last offsets of a partition
    are transaction markers and aborted records: reading just `end - 1` finds nothing.
    """
    partition = TopicPartition(topic, 0)
    async with asyncio.timeout(TIMEOUT_SECONDS), committed_reader(kafka) as consumer:
        consumer.assign([partition])
        beginning = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        back = READ_BACK
        while end > beginning:
            start = max(beginning, end - back)
            if (last := await _last_between(consumer, partition, start, end)) is not None:
                return last
            if start == beginning:
                break
            back *= 8
        return None


async def _last_between(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> ConsumerRecord[bytes, bytes] | None:
    consumer.seek(partition, start)
    last: ConsumerRecord[bytes, bytes] | None = None
    while await consumer.position(partition) < end:
        for records in (await consumer.getmany(partition, timeout_ms=200)).values():
            last = records[-1]
    return last

"""A database restored to an earlier state has an older head log; what was published since is read back from its topic.

Readers of `chain.head` have what the topic has, so the log becomes that again, entry by entry, with positions and ids.
What the restored service told on its own meanwhile was never published and gives way. The follower then finds that the
log has moved, reads the window, and goes on: a branch that the chain has left meanwhile is taken back as ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from chain.head.log import Entry, HeadLog, Published
from contracts.head import BlockAdded, BlockRetracted
from messaging import LogBehindTopics, cloudevents
from messaging.connection import Kafka
from messaging.reading import Reading, reading
from service import get_logger

READ_BACK = 64
"""Records; eight times as many at each further look for the last entry that log and topic share."""
log = get_logger("chain.head")


async def read_back(head: HeadLog, kafka: Kafka, topic: str) -> None:
    """Makes the head log what was published of it. Raises LogBehindTopics when the topic has none of that any more.

    To be called by whoever holds the transactional id of the topic's relay: nothing is published meanwhile.
    """
    async with reading(kafka, [topic]) as source:
        partition = TopicPartition(topic, 0)
        if (start := await _shared(head, source, partition)) is None:
            raise LogBehindTopics(
                f"head log: expected what was published last in topic {topic}, found nothing there: it has expired; "
                f"empty the table head_entries and delete the topics {topic} and {topic}.relay"
            )
        last = 0

        async def published() -> AsyncIterator[list[Published]]:
            nonlocal last
            async for records in source.records(partition, start):
                yield (entries := [_published(record) for record in records])
                last = entries[-1].position

        await head.put_back(published())
        log.warning("the head log was behind its topic and is read back from there", upto=last, topic=topic)


async def _shared(head: HeadLog, source: Reading, partition: TopicPartition) -> int | None:
    """The offset of a record from which on all is to be put back; None when the topic is empty."""
    if (extent := source.extents.get(partition)) is None:
        return None
    back = READ_BACK
    while True:
        start = max(extent.beginning, extent.end - back)
        first = await _first(source, partition, start)
        known = first is not None and await head.event_id_at(first.position) == first.event_id
        if known or start == extent.beginning:
            return start if first is not None else None
        back *= 8


async def _first(source: Reading, partition: TopicPartition, start: int) -> Published | None:
    async with aclosing(source.records(partition, start)) as batches:
        async for records in batches:
            return _published(records[0])
    return None


def _published(record: ConsumerRecord[bytes, bytes]) -> Published:
    received = cloudevents.decode(record)
    message, position, occurred_at = received.message, received.position, received.time
    if not isinstance(message, BlockAdded | BlockRetracted) or position is None or occurred_at is None:
        raise TypeError(f"{record.topic}@{record.offset}: expected an entry of the head log, got {message.type}")
    return Published(position, UUID(received.id), Entry.of(message, occurred_at))

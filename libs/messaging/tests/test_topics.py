"""Topics as their brokers keep them."""

from __future__ import annotations

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata

import messaging
from messaging import Consumer, TopicSpec
from messaging.testing import eventually, headers, note, running
from messaging.topics import topic_ids


async def test_a_broker_that_is_away_is_not_asked_for_topic_ids_when_another_answers(kafka: str, topic: str) -> None:
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        for away in range(90, 99):
            client.cluster._brokers[away] = BrokerMetadata(away, "127.0.0.1", 1, None)
        assert (await topic_ids(client, [topic])).keys() == {topic}
    finally:
        await client.close()


async def test_topics_may_be_compressed_as_their_brokers_or_producers_like(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str
) -> None:
    codecs = ("gzip", "lz4", "snappy", "zstd")
    await messaging.ensure(kafka, [TopicSpec(f"{name}.{codec}", 1, {"compression.type": codec}) for codec in codecs])
    for codec in codecs:
        for number in range(100):
            await producer.send(f"{name}.{codec}", b'{"number":%d}' % number, codec.encode(), headers=headers())

    async def all_handled() -> bool:
        return bool(await tables.fetchval("SELECT count(*) = 400 FROM handled"))

    async with running(Consumer(tables, kafka, name, [f"{name}.{codec}" for codec in codecs], note)):
        await eventually(all_handled)
    assert await tables.fetchval("SELECT count(DISTINCT (key, number)) FROM handled") == 400

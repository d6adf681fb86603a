"""What people see of Kafka: topics, sizes, and who is how far behind."""

from __future__ import annotations

import time

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from eventlog import EventLog, Watermark
from messaging import Relay
from messaging.survey import Waiting, survey, waiting
from messaging.testing import count, eventually, publish_to, read_all, running


async def test_a_topic_shows_its_partitions_records_bytes_and_how_far_groups_are(
    kafka: str, topic: str, name: str, producer: AIOKafkaProducer
) -> None:
    for number in range(10):
        await producer.send_and_wait(topic, b"{}", b"key", partition=number % 2)
    group = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=f"{name}.readers", enable_auto_commit=False)
    await group.start()
    group.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
    await group.commit({TopicPartition(topic, 0): OffsetAndMetadata(3, ""), TopicPartition(topic, 1): 5})
    await group.stop()

    [state] = await survey(kafka, {topic, "nowhere"})
    assert (state.name, state.partitions, state.replication, state.in_sync) == (topic, 4, 1, 1)
    assert (state.cleanup, state.retention_ms, state.records) == ("delete", None, 10)
    assert state.bytes is not None
    assert state.bytes > 10 * len(b"key{}")
    assert {name: waits.records for name, waits in state.groups.items()} == {f"{name}.readers": 2}
    since = state.groups[f"{name}.readers"].since
    assert since is not None
    assert since.timestamp() <= time.time()


async def test_kafkas_own_topics_are_left_out(kafka: str, topic: str) -> None:
    names = [state.name for state in await survey(kafka)]
    assert topic in names
    assert names == sorted(name for name in names if not name.startswith("__"))


@pytest.mark.usefixtures("tables")
async def test_marks_of_transactions_are_nothing_that_waits(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, tables: asyncpg.Pool
) -> None:
    relay = Relay(log, watermark, kafka, name, publish_to(topic))
    async with running(watermark, relay):
        await count(log, "counter/1", 1, 3)
        await eventually(lambda: read_all(kafka, topic))
    last = (await read_all(kafka, topic))[-1]
    partition = TopicPartition(topic, last.partition)

    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka) as consumer:
        end = (await consumer.end_offsets([partition]))[partition]
    assert end > last.offset + 1  # behind the last record stands the mark of its transaction
    assert await waiting(kafka, {partition: last.offset + 1}) == {partition: Waiting(0, None)}
    found = (await waiting(kafka, {partition: last.offset}))[partition]
    assert found.since is not None
    assert found.since.timestamp() == pytest.approx(last.timestamp / 1000)


async def test_a_transaction_under_way_neither_counts_nor_keeps_anybody_waiting(
    kafka: str, topic: str, name: str
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=name) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"{}", partition=0)
        assert await waiting(kafka, {TopicPartition(topic, 0): 0}) == {TopicPartition(topic, 0): Waiting(0, None)}
        await producer.abort_transaction()


async def test_a_partition_that_does_not_exist_is_left_out(kafka: str, topic: str) -> None:
    assert await waiting(kafka, {TopicPartition(topic, 99): 0, TopicPartition("nowhere", 0): 0}) == {}

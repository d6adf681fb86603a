"""The fixtures hand out real servers."""

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from local_stack.postgres import PostgresServer
from local_stack.testing import CreateTopic


async def test_a_database_is_a_real_postgresql_and_starts_empty(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SHOW server_version_num") >= "150000"
    assert await pool.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
    await pool.execute("CREATE TABLE seen (id int)")


async def test_two_databases_share_nothing(postgres: PostgresServer, database: str) -> None:
    other = postgres.create_database()
    try:
        connection = await asyncpg.connect(database)
        await connection.execute("CREATE TABLE here (id int)")
        await connection.close()
        connection = await asyncpg.connect(other)
        assert await connection.fetchval("SELECT to_regclass('here')") is None
        await connection.close()
    finally:
        postgres.drop_database(other)


async def test_twenty_connections_can_be_open_at_once(pool: asyncpg.Pool) -> None:
    connections = [await pool.acquire() for _ in range(20)]
    assert [await one.fetchval("SELECT 1") for one in connections] == [1] * 20
    for connection in connections:
        await pool.release(connection)


async def test_text_is_lower_cased_in_all_scripts_and_ordered_by_bytes(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SELECT lower('ÄÉΩ')") == "äéω"
    assert await pool.fetchval("SELECT 'Z' < 'a'")


async def test_a_record_sent_in_a_transaction_is_read_back(kafka: str, create_topic: CreateTopic) -> None:
    topic = await create_topic("fixtures.records", partitions=2)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id="fixtures")
    async with producer, producer.transaction():
        await producer.send_and_wait(topic, b"value", key=b"key")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    async with consumer:
        assert (await consumer.getone()).value == b"value"


async def test_topics_are_not_made_by_accident(kafka: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        producer.client._request_timeout_ms = 1_000  # it is started; so long it waits for a topic it doesn't know
        with pytest.raises(KafkaError):
            await producer.send_and_wait("fixtures.nobody-made-this", b"value")


async def test_a_compacted_topic_keeps_the_last_value_per_key(kafka: str, create_topic: CreateTopic) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    topic = await create_topic("fixtures.compacted", partitions=1, compacted=True)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    await admin.close()
    entries = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert entries["cleanup.policy"] == "compact"
    assert entries["retention.ms"] == "-1"

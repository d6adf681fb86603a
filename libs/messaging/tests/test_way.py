"""The whole way once: log → relay → Kafka → consumer → table."""

from __future__ import annotations

import asyncpg

from eventlog import EventLog, Watermark
from messaging import Consumer, Relay
from messaging.stored import decode
from messaging.testing import count, eventually, note, publish_to, read_all, running


async def test_every_event_arrives_once_and_in_order(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    for stream in range(20):
        await count(log, f"counter/{stream}", 1, 50)
    relay = Relay(log, watermark, kafka, name, publish_to(topic))
    consumer = Consumer(tables, kafka, name, [topic], note)

    async with running(watermark, relay, consumer):
        await eventually(lambda: handled(tables, 1_000))
        await count(log, "counter/0", 51, 60)
        await eventually(lambda: handled(tables, 1_010))

    rows = await tables.fetch("SELECT key, array_agg(number ORDER BY at) AS numbers FROM handled GROUP BY key")
    assert {row["key"]: row["numbers"] for row in rows} == {
        f"counter/{stream}": list(range(1, 61 if stream == 0 else 51)) for stream in range(20)
    }
    copied = [decode(record) for record in await read_all(kafka, f"{name}.log")]
    stored = await log.read(0, 1_010)
    assert [(c.position, c.stream, c.version, c.event_id, c.data, c.metadata, c.recorded_at) for c in copied] == [
        (s.position, s.stream, s.version, s.event_id, s.data, s.metadata_json, s.recorded_at) for s in stored
    ]


async def handled(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) >= $1 FROM handled", number))

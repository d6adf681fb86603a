"""Dead letters are sealed: what nobody could take in is opened only while its key is there."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaProducer

import messaging
from messaging import Consumer, Received
from messaging.testing import eventually, headers, note, running


class Sealed:
    """Seals a body under the key of its record; a toy cipher, for what matters here is when it is called."""

    def __init__(self) -> None:
        self.destroyed: set[bytes] = set()

    async def seal(self, letters: Sequence[tuple[bytes | None, bytes]]) -> list[bytes]:
        return [(key or b"") + b"|" + body.hex().encode() for key, body in letters]

    async def open(self, sealed: bytes) -> bytes | None:
        key, _, body = sealed.partition(b"|")
        return None if key in self.destroyed else bytes.fromhex(body.decode())


async def send(producer: AIOKafkaProducer, topic: str, key: bytes, *bodies: bytes) -> None:
    for body in bodies:
        await producer.send(topic, body, key, headers=headers())
    await producer.flush()


async def test_a_dead_letter_is_sealed_and_opened_to_be_tried_again(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    healed = False

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        if not healed:
            raise ValueError("refused")
        await note(batch, connection)

    await send(producer, topic, b"u-1", b'{"number":1}', b'{"number":2}')
    async with running(Consumer(tables, kafka, name, [topic], handle, sealing=Sealed())):
        await eventually(lambda: has_parked(tables, 2))
        assert {row["value"] for row in await tables.fetch("SELECT value FROM parked")} == {
            b"u-1|" + body.hex().encode() for body in (b'{"number":1}', b'{"number":2}')
        }
        healed = True
        await messaging.retry(tables, group=name)
        await eventually(lambda: has_parked(tables, 0))
    assert [row["number"] for row in await tables.fetch("SELECT number FROM handled ORDER BY at")] == [1, 2]


async def test_a_dead_letter_whose_key_is_destroyed_is_dropped_and_those_of_others_stay(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    sealing = Sealed()
    await send(producer, topic, b"u-1", b"Ada Lovelace", b'{"number":2}')
    await send(producer, topic, b"u-2", b"Bob Dylan")
    async with running(Consumer(tables, kafka, name, [topic], note, sealing=sealing)):
        await eventually(lambda: has_parked(tables, 3))
        sealing.destroyed.add(b"u-1")
        await messaging.retry(tables, group=name)
        await eventually(lambda: has_parked(tables, 1))
        await send(producer, topic, b"u-1", b'{"number":3}')
        await eventually(lambda: tables.fetchval("SELECT count(*) = 1 FROM handled"))
    [left] = await messaging.list_parked(tables, name)
    assert left.key == b"u-2"
    assert "Bob" not in left.error
    assert await tables.fetchval("SELECT number FROM handled") == 3, "the key is free again"


async def has_parked(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = $1 FROM parked", number))

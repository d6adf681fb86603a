"""Messages that fail: put aside with those of their key, while the others go on."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.partitioner import murmur2
from aiokafka.record.util import calc_crc32c

import messaging
from eventlog import Decider, EventLog, Executor, Intent, derived_id
from messaging import Committed, Consumer, MissingPrerequisite, Received
from messaging.parking import Failure, park
from messaging.sealing import IN_CLEAR
from messaging.testing import NOW, Counted, CountedMessage, eventually, headers, note, running


class Handler:
    """Notes numbers; refuses those it is told to, and those that need another first."""

    def __init__(self, poison: set[int], needs: dict[int, int] | None = None) -> None:
        self.poison, self.needs = poison, needs or {}
        self.batches: list[int] = []

    async def __call__(self, batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        self.batches.append(len(batch))
        await note(batch, connection)
        for received in batch:
            assert isinstance(received.message, CountedMessage)
            if received.message.number in self.poison:
                raise ValueError(f"number {received.message.number} is refused")
            if (needed := self.needs.get(received.message.number)) is not None and not await connection.fetchval(
                "SELECT true FROM handled WHERE number = $1", needed
            ):
                raise MissingPrerequisite(f"number {received.message.number} needs {needed}")


async def send(producer: AIOKafkaProducer, topic: str, key: str, *numbers: int) -> None:
    for number in numbers:
        await producer.send(topic, f'{{"number":{number}}}'.encode(), key.encode(), headers=headers())
    await producer.flush()


async def numbers(pool: asyncpg.Pool, key: str) -> list[int]:
    return list(
        await pool.fetchval("SELECT coalesce(array_agg(number ORDER BY at), '{}') FROM handled WHERE key = $1", key)
    )


async def parked(pool: asyncpg.Pool) -> list[tuple[str, int]]:
    rows = await pool.fetch("SELECT reason, value FROM parked WHERE discarded_at IS NULL ORDER BY id")
    return [(row["reason"], CountedMessage.model_validate_json(row["value"]).number) for row in rows]


async def test_a_poisoned_message_is_parked_with_its_followers_and_the_others_go_on(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    handler = Handler(poison={503})
    for key in range(10):
        await send(producer, topic, f"counter/{key}", *range(key * 100, key * 100 + 10))
    async with running(Consumer(tables, kafka, name, [topic], handler)):
        await eventually(lambda: has(tables, 93))
        await send(producer, topic, "counter/5", 510)
        await send(producer, topic, "counter/6", 610)
        await eventually(lambda: has(tables, 94))
        await eventually(lambda: has_parked(tables, 8))
    assert await numbers(tables, "counter/5") == [500, 501, 502]
    assert await numbers(tables, "counter/6") == [*range(600, 611)]
    assert await parked(tables) == [("failed", 503)] + [("behind", n) for n in range(504, 511)]

    first = (await messaging.list_parked(tables, name))[0]
    assert (first.topic, first.key, first.attempts) == (topic, b"counter/5", 1)
    assert first.error == "ValueError: number 503 is refused"
    assert dict(first.headers)["ce_type"] == b"testing.events.Counted.v1"


async def test_a_retry_applies_a_key_in_order_once_the_cause_is_mended(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    handler = Handler(poison={3, 6})
    await send(producer, topic, "counter/1", *range(1, 9))
    async with running(Consumer(tables, kafka, name, [topic], handler)):
        await eventually(lambda: has_parked(tables, 6))
        first = (await messaging.list_parked(tables, name))[0]

        assert await messaging.retry(tables, first.id) == 1  # not mended yet
        await eventually(lambda: tables.fetchval("SELECT true FROM parked WHERE id = $1 AND attempts = 2", first.id))
        assert await numbers(tables, "counter/1") == [1, 2]

        handler.poison.discard(3)
        assert await messaging.retry(tables, group=name) == 1  # those behind follow by themselves, up to the next
        await eventually(lambda: are_parked(tables, [("failed", 6), ("behind", 7), ("behind", 8)]))
        assert await numbers(tables, "counter/1") == [1, 2, 3, 4, 5]

        handler.poison.clear()
        await messaging.retry(tables)
        await eventually(lambda: has_parked(tables, 0))
        await send(producer, topic, "counter/1", 9)
        await eventually(lambda: has(tables, 9))
    assert await numbers(tables, "counter/1") == list(range(1, 10))


async def test_a_discarded_message_stays_on_record_in_the_log_and_frees_its_key(
    tables: asyncpg.Pool, log: EventLog, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, "counter/1", 1, 2, 3)
    async with running(Consumer(tables, kafka, name, [topic], Handler(poison={2}))):
        await eventually(lambda: has_parked(tables, 2))
        first, second = await messaging.list_parked(tables)
        with pytest.raises(LookupError, match=r"behind another of its key"):
            await messaging.retry(tables, second.id)
        with pytest.raises(ValueError, match="expected a reason"):
            await messaging.discard(log, first.id, reason=" ", by="ann")
        await messaging.discard(log, first.id, reason="sent twice by the bank", by="ann")
        await eventually(lambda: has(tables, 2))
    assert await numbers(tables, "counter/1") == [1, 3]
    [discarded] = await messaging.list_parked(tables, discarded=True)
    assert (discarded.id, discarded.discarded_because) == (first.id, "sent twice by the bank")
    with pytest.raises(LookupError):
        await messaging.discard(log, first.id, reason="again", by="ann")
    [decided] = await log.read_stream(f"dead-letters/{name}")
    decision = decided.event
    assert (decision.topic, decision.offset, decision.key, decision.type) == (
        topic, first.offset, "counter/1", "testing.events.Counted.v1",
    )  # fmt: skip
    assert (decision.error, decision.reason, decision.by) == (
        "ValueError: number 2 is refused", "sent twice by the bank", "ann",
    )  # fmt: skip
    assert (decided.metadata.actor, decided.metadata.causation_id) == ("ann", decision.message_id)


async def test_a_missing_prerequisite_waits_and_is_applied_by_itself_when_it_arrives(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    await send(producer, topic, "counter/1", 1, 2, 3)
    async with running(Consumer(tables, kafka, name, [topic], Handler(poison=set(), needs={2: 77}))):
        await eventually(lambda: has_parked(tables, 2))
        assert await parked(tables) == [("waiting", 2), ("behind", 3)]
        await send(producer, topic, "counter/7", 77)
        await eventually(lambda: has(tables, 4))
    assert await numbers(tables, "counter/1") == [1, 2, 3]
    assert await parked(tables) == []


async def test_a_hundred_poisoned_messages_among_a_thousand_leave_nine_hundred(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    for number in range(1_000):
        await producer.send(topic, f'{{"number":{number}}}'.encode(), f"key{number}".encode(), headers=headers())
    await producer.flush()
    handler = Handler(poison=set(range(0, 1_000, 10)))
    async with running(Consumer(tables, kafka, name, [topic], handler)):
        await eventually(lambda: has_parked(tables, 100))
        await eventually(lambda: has(tables, 900))
    assert await tables.fetchval("SELECT count(DISTINCT number) FROM handled") == 900


async def test_messages_that_an_error_names_wait_and_the_rest_of_their_batch_goes_on_at_once(
    tables: asyncpg.Pool, log: EventLog, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    early = set(range(0, 1_000, 10))
    batches: list[int] = []

    def translate(received: Received) -> Sequence[Intent]:
        assert isinstance(received.message, CountedMessage)
        if (number := received.message.number) in early:
            raise MissingPrerequisite(f"{number} is early")
        return [Intent(f"sum/{received.key}", ADD, 1, NOW)]

    inbox = messaging.inbox(translate, Executor(log))

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        batches.append(len(batch))
        return await inbox(batch, connection)

    for number in range(1_000):
        await producer.send(topic, f'{{"number":{number}}}'.encode(), f"key{number}".encode(), headers=headers())
    await producer.flush()
    async with running(Consumer(tables, kafka, name, [topic], handle)):
        await eventually(lambda: tables.fetchval("SELECT count(*) = 900 FROM events"))
        polls = len([size for size in batches if size > 1])
        assert await tables.fetchval("SELECT array_agg(DISTINCT reason) FROM parked") == ["waiting"]
        errors = await tables.fetch("SELECT error FROM parked")
        assert {row["error"] for row in errors} == {f"MissingPrerequisite: {number} is early" for number in early}
        early.clear()
        await eventually(lambda: tables.fetchval("SELECT count(*) = 1000 FROM events"))
    assert polls <= 2 * 5 + 1  # each poll once with the early ones and once without; halving would take hundreds
    assert await parked(tables) == []


HOSTILE = {
    "no headers": (b'{"number":1}', []),
    "no type": (b'{"number":1}', headers(ce_type=None)),
    "wrong version": (b'{"number":1}', headers(ce_specversion=b"9")),
    "not UTF-8": (b'{"number":1}', headers(ce_id=b"\xff\xfe")),
    "NUL": (b'{"number":1}', headers(ce_source=b"a\0b")),
    "no JSON": (b"{", headers()),
    "bad UTF-8 in the body": (b'{"number":"\xff"}', headers()),
    "deep JSON": (b"[" * 100_000, headers()),
    "a huge number": (b'{"number":' + b"9" * 100_000 + b"}", headers()),
    "a float": (b'{"number":1.0}', headers()),
    "a truth": (b'{"number":true}', headers()),
    "a number in quotes": (b'{"number":"1"}', headers()),
    "another shape": (b'{"number":"Ada Lovelace"}', headers()),
    "no body": (None, headers()),
    "too large": (b'{"number":1,"x":"' + b"x" * 1_048_576 + b'"}', headers()),
    "garbled time": (b'{"number":1}', headers(ce_time=b"soon")),
    "garbled position": (b'{"number":1}', headers(annalsposition=b"-1")),
    "garbled log": (b'{"number":1}', headers(annalslog=b"mine")),
    "another content type": (b'{"number":1}', headers(content_type=b"application/xml")),
    "a header twice": (b'{"number":1}', [*headers(), ("ce_id", b"again")]),
    "a thousand headers": (b'{"number":1}', [*headers(), *((f"x{i}", b"") for i in range(1_000))]),
}


async def test_hostile_records_are_parked_and_the_consumer_keeps_going(
    tables: asyncpg.Pool, kafka: str, name: str, topic: str
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=2_000_000) as producer:
        for what, (value, given) in HOSTILE.items():
            await producer.send(topic, value, what.encode(), headers=given)
        await producer.send(topic, b'{"number":1}', None, headers=headers())  # without a key
        await producer.send(topic, b'{"number":1}', b"\xff", headers=headers())
        await producer.send(topic, b'{"number":1}', b"k" * 100_000, headers=headers())
        await producer.send(topic, b"", b"unknown", headers=headers(ce_type=b"testing.events.Counted.v2"))
        await send(producer, topic, "counter/1", 1)
        async with running(Consumer(tables, kafka, name, [topic], note)):
            await eventually(lambda: has_parked(tables, len(HOSTILE) + 3))
            await eventually(lambda: has(tables, 1))
            await send(producer, topic, "counter/1", 2)
            await eventually(lambda: has(tables, 2))
    rows = await tables.fetch("SELECT key, reason, error FROM parked")
    assert {row["reason"] for row in rows} == {"malformed"}
    errors = {row["key"]: row["error"] for row in rows}
    assert all(error.startswith(f"Malformed: {topic}[") for error in errors.values())
    assert "ce_specversion: expected 1.0, found '9'" in errors[b"wrong version"]
    assert "body: expected at most 1048576 bytes, found" in errors[b"too large"]
    assert "body of testing.events.Counted.v1: number: " in errors[b"another shape"]
    assert "found str of 12" in errors[b"another shape"], "errors are kept and logged, so they quote nothing"


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_a_header_name_that_is_not_utf8_stops_nobody(
    tables: asyncpg.Pool, kafka: str, name: str, topic: str, compression: str | None
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=compression) as producer:
        await send(producer, topic, "counter/1", 1)
        batch = producer.create_batch()
        for number, extra in ((2, "good"), (3, "ZZZZ"), (4, "good")):
            value = f'{{"number":{number}}}'.encode()
            batch.append(timestamp=None, key=b"counter/1", value=value, headers=[*headers(), (extra, b"x")])
        batch.close()
        batch._buffer = spoil(batch._builder.build(), compressed=compression is not None)
        await (await producer.send_batch(batch, topic, partition=murmur2(b"counter/1") % 2**31 % 4))
        await send(producer, topic, "counter/1", 5)
    async with running(Consumer(tables, kafka, name, [topic], note)):
        await eventually(lambda: has(tables, 5))
    assert await numbers(tables, "counter/1") == [1, 2, 3, 4, 5]


def spoil(built: bytes, compressed: bool) -> bytearray:
    """Makes the header name ZZZZ of a batch no UTF-8 and signs the batch again (format 2: CRC at 17, of all from 21;
    records from 61)."""
    batch = bytearray(built)
    records = gzip.decompress(batch[61:]) if compressed else bytes(batch[61:])
    records = records.replace(b"ZZZZ", b"\xff\xfe\xff\xfe")
    batch[61:] = gzip.compress(records) if compressed else records
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[17:21] = calc_crc32c(bytes(batch[21:])).to_bytes(4, "big")
    return batch


async def test_unknown_types_can_be_parked_and_block_nobody(
    tables: asyncpg.Pool, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    newer = headers(ce_type=b"testing.events.Counted.v2")
    await producer.send(topic, b"{}", b"counter/1", headers=newer)
    await send(producer, topic, "counter/1", 1)
    async with running(Consumer(tables, kafka, name, [topic], note, park_unknown=True)):
        await eventually(lambda: has(tables, 1))
    [row] = await tables.fetch("SELECT reason, error FROM parked")
    assert row["reason"] == "unknown"
    assert "expected a registered message type, found 'testing.events.Counted.v2'" in row["error"]


async def test_a_key_is_one_line_however_many_stand_behind_its_first_message(tables: asyncpg.Pool, name: str) -> None:
    def record(offset: int, key: bytes | None) -> ConsumerRecord[bytes, bytes]:
        return ConsumerRecord("t", 0, offset, -1, 0, key, b"{}", None, -1, -1, ())

    first, behind = Failure("failed", "no"), Failure("behind", "an earlier one is put aside")
    unknown, malformed = Failure("unknown", "newer"), Failure("malformed", "no key")
    put_aside = [(record(0, b"a"), unknown), (record(1, b"a"), first)]
    put_aside += [(record(offset, b"a"), behind) for offset in range(2, 500)]
    put_aside += [(record(500, b"b"), first), (record(501, None), malformed), (record(502, None), malformed)]
    async with tables.acquire() as connection:
        await park(connection, name, put_aside, IN_CLEAR)

    async def listed(**chosen: Any) -> list[tuple[int, int]]:
        return [(one.first.offset, one.behind) for one in await messaging.list_blocked(tables, **chosen)]

    assert await listed() == [(0, 0), (1, 498), (500, 0), (501, 0), (502, 0)]
    assert await listed(limit=2) == [(0, 0), (1, 498)]
    assert await listed(key="a", reason="failed") == [(1, 498)]
    assert await listed(reason="malformed") == [(501, 0), (502, 0)]
    assert await listed(key="nobody") == []


def counted(command: int, state: int) -> list[Counted]:
    if command == 13:
        raise ValueError("13 is refused")
    return [Counted(state + command)]


ADD = Decider(initial=0, decide=counted, evolve=lambda state, event: event.number)


async def test_an_inbox_turns_messages_into_events_of_ones_own_with_their_cause(
    tables: asyncpg.Pool, log: EventLog, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def translate(received: Received) -> Sequence[Intent]:
        assert isinstance(received.message, CountedMessage)
        return [Intent(f"sum/{received.key}", ADD, received.message.number, at)]

    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await producer.send(topic, b'{"number":5}', b"a", headers=headers(ce_id=b"m1", traceparent=trace))
    await producer.flush()
    await send(producer, topic, "a", 6, 13, 7)
    await send(producer, topic, "b", 1, 2)
    async with running(Consumer(tables, kafka, name, [topic], messaging.inbox(translate, Executor(log)))):
        await eventually(lambda: tables.fetchval("SELECT count(*) = 4 FROM events"))
        await eventually(lambda: has_parked(tables, 2))
    sums = await log.read_stream("sum/a")
    assert [recorded.event.number for recorded in sums] == [5, 11]
    assert sums[0].event_id == derived_id("/testing#m1/0/0", at)
    assert (sums[0].metadata.causation_id, sums[0].metadata.traceparent) == ("m1", trace.decode())
    assert [recorded.event.number for recorded in await log.read_stream("sum/b")] == [1, 3]


async def test_two_writers_of_one_stream_conflict_and_both_succeed(
    tables: asyncpg.Pool, log: EventLog, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def translate(received: Received) -> Sequence[Intent]:
        return [Intent("sum", ADD, 1, at)]

    async def rival() -> None:
        executor = Executor(log)
        for _ in range(100):
            await executor.execute([Intent("sum", ADD, 1, at)])

    handler = messaging.inbox(translate, Executor(log))
    async with running(Consumer(tables, kafka, name, [topic], handler, max_records=5)):
        rivals = asyncio.create_task(rival())
        await send(producer, topic, "a", *range(100))
        await rivals
        await eventually(lambda: tables.fetchval("SELECT version = 200 FROM streams WHERE stream = 'sum'"))
    assert (await log.read_stream("sum"))[-1].event.number == 200
    assert await parked(tables) == []


async def has(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) >= $1 FROM handled", number))


async def has_parked(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = $1 FROM parked WHERE discarded_at IS NULL", number))


async def are_parked(pool: asyncpg.Pool, expected: list[tuple[str, int]]) -> bool:
    return await parked(pool) == expected

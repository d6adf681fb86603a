"""Traces across Kafka, where batches hold those of many requests."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

from eventlog import EventLog, Metadata, NewEvent, Watermark, tracing
from eventlog.testing import tracing_on
from messaging import Consumer, MissingPrerequisite, Received, Relay
from messaging.testing import NOW, Counted, eventually, publish_to, read_all, running


def traceparent(number: int) -> str:
    return f"00-{number:032x}-b7ad6b7169203331-01"


async def append(log: EventLog, stream: str, *traceparents: str | None) -> None:
    events = [NewEvent(stream, Counted(1), NOW, metadata=Metadata(traceparent=trace)) for trace in traceparents]
    await log.append(events)


@pytest.mark.parametrize("traces", [1, 50])
async def test_records_carry_the_span_that_published_them_whatever_else_is_in_the_batch(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, traces: int
) -> None:
    await append(log, "counter/1", None, *(traceparent(n + 1) for n in range(traces)), None)
    with tracing_on() as spans:
        async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
            await eventually(lambda: published(kafka, topic, traces + 2))
    headers = [dict(record.headers).get("traceparent", b"").decode() for record in await read_all(kafka, topic)]
    publish = spans.named(f"publish {name}")
    assert len(publish) == min(traces, tracing.MOST_SPANS)
    assert {span.parent.span_id for span in publish} == {0xB7AD6B7169203331}
    ours = {span.context.trace_id: tracing.traceparent_of(span.context) for span in publish}
    assert headers == ["", *(ours.get(n + 1, traceparent(n + 1)) for n in range(traces)), ""]
    batch = spans.named(f"publish {name} (batch)")
    assert [len(span.links) for span in batch] == ([] if traces == 1 else [traces - 1])


async def test_a_message_that_had_to_wait_is_handled_in_its_trace_when_its_time_has_come(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    handled: list[Received] = []

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> None:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM handled)"):
            raise MissingPrerequisite("the table is empty")
        handled.extend(batch)

    await append(log, "counter/1", traceparent(7))
    with tracing_on() as spans:
        consumer = Consumer(tables, kafka, name, [topic], handle)
        async with running(watermark, consumer, Relay(log, watermark, kafka, name, publish_to(topic))):
            await eventually(lambda: tables.fetchval("SELECT count(*) FROM parked"))
            await tables.execute("INSERT INTO handled (topic) VALUES ('there')")
            await eventually(lambda: done(handled))
    [publish] = spans.named(f"publish {name}")
    first, *again = spans.below(publish)
    assert {span.name for span in (first, *again)} == {f"process {name}"}
    assert tracing.traceparent_of(again[-1].context) == handled[0].traceparent
    assert {span.context.trace_id for span in spans.all()} == {7}


async def published(kafka: str, topic: str, count: int) -> bool:
    return len(await read_all(kafka, topic)) == count


async def done(handled: list[Received]) -> bool:
    return bool(handled)

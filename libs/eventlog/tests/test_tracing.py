from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY

from eventlog import EventLog, Metadata, NewEvent, Watermark, WrongExpectedVersion, tracing
from eventlog.testing import Spans, credited, tracing_on

HTTP = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = HTTP[:-2] + "00"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with tracing_on() as spans:
        yield spans


def of(traceparent: str | None, stream: str = "account/1") -> NewEvent:
    return replace(credited(stream), metadata=Metadata(traceparent=traceparent, actor="alice"))


def trace_number(number: int) -> str:
    return f"00-{number:032x}-b7ad6b7169203331-01"


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"annals_{name}") or 0.0


@pytest.mark.parametrize("count", [1, 450])
async def test_an_append_is_a_span_below_what_asked_for_it_and_its_events_carry_that_span_on(
    log: EventLog, spans: Spans, count: int
) -> None:
    appended = await log.append([of(HTTP, f"account/{i % 2}") for i in range(count)])

    [span] = spans.all()
    assert (span.name, span.context.trace_id, span.parent.span_id) == (
        "append", 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331,
    )  # fmt: skip
    assert span.attributes["annals.events"] == count
    assert span.attributes["annals.streams"] == min(count, 2)
    recorded = await log.read(0, appended.position)
    assert {event.metadata for event in recorded} == {
        Metadata(traceparent=tracing.traceparent_of(span.context), actor="alice")
    }
    assert [UUID(text) for text in span.attributes["annals.event_ids"]] == [e.event_id for e in recorded[:10]]


async def test_an_event_without_a_trace_belongs_to_the_span_it_is_appended_in(log: EventLog, spans: Spans) -> None:
    with tracing.span("ingest", attributes={"blocks": 2}):
        await log.append([credited("a"), credited("b")])

    appended, ingest = spans.all()
    assert (ingest.name, ingest.parent) == ("ingest", None)
    assert spans.below(ingest) == [appended]
    assert {event.metadata.traceparent for event in await log.read(0, 100)} == {
        tracing.traceparent_of(appended.context)
    }


async def test_a_large_batch_makes_few_spans_and_one_of_its_own_with_links(log: EventLog, spans: Spans) -> None:
    await log.append([of(trace_number(1 + i % 100), f"account/{i}") for i in range(1_000)])

    own, [batch] = spans.named("append"), spans.named("append (batch)")
    assert len(own) == tracing.MOST_SPANS
    assert {span.attributes["annals.events"] for span in own} == {10}
    assert batch.attributes["annals.events"] == 1_000
    assert [link.context.trace_id for link in batch.links] == list(range(2, 101))
    assert batch.parent.span_id == own[0].context.span_id
    handed_on = {event.metadata.traceparent for event in await log.read(0, 10_000)}
    linked_only = {trace_number(i) for i in range(tracing.MOST_SPANS + 1, 101)}
    assert handed_on == {tracing.traceparent_of(span.context) for span in own} | linked_only


@pytest.mark.parametrize("traceparent", [None, UNSAMPLED, "nonsense-01"])
async def test_what_is_not_sampled_makes_no_span_and_is_handed_on_as_it_is(
    log: EventLog, spans: Spans, traceparent: str | None
) -> None:
    await log.append([of(traceparent)])
    assert spans.all() == ()
    [event] = await log.read(0, 100)
    assert event.metadata.traceparent == traceparent


async def test_without_an_sdk_nothing_is_created_and_nothing_is_looked_at(log: EventLog) -> None:
    assert not tracing.on()
    event = of(HTTP)
    with tracing.appending([event]) as events:
        assert events[0] is event
    with tracing.continued("any", SpanKind.CONSUMER, iter(lambda: pytest.fail("looked at"), None)) as onward:
        assert not onward
        assert onward(HTTP) == HTTP
    with tracing.span("any") as span:
        assert not span.get_span_context().is_valid
    await log.append([event])
    [recorded] = await log.read(0, 100)
    assert recorded.metadata.traceparent == HTTP


async def test_a_refused_append_is_marked_with_the_class_of_its_error_and_no_text(log: EventLog, spans: Spans) -> None:
    conflicts = counted("append_conflicts_total")
    with pytest.raises(WrongExpectedVersion):
        await log.append([of(HTTP, "person/alice")], {"person/alice": 7})
    [span] = spans.all()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.attributes["error.type"] == "WrongExpectedVersion"
    assert span.events == ()
    assert "alice" not in span.to_json()
    assert counted("append_conflicts_total") == conflicts + 1


async def test_only_metadata_of_sampled_traces_is_decoded(log: EventLog) -> None:
    await log.append([of(HTTP), of(UNSAMPLED), of(None)])
    recorded = await log.read(0, 100)
    assert list(tracing.stored(recorded)) == [(HTTP, recorded[0].event_id)]
    assert ["metadata" in vars(event) for event in recorded] == [True, False, False]


async def test_appends_repeats_and_fence_waits_are_measured(log: EventLog) -> None:
    before = {name: counted(name) for name in ("appended_events_total", "append_seconds_count")}
    repeats, waits = counted("append_repeats_total"), counted("fence_wait_seconds_count")
    event = credited("a")
    await log.append([event, credited("b")])
    await log.append([event])
    assert counted("appended_events_total") == before["appended_events_total"] + 2
    assert counted("append_seconds_count") == before["append_seconds_count"] + 2
    assert counted("append_repeats_total") == repeats + 1

    watermark = Watermark(log.pool)
    async with log.pool.acquire() as conn, conn.transaction():
        await log.append([credited("c")], conn=conn)
        measuring = asyncio.create_task(watermark.measure())
        async with asyncio.timeout(240):
            while not counted("fence_waiting_seconds"):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.005)
        assert not measuring.done()
    position = await measuring
    assert counted("fence_wait_seconds_count") == waits + 1
    assert counted("watermark_position") == position


def test_traceparents_are_read_and_written_alike() -> None:
    context = tracing.context_of(HTTP)
    assert context is not None
    assert tracing.traceparent_of(context) == HTTP
    for wrong in ("00-" + "0" * 32 + "-b7ad6b7169203331-01", HTTP.upper(), HTTP + "-x", ""):
        assert tracing.context_of(wrong) is None
    assert trace.get_current_span() is trace.INVALID_SPAN

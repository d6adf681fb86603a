"""Traces (OpenTelemetry) that cross the log and Kafka, by the `traceparent` that every event carries.

A batch holds events of many traces. Each sampled one is continued by a span of its own, and what the batch writes
carries that span's context on, so that the next hop has the right parent. Without an SDK in the process nothing is
created: only the API is needed here, and one look at it per batch is all that tracing costs then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from opentelemetry import trace
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    ProxyTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
)
from opentelemetry.util.types import AttributeValue

from eventlog.events import NewEvent, RecordedEvent

MOST_SPANS = 32  # of one batch, however many traces it holds
MOST_LINKS = 128  # of a batch's own span; also what an SDK keeps by default
MOST_IDS = 10  # event ids named by one span

EVENTS, STREAMS, EVENT_IDS = "annals.events", "annals.streams", "annals.event_ids"

# https://www.w3.org/TR/trace-context/#traceparent-header: version 00, ids of only zeros are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_SAMPLED = frozenset("13579bdf")  # last digit of the flags
_STORED_SAMPLED = re.compile(r'-[0-9a-f][13579bdf]"', re.ASCII)

Came = tuple[str | None, object]
"""The `traceparent` that an event came with, and the event's id."""
Attributes = Mapping[str, AttributeValue]


def on() -> bool:
    """Whether an OpenTelemetry SDK is set up in this process."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


def context_of(traceparent: str | None) -> SpanContext | None:
    """The span that a `traceparent` names; None when it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None:
        return None
    return SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16)))


def traceparent_of(context: SpanContext) -> str:
    """The `traceparent` that names a span."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


class Onward:
    """What events carry on from one hop to the next; false when no trace of the batch is sampled."""

    __slots__ = ("_own",)

    def __init__(self, own: Mapping[str | None, str]) -> None:
        self._own = own

    def __bool__(self) -> bool:
        return bool(self._own)

    def __call__(self, traceparent: str | None) -> str | None:
        """The `traceparent` to write for an event that came with this one: our span's, or the same if it has none."""
        return self._own.get(traceparent, traceparent)


UNCHANGED = Onward({})


@contextmanager
def continued(
    name: str, kind: SpanKind, came: Iterable[Came], attributes: Attributes | None = None
) -> Iterator[Onward]:
    """Continue every sampled trace that a batch of events came with; yields what the events carry on.

    Each gets a span from here to the end of the block, at most MOST_SPANS of them. If there are several, a span of the
    batch itself lies below the first and links to the others; it is the current one, else the only span is.
    `came` is not looked at unless tracing is on.
    """
    traces = _sampled(came) if on() else {}
    if not traces:
        yield UNCHANGED
        return
    tracer = trace.get_tracer("annals")
    spans: dict[str | None, Span] = {}
    for traceparent, (context, ids) in islice(traces.items(), MOST_SPANS):
        own = {**(attributes or {}), EVENTS: len(ids), EVENT_IDS: ids[:MOST_IDS]}
        parent = trace.set_span_in_context(NonRecordingSpan(context))
        spans[traceparent] = tracer.start_span(name, parent, kind, own)
    current, *others = spans.values()
    ours = list(spans.values())
    if len(traces) > 1:
        links = [Link(span.get_span_context()) for span in others]
        links += [Link(context) for context, _ in list(traces.values())[MOST_SPANS:MOST_LINKS]]
        total = {**(attributes or {}), EVENTS: sum(len(ids) for _, ids in traces.values())}
        current = tracer.start_span(
            f"{name} (batch)", trace.set_span_in_context(current), attributes=total, links=links
        )
        ours.append(current)
    with _running(ours, current):
        yield Onward({came_with: traceparent_of(span.get_span_context()) for came_with, span in spans.items()})


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: str | None = None,
    began_ns: int | None = None,
    attributes: Attributes | None = None,
) -> Iterator[Span]:
    """One span, the current one inside the block: below `parent` (a `traceparent`), or the current one, or none.

    `began_ns` (since 1970) says when it began, if that was earlier. Yields a span that keeps nothing if tracing is off.
    """
    if not on():
        yield INVALID_SPAN
        return
    above = context_of(parent)
    context = trace.set_span_in_context(NonRecordingSpan(above)) if above is not None else None
    made = trace.get_tracer("annals").start_span(name, context, kind, attributes, start_time=began_ns)
    with _running([made], made):
        yield made


@contextmanager
def appending(events: Sequence[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    """The span "append"; yields the events with the trace they are to carry on.

    An event that came with no trace belongs to the current span's.
    """
    if not on():
        yield events
        return
    here = trace.get_current_span()
    current = traceparent_of(here.get_span_context()) if here.is_recording() else None
    came = [event.metadata.traceparent or current for event in events]
    ids = (event.event_id for event in events)
    streams = len({event.stream for event in events})
    with continued("append", SpanKind.INTERNAL, zip(came, ids, strict=True), {STREAMS: streams}) as onward:
        if onward:
            events = [
                replace(event, metadata=replace(event.metadata, traceparent=onward(traceparent)))
                for event, traceparent in zip(events, came, strict=True)
            ]
        yield events


def stored(events: Iterable[RecordedEvent]) -> Iterator[Came]:
    """What recorded events came with: only those of sampled traces, so that no other metadata is decoded."""
    for event in events:
        if _STORED_SAMPLED.search(event.metadata_json):
            yield event.metadata.traceparent, event.event_id


def _sampled(came: Iterable[Came]) -> dict[str | None, tuple[SpanContext, list[str]]]:
    """The sampled traces, at most MOST_LINKS, each with the ids of its events."""
    traces: dict[str | None, tuple[SpanContext, list[str]]] = {}
    for traceparent, event_id in came:
        if not traceparent or traceparent[-1] not in _SAMPLED:
            continue
        if traceparent not in traces:
            if len(traces) == MOST_LINKS or (context := context_of(traceparent)) is None:
                continue
            traces[traceparent] = (context, [])
        traces[traceparent][1].append(str(event_id))
    return traces


@contextmanager
def _running(spans: Sequence[Span], current: Span) -> Iterator[None]:
    """Ends spans, marked with the class of what went wrong: an exception's text may hold what nobody may see."""
    try:
        with trace.use_span(current, record_exception=False, set_status_on_exception=False):
            yield
    except BaseException as error:
        for span in spans:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__qualname__)
        raise
    finally:
        for span in spans:
            span.end()

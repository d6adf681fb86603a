"""Traces: the one a request belongs to (W3C Trace Context), and the OpenTelemetry SDK that exports spans, if asked to.

Without the SDK a request has a trace id all the same, so that its log lines, its problem and its events can be found.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import trace as otel
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from eventlog import tracing
from service.settings import ServiceSettings

LAST_SPANS_SECONDS = 3.0
"""How long a process that ends waits for its collector to take what is left."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of a request; `span` is its span, which keeps nothing unless tracing is on and the trace sampled."""

    context: SpanContext
    span: Span

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.context.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The header value that hands the trace on."""
        return tracing.traceparent_of(self.context)

    def answered(self, method: str, route: str, status: int) -> None:
        """Says of the span what is known only at the end; the route's template, for a path may name a person."""
        self.span.update_name(f"{method} {route}")
        self.span.set_attributes(
            {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        )
        if status >= 500:
            self.span.set_status(StatusCode.ERROR)
            self.span.set_attribute("error.type", str(status))


_current: ContextVar[Trace | None] = ContextVar("annals_trace", default=None)


@contextmanager
def request_trace(traceparent: str | None, *, kept: bool = True) -> Iterator[Trace]:
    """Continues the trace of a `traceparent` header with a span of our own, or starts one if there is no valid header.

    Without tracing, or if it shall not be `kept`, the trace is handed on as it came, and one that starts here is not
    sampled.
    """
    with tracing.span("request", SpanKind.SERVER, parent=traceparent) if kept else nullcontext(INVALID_SPAN) as span:
        context = span.get_span_context()
        if not context.is_valid:
            context = tracing.context_of(traceparent) or _started()
        trace = Trace(context, span)
        token = _current.set(trace)
        try:
            yield trace
        finally:
            _current.reset(token)


def current_traceparent() -> str | None:
    """`traceparent` of the request being served, for an event's metadata; None outside a request."""
    trace = _current.get()
    return trace.traceparent if trace else None


@contextmanager
def exporting(settings: ServiceSettings) -> Iterator[None]:
    """Exports the process's spans as `settings` say; at the end those that are left. Nothing is imported if it is off.

    Where to (`OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS`), the sizes of queues (`OTEL_BSP_*`), more about the process
    (`OTEL_RESOURCE_ATTRIBUTES`) and `OTEL_SDK_DISABLED` are the standard's, read by the SDK.
    """
    if settings.traces == "off" or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", settings.name)})
    sampler = ParentBased(TraceIdRatioBased(settings.trace_ratio))
    provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
    if settings.traces == "otlp":
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout)))
    otel.set_tracer_provider(provider)
    try:
        yield
    finally:
        last = threading.Thread(target=provider.shutdown, daemon=True)  # it takes as long as the collector does
        last.start()
        last.join(LAST_SPANS_SECONDS)


def _started() -> SpanContext:
    # `secrets` never yields the invalid all-zero ids in practice (2^-64).
    return SpanContext(secrets.randbits(128), secrets.randbits(64), is_remote=False, trace_flags=TraceFlags())

"""Traces of requests, and what a process exports of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanKind, StatusCode

from eventlog import tracing
from eventlog.testing import Spans, tracing_on
from service import ServiceSettings, current_traceparent
from service.trace import exporting, request_trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Start = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def spans() -> Iterator[Spans]:
    with tracing_on() as spans:
        yield spans


def test_without_tracing_a_trace_is_handed_on_as_it_came() -> None:
    assert current_traceparent() is None
    with request_trace(PARENT) as trace:
        assert (trace.trace_id, current_traceparent()) == (PARENT[3:35], PARENT)
    assert current_traceparent() is None


@pytest.mark.parametrize(
    "header",
    [None, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-" + "A" * 32 + "-b7ad6b7169203331-01"],
)
def test_without_a_valid_traceparent_a_trace_starts_that_nobody_keeps(header: str | None) -> None:
    with request_trace(header) as trace:
        assert len(trace.trace_id) == 32
        assert trace.trace_id not in (header or "")
        assert str(current_traceparent()).endswith("-00")
        assert str(current_traceparent()).startswith(f"00-{trace.trace_id}-")
        assert tracing.context_of(current_traceparent()) is not None


async def test_a_request_is_a_span_named_by_its_route_that_continues_the_callers_trace(
    served: httpx.AsyncClient, spans: Spans, bearer: Callable[..., dict[str, str]]
) -> None:
    headers = {"traceparent": PARENT, **bearer("admin")}
    await served.get("/admin", headers=headers)
    await served.post("/fail/transient", headers=headers)
    await served.get("/person/alice", headers=headers)
    await served.get("/boom", headers=headers)
    await served.get("/health", headers=headers)
    found = {span.name: span for span in spans.all()}
    assert found.keys() == {"GET /admin", "POST /fail/{how}", "GET unmatched", "GET /boom"}
    for span in found.values():
        assert (span.kind, span.parent.span_id) == (SpanKind.SERVER, 0xB7AD6B7169203331)
        assert "alice" not in span.to_json()
    assert found["POST /fail/{how}"].attributes == {
        "http.request.method": "POST", "http.route": "/fail/{how}", "http.response.status_code": 202,
    }  # fmt: skip
    assert found["GET unmatched"].status.status_code is StatusCode.UNSET
    assert found["GET /boom"].status.status_code is StatusCode.ERROR
    assert "hunter2" not in found["GET /boom"].to_json()


def test_what_a_request_appends_carries_its_own_span(spans: Spans) -> None:
    with request_trace(PARENT):
        carried = current_traceparent()
    [span] = spans.all()
    assert carried == tracing.traceparent_of(span.context)


def test_off_is_off() -> None:
    with exporting(ServiceSettings()):
        assert not tracing.on()


class Collector:
    """What a collector of OpenTelemetry is sent over HTTP."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[tuple[str, str, str]] = []

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("post /v1/traces ")
        [size] = [int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")]
        request = ExportTraceServiceRequest.FromString(await reader.readexactly(size))
        for resource in request.resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                self.spans += [(service, span.name, span.trace_id.hex()) for span in scope.spans]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    async with await asyncio.start_server(made.receive, "127.0.0.1", 0) as server:
        made.url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        yield made


async def test_a_process_exports_its_spans_over_otlp_also_the_last_ones_and_those_that_are_sampled(
    start: Start, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
        async with start(database, traces="otlp", trace_ratio="0") as tiny:
            await tiny.client.get("/notes", headers={"traceparent": PARENT})
            await tiny.client.get("/notes")  # begins here: not sampled
            answered = await tiny.logged("request")
            tiny.terminate()
            assert await tiny.exited() == 0
    assert collected.spans == [("tiny", "GET /notes", PARENT[3:35])]
    assert (answered["trace_id"], len(str(answered["span_id"]))) == (PARENT[3:35], 16)


async def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(
    start: Start, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    async with start(database, traces="otlp", shutdown_seconds="300") as tiny:
        assert (await tiny.client.get("/notes")).status_code == 200
        tiny.terminate()
        assert await tiny.exited() == 0


def test_the_console_shows_spans_to_developers(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        providers: list[Any] = []
        patched.setattr("opentelemetry.trace.set_tracer_provider", providers.append)
        with exporting(ServiceSettings(traces="console")):
            providers[0].get_tracer("test").start_span("shown").end()
    shown = json.loads(capfd.readouterr().out)
    assert shown["name"] == "shown"
    assert shown["resource"]["attributes"]["service.name"] == "service"

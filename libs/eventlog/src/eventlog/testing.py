"""For tests: sentences such as ``given(decider, Credited(50)).when(Debit(20)).then(Debited(20))``; events; spans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from opentelemetry import trace

from eventlog.decider import Decider
from eventlog.events import NewEvent
from eventlog.types import EventTypes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


@dataclass(frozen=True)
class Given:
    decider: Decider[Any, Any, Any]
    history: Sequence[object]

    def when(self, command: object) -> When:
        return When(self, command)


@dataclass(frozen=True)
class When:
    given: Given
    command: object

    def then(self, *expected: object) -> None:
        decider = self.given.decider
        assert list(decider.decide(self.command, decider.fold(self.given.history))) == list(expected)

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, error: type[Exception], saying: str = "") -> None:
        decider = self.given.decider
        with pytest.raises(error, match=re.escape(saying) if saying else None):
            decider.decide(self.command, decider.fold(self.given.history))


def given(decider: Decider[Any, Any, Any], *history: object) -> Given:
    return Given(decider, history)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Credited:
    """Example event: money came in."""

    amount: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Debited:
    """Example event: money went out."""

    amount: int


EXAMPLE_TYPES = EventTypes(
    {"Credited.v2": Credited, "Debited.v1": Debited}, {"Credited.v1": lambda old: {**old, "note": "old"}}
)


def credited(stream: str, amount: int = 1) -> NewEvent:
    """An example event for `stream`."""
    return NewEvent(stream, Credited(amount), NOW)


class Spans:
    """The spans that ended while tracing was on, in the order in which they ended."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """The spans whose parent is this one."""
        assert parent.context is not None
        return [span for span in self.all() if span.parent and span.parent.span_id == parent.context.span_id]


@contextmanager
def tracing_on() -> Iterator[Spans]:
    """Inside the block an OpenTelemetry SDK keeps every sampled span in memory (needs `opentelemetry-sdk`)."""
    spans = Spans()
    # A process can set its provider only once; tests need it gone afterwards.
    with patch.object(trace, "get_tracer_provider", lambda: spans.provider):
        yield spans
    spans.provider.shutdown()

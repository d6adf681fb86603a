"""The trace of an event begins where it enters the system."""

from __future__ import annotations

from typing import Any

from chain.domain import WATCH
from chain.fetch import Fetcher
from chain.ingest import Ingester
from eventlog import EventLog, tracing
from eventlog.testing import tracing_on
from messaging.testing import eventually, running
from tron.providers import Nodes


async def test_a_trace_begins_with_a_batch_of_blocks_and_every_event_of_it_carries_it_on(
    town: Any, log: EventLog, nodes: Nodes
) -> None:
    ingester = Ingester(log, Fetcher(nodes), town.contracts, poll_seconds=0.05, batch_events=50)
    with tracing_on() as spans:
        async with running(ingester):
            await eventually(lambda: log.pool.fetchval("SELECT count(*) > 200 FROM events"))
    ingested = {span.context.trace_id: span for span in spans.named("ingest blocks")}
    appended = [span for span in spans.named("append") if span.parent is not None]
    assert {span.parent.span_id for span in appended} == {span.context.span_id for span in ingested.values()}
    assert len(ingested) > 1
    first, second = list(ingested.values())[:2]
    assert (first.parent, first.attributes["annals.block.first"]) == (None, 0)
    assert second.attributes["annals.block.first"] == first.attributes["annals.block.last"] + 1
    assert second.start_time <= appended[1].start_time
    carried = {tracing.traceparent_of(span.context) for span in appended}
    events = await log.read(0, 10_000)
    found = {event.metadata.traceparent for event in events if event.stream != WATCH}
    assert len(found) > 1
    assert found <= carried, "the last append may have been broken off with the test"

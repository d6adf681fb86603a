"""One trace, from a request to rows that another service shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from opentelemetry.trace import SpanKind
from prometheus_client import Counter as MetricCounter
from prometheus_client import Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

import eventlog.metrics
import messaging.metrics
import projections.metrics
import service.metrics
from contracts import rewards as public
from eventlog import Decider, EventLog, EventTypes, Executor, Intent, RecordedEvent, Watermark, tracing
from eventlog.testing import Spans, tracing_on
from local_stack.postgres import PostgresServer
from messaging import Consumer, Received, inbox
from messaging.testing import eventually, running
from projections import Projection, Rows, Runner, on
from service.testing import Running

ALL_STEPS = Counter(
    {"POST /activities": 1, "append": 2, "publish rewards": 1, "process charts": 1, "project likes_v1": 1}
    | {"project votes_v1": 1, "project reward_totals_v1": 1, "project holds_v1": 1}
)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True, slots=True)
class Liked:
    """What the other service makes of a vote."""

    track: str


likes = sa.Table(
    "likes", sa.MetaData(), sa.Column("track", sa.Text, primary_key=True), sa.Column("likes", sa.BigInteger)
)


class Likes(Projection):
    name, version = "likes", 1
    tables, totals = (), (likes,)

    @on(Liked)
    def liked(self, event: Liked, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(likes, {"track": event.track}, likes=1)


LIKE: Decider[str, None, Liked] = Decider(None, lambda track, _: [Liked(track)], lambda state, _: state)


def translate(received: Received) -> Sequence[Intent]:
    match received.message:
        case public.VoteRecorded() as vote:
            return [Intent(f"likes/{vote.user}/{vote.track_id}", LIKE, vote.track_id, vote.voted_at)]
        case _:
            return []


@pytest.fixture
async def charts(postgres: PostgresServer, kafka: str, rewards: Running) -> AsyncIterator[asyncpg.Pool]:
    """Another service, which hears what rewards says; the pool of its database."""
    url = postgres.create_database()
    async with asyncpg.create_pool(url) as pool:
        for library in (eventlog, projections, messaging):
            await pool.execute(library.install_sql())
        watermark = Watermark(pool)
        log = EventLog(pool, EventTypes({"Liked.v1": Liked}), watermark)
        consumer = Consumer(pool, kafka, "charts", ["rewards.events"], inbox(translate, Executor(log)))
        async with running(watermark, consumer, Runner(pool, log, watermark, [Likes()])):
            yield pool
    postgres.drop_database(url)


async def vote(rewards: Running, track: str, user: str = "olga", **headers: str) -> None:
    async with rewards.client(user, "user") as client:
        at = datetime.now(UTC).isoformat()
        cast = {"kind": "vote", "activity_id": track, "user": user, "track_id": track, "like": True, "at": at}
        answer = await client.post(
            "/activities", json={"activities": [cast]}, headers={"idempotency-key": f"{user}-{track}", **headers}
        )
        assert answer.status_code == 200, answer.text


async def shown(charts: asyncpg.Pool, track: str) -> bool:
    return bool(
        await charts.fetchval("SELECT to_regclass('likes_v1.likes')")
        and await charts.fetchval("SELECT likes FROM likes_v1.likes WHERE track = $1", track)
    )


async def test_one_post_is_one_trace_from_the_request_to_the_rows_of_another_service(
    rewards: Running, charts: asyncpg.Pool
) -> None:
    with tracing_on() as spans:
        await vote(rewards, "t1", traceparent=CALLER)
        await eventually(lambda: shown(charts, "t1"))

        async def all_ended() -> bool:  # what a step leads to may end before the step itself
            return Counter(span.name for span in spans.all() if span.name != "GET /ready") >= ALL_STEPS

        await eventually(all_ended)

    [post] = spans.named("POST /activities")
    assert post.parent.span_id == 0xB7AD6B7169203331
    append = only(spans, post, "append")
    publish = only(spans, append, "publish rewards")
    process = only(spans, publish, "process charts")
    their_append = only(spans, process, "append")
    assert [post.kind, publish.kind, process.kind] == [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER]
    assert {span.name for span in spans.below(append)} == {
        "publish rewards",
        "project votes_v1",
        "project reward_totals_v1",
        "project holds_v1",
    }
    assert [span.name for span in spans.below(their_append)] == ["project likes_v1"]
    assert {span.context.trace_id for span in spans.all() if span.name != "GET /ready"} == {
        0x0AF7651916CD43DD8448EB211C80319C
    }
    # Each names the event that it is about; nothing names the person or holds what was said: no id can hold these.
    event_id = str(await rewards.pool.fetchval("SELECT event_id FROM events"))
    assert [span.attributes["annals.event_ids"] for span in (append, publish, process)] == [(event_id,)] * 3
    assert not [span.name for span in spans.all() if "olga" in span.to_json() or "t1" in span.to_json()]


async def test_without_tracing_no_span_is_made_and_the_callers_trace_is_handed_on(
    rewards: Running, charts: asyncpg.Pool
) -> None:
    assert not tracing.on()
    await vote(rewards, "t1", traceparent=CALLER)
    await eventually(lambda: shown(charts, "t1"))
    assert await charts.fetchval("SELECT metadata->>'traceparent' FROM events") == CALLER


async def test_metrics_of_a_running_service_name_all_there_are_and_measure_what_it_does(
    rewards: Running, charts: asyncpg.Pool
) -> None:
    await vote(rewards, "t1")
    await eventually(lambda: shown(charts, "t1"))

    async def value(name: str, **labels: str) -> float:
        async with rewards.client() as client:
            text = (await client.get("/metrics")).text
        families = list(text_string_to_metric_families(text))
        assert defined() <= {family.name for family in families}
        samples = [
            s for family in families for s in family.samples if s.name == name and labels.items() <= s.labels.items()
        ]
        return sum(sample.value for sample in samples)

    async def measured(name: str, **labels: str) -> bool:
        return await value(name, **labels) > 0

    # By workers that look once a second, or that say what they have done after its effect is there.
    await eventually(partial(measured, "annals_projection_position", projection="votes_v1"))
    for name in (
        "annals_append_seconds_count", "annals_appended_events_total", "annals_watermark_position",
        "annals_projection_batch_seconds_count", "annals_relay_events_total", "annals_relay_batch_seconds_count",
        "annals_relay_leader", "annals_consumer_messages_total", "annals_consumer_batch_seconds_count",
        "annals_http_request_seconds_count", "annals_pool_connections_limit", "annals_pool_connections",
        "annals_worker_up", "annals_event_loop_delay_seconds_count",
    ):  # fmt: skip
        await eventually(partial(measured, name))
    await eventually(lambda: relayed(value))


async def relayed(value: Callable[..., Awaitable[float]]) -> bool:
    lags = [await value(f"annals_relay_lag_{unit}", service="rewards") for unit in ("events", "seconds")]
    return lags == [0, 0] and await value("annals_relay_position") > 0


def defined() -> set[str]:
    """The metrics that the libraries define, as Prometheus names their families."""
    modules = (eventlog.metrics, messaging.metrics, projections.metrics, service.metrics)
    values = [value for module in modules for value in vars(module).values()]
    collectors = [value for value in values if isinstance(value, MetricCounter | Gauge | Histogram)]
    assert len(collectors) > 40
    return {family.name for collector in collectors for family in collector.describe()}


def only(spans: Spans, parent: Any, name: str) -> Any:
    [span] = [span for span in spans.below(parent) if span.name == name]
    return span

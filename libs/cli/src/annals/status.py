"""How the services are: their logs and everything that reads them, each number from the server that knows it.

PostgreSQL tells of logs, projections, offsets and leaders, Kafka of what was published and is not yet read, and the
service itself whether it is ready. A server that does not answer is a problem of its service and keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import TopicPartition

import projections
from annals import http
from annals.errors import Exit, exit_code, plain
from annals.services import Installed, chosen
from eventlog import EventLog
from messaging import leader
from messaging.progress import Progress, read_progress
from messaging.survey import total, waiting
from messaging.topics import progress_topic
from service import ServiceSettings
from service.health import Liveness, Readiness

ANSWER_SECONDS = 5.0
COUNT_AT_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The log of a service."""

    position: int
    """Of the last event."""
    bytes: int
    """Of the table of events with its indexes."""
    appended_at: datetime | None
    sealed_position: int
    """Everything up to it is sealed; 0 when nothing is."""


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """How far the log, or a table beside it, is published, and who does it."""

    name: str
    """Of the service, or of what it publishes beside its log."""
    leader: str | None
    """`host:pid`."""
    standing_by: tuple[str, ...]
    position: int | None
    """None, as the other two, while Kafka does not tell."""
    lag_events: int | None
    lag_seconds: float | None
    """Age of the oldest event not yet published."""


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """How far a group has read one topic."""

    group: str
    topic: str
    partitions: int
    owners: tuple[str, ...]
    """`host:pid` of the instances that claimed partitions last."""
    offset: int
    """Of the next message, summed over partitions: its growth is how fast the group reads."""
    lag_messages: int
    """At most so many: offsets have holes."""
    lag_seconds: float
    """Age of the oldest message not yet read."""
    slowest_partition: int | None
    """The one that has that message; None when nothing waits."""
    put_aside: int


@dataclass(slots=True)
class ServiceStatus:
    """One service; what could not be learnt is None or empty, and `problems` says why."""

    name: str
    url: str | None = None
    version: str | None = None
    ready: bool = False
    log: LogStatus | None = None
    projections: tuple[projections.Status, ...] = ()
    consumers: tuple[ConsumerStatus, ...] = ()
    relays: tuple[RelayStatus, ...] = ()
    """That of the log first."""
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, **asdict(self)}


async def collect(late_seconds: float, names: Sequence[str] = ()) -> list[ServiceStatus]:
    """The status of some services, or of all that are installed, asked for at the same time.

    What is behind by more than `late_seconds` is a problem. Takes a few seconds at most, whatever is down. Raises
    UnknownName.
    """
    services = [service.load() for service in chosen(names)]
    return list(await asyncio.gather(*(_status(service, late_seconds) for service in services)))


async def _status(service: Installed, late_seconds: float) -> ServiceStatus:
    report = ServiceStatus(service.name)
    async with _answering(report.problems, "settings"):
        settings = service.settings()
        report.url = f"http://{settings.http_host}:{settings.http_port}"
    if report.url is not None:
        looked: list[str] = []  # told after what the service says, whoever answers first
        await asyncio.gather(_ask(report, report.url), _look(report, looked, service, settings))
        report.problems += looked
    report.problems += _faults(report, late_seconds)
    return report


@asynccontextmanager
async def _answering(problems: list[str], what: str) -> AsyncIterator[None]:
    """A server that is away, or silent for too long, is one more problem."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError:
        problems.append(f"{what}: no answer within {ANSWER_SECONDS:g} s")
    except Exception as error:
        if exit_code(error) in (None, Exit.UNFORESEEN):
            raise
        problems.append(f"{what}: {plain(error)}")


async def _ask(report: ServiceStatus, url: str) -> None:
    """What the service says of itself."""
    async with _answering(report.problems, url):
        try:
            ready, alive = await ask(url)
        except ValueError:
            report.problems.append(f"{url} answers, but not as a service: is the port another program's?")
            return
        report.version, report.ready = ready.version, ready.ready
        report.problems += [
            f"{'not ready: ' if check.vital else ''}{name}: {check.detail}"
            for name, check in ready.checks.items()
            if not check.ok
        ]
        report.problems += [f"worker {name}: {state}" for name, state in alive.workers.items() if state != "running"]


async def ask(url: str) -> tuple[Readiness, Liveness]:
    """What the service at `url` says at /ready and /health. Raises httpx.HTTPError; ValueError if it is no service."""
    async with http.client(base_url=url, timeout=ANSWER_SECONDS) as client:
        ready, alive = await asyncio.gather(client.get("/ready"), client.get("/health"))
    return Readiness.model_validate_json(ready.content), Liveness.model_validate_json(alive.content)


async def _look(report: ServiceStatus, problems: list[str], service: Installed, settings: ServiceSettings) -> None:
    """What its database and Kafka know of it."""
    kafka = settings.kafka_options()
    topics = {name: TopicPartition(progress_topic(name).name, 0) for name in service.relayed}
    async with service.log() as log:
        offsets: list[asyncpg.Record] | None = None
        async with _answering(problems, "database"):
            report.log = await _log(log.pool)
            known = {projection.schema for projection in service.projections}
            report.projections = tuple(s for s in await projections.status(log.pool, log) if s.schema in known)
            instances = {name: await leader.instances(log.pool, f"relay:{name}") for name in service.relayed}
            offsets = await log.pool.fetch(_OFFSETS)
        if offsets is None:
            return
        report.relays = tuple(
            RelayStatus(name, who.leader, who.standing_by, None, None, None) for name, who in instances.items()
        )
        progress = dict[str, Progress | None]()
        told = False
        async with _answering(problems, "Kafka"):
            read = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in offsets}
            found = await waiting(kafka, read | dict.fromkeys(topics.values(), 0))
            for name, topic in topics.items():
                progress[name] = await read_progress(kafka, topic.topic) if topic in found else None
            report.consumers = tuple(_consumers(offsets, found))
            told = True
        if told:
            async with _answering(problems, "database"):
                report.relays = tuple(
                    [await _relay(log, relay, service.relayed[relay.name], progress) for relay in report.relays]
                )


_OFFSETS = """
    SELECT o.consumer_group, o.topic, o.partition, o.next_offset, o.owner,
           (SELECT count(*) FROM parked AS p
            WHERE (p.consumer_group, p.topic, p.partition) = (o.consumer_group, o.topic, o.partition)
              AND p.discarded_at IS NULL) AS put_aside
    FROM offsets AS o ORDER BY o.consumer_group, o.topic, o.partition"""


async def _log(pool: asyncpg.Pool) -> LogStatus:
    row = await pool.fetchrow(
        """SELECT pg_total_relation_size('events') AS bytes,
                  (SELECT coalesce(max(last_position), 0) FROM seals) AS sealed, last.position, last.recorded_at
           FROM (SELECT) AS one
           LEFT JOIN (SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1) AS last ON true"""
    )
    return LogStatus(row["position"] or 0, row["bytes"], row["recorded_at"], row["sealed"])


async def _relay(log: EventLog, relay: RelayStatus, table: str, progress: Mapping[str, Progress | None]) -> RelayStatus:
    """How far behind its table it is, by what Kafka knows of its progress."""
    published = progress[relay.name]
    position = published.position if published else 0
    row = await log.pool.fetchrow(
        f"""SELECT count(*) AS events, min(recorded_at) AS since
           FROM (SELECT recorded_at FROM {table} WHERE position > $1 ORDER BY position LIMIT $2) AS unpublished""",  # noqa: S608 - named in the service's code
        position,
        COUNT_AT_MOST,
    )
    return replace(relay, position=position, lag_events=row["events"], lag_seconds=_age(row["since"]))


def _consumers(offsets: list[asyncpg.Record], found: Mapping[TopicPartition, Any]) -> list[ConsumerStatus]:
    """One line for each group and topic."""
    grouped: dict[tuple[str, str], list[asyncpg.Record]] = {}
    for row in offsets:
        grouped.setdefault((row["consumer_group"], row["topic"]), []).append(row)
    result = []
    for (group, topic), rows in grouped.items():
        parts = {
            row["partition"]: found[at] for row in rows if (at := TopicPartition(topic, row["partition"])) in found
        }
        waits = total(parts.values())
        result.append(
            ConsumerStatus(
                group=group,
                topic=topic,
                partitions=len(parts),
                owners=tuple(sorted({row["owner"] for row in rows})),
                offset=sum(row["next_offset"] for row in rows),
                lag_messages=waits.records,
                lag_seconds=_age(waits.since),
                slowest_partition=next(
                    (n for n, part in parts.items() if part.since and part.since == waits.since), None
                ),
                put_aside=sum(row["put_aside"] for row in rows),
            )
        )
    return result


def _faults(report: ServiceStatus, late_seconds: float) -> list[str]:
    """What is wrong with what was learnt, in words."""
    faults = []
    for projection in report.projections:
        if projection.parked_events:
            faults.append(
                f"projection {projection.name}: {projection.parked_events:,} events of {projection.parked_keys:,} "
                "keys are put aside"
            )
        faults += [paused for paused in (projection.paused, projection.rebuild_paused) if paused]
        if projection.lag_seconds > late_seconds:
            faults.append(f"projection {projection.name}: {projection.lag_seconds:,.0f} s behind")
    for consumer in report.consumers:
        if consumer.put_aside:
            faults.append(f"topic {consumer.topic}: {consumer.put_aside:,} messages are put aside")
        if consumer.lag_seconds > late_seconds:
            faults.append(f"topic {consumer.topic}: {consumer.lag_seconds:,.0f} s behind")
        if not consumer.partitions:
            faults.append(f"topic {consumer.topic} is gone, group {consumer.group} has offsets of it")
    for relay in report.relays:
        called = "relay" if relay.name == report.name else f"relay {relay.name}"
        if relay.leader is None:
            faults.append(f"{called}: no instance leads")
        if relay.lag_seconds is not None and relay.lag_seconds > late_seconds:
            faults.append(f"{called}: {relay.lag_seconds:,.0f} s behind")
    return faults


def _age(since: datetime | None) -> float:
    return max(0.0, (datetime.now(UTC) - since).total_seconds()) if since is not None else 0.0

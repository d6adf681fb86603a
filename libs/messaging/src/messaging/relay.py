"""The relay: reads a service's log and publishes it to Kafka, each event exactly once and in order of its stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol
from uuid import UUID

import asyncpg
from opentelemetry.trace import SpanKind

from contracts import Message
from eventlog import RecordedEvent, decode_all, tracing, turn
from messaging import acts, cloudevents, metrics, stored, topics
from messaging.cloudevents import Encoded
from messaging.connection import Kafka
from messaging.errors import LogBehindTopics, is_transient
from messaging.leader import Leadership, first_to_end, leadership, while_leading
from messaging.producer import Records, TransactionalProducer
from messaging.progress import Progress, read_last, read_progress
from messaging.seals import SealPublisher
from messaging.topics import TopicSpec

logger = logging.getLogger(__name__)

MAX_EVENTS = 5_000
AT_ONCE, AT_ONCE_BYTES = 1_000, 500_000  # decoded and encoded in one turn
MIN_EVENTS = 100
TARGET_BYTES = 4_194_304  # of the events of one transaction, so that large ones make smaller batches
WAIT_SECONDS = 1.0  # for events, while there may be seals
LONGEST_PAUSE_SECONDS = 10.0
START_SECONDS = 30.0
# A transaction that takes longer ends a leadership: perhaps only this instance is cut off. The time doubles with each
# that does and halves with each that does not, so that a Kafka that is slow for everybody still gets its records.
FIRST_PATIENCE_SECONDS = 3.0
LONGEST_PATIENCE_SECONDS = 30.0
MEASURE_SECONDS = 1.0
SPAN = {"messaging.system": "kafka", "messaging.operation.type": "send"}


@dataclass(frozen=True, slots=True)
class Publication:
    """A public message and the topic it goes to; its key is the stream of the event it was made of."""

    topic: str
    message: Message | Encoded


class Feed(Protocol):
    """What a relay publishes: the log of a service, or another one whose positions only grow; see `EventLog`."""

    @property
    def pool(self) -> asyncpg.Pool: ...

    async def identity(self) -> UUID: ...

    async def event_id_at(self, position: int) -> UUID | None: ...

    async def following(self, after: int, upto: int, limit: int) -> Sequence[RecordedEvent]: ...

    def read_anew(self) -> None: ...

    async def waiting_seconds(self, after: int, upto: int) -> float: ...


class Horizon(Protocol):
    """Up to where a feed may be read without missing anything; see `Watermark`."""

    @property
    def position(self) -> int: ...

    async def beyond(self, position: int, timeout: float) -> int: ...  # noqa: ASYNC109 - see there


class Relay:
    """Publishes the log of `service`; a worker.

    `publish` maps an event of one's own to what the world is told, or to None; it must be pure, because after a crash
    it is asked again. The topics it `publishes` to are created or verified first. With `copy` every stored event also
    goes verbatim to `<service>.log`, in the same transaction; with `acts` those of callers to `audit.events`; with
    `seals` those of the log are published, too. Events of the types `as_stored` are not decoded beforehand: `publish`
    tells nothing of them, or reads their JSON itself.

    A feed that can be brought up to date from what it has published says how, by `catch_up`: it is called when Kafka
    knows events that the feed does not, and raises LogBehindTopics when it can't. Nobody publishes meanwhile.

    Any number of instances may run: one leads, the others stand by and take over within five seconds. `run` raises
    LogBehindTopics when Kafka knows events or seals that the log does not, LogResealed when the log has other seals
    than those published, EventTooLarge, and whatever `publish` raises; when Kafka or PostgreSQL cannot be reached it
    steps down and tries again.
    """

    def __init__(
        self,
        log: Feed,
        watermark: Horizon,
        kafka: Kafka,
        service: str,
        publish: Callable[[RecordedEvent], Publication | None],
        *,
        publishes: Sequence[TopicSpec] = (),
        copy: bool = True,
        acts: bool = True,
        seals: bool = True,
        as_stored: Collection[str] = (),
        max_events: int = MAX_EVENTS,
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = f"relay:{service}"
        self._publishes = publishes
        self._log = log
        self._watermark = watermark
        self._kafka = kafka
        self._service = service
        self._publish = publish
        self._copy = copy
        self._acts = acts
        self._seals = seals
        self._as_stored = frozenset(as_stored)
        self._max_events = max_events
        self._catch_up = catch_up
        self._progress_topic = topics.progress_topic(service).name
        self._log_topic = topics.log_topic(service).name
        self._reached = 0
        self._patience = FIRST_PATIENCE_SECONDS

    async def run(self) -> None:
        """Runs until cancelled."""
        pause = 0.5
        while True:
            started = asyncio.get_running_loop().time()
            try:
                # The lock is let go before the producer is: a Kafka that hangs must not keep the next leader waiting.
                async with self._producer() as producer, leadership(self._log.pool, self.name) as lock:
                    await self._lead(lock, producer)
            except Exception as error:
                if not is_transient(error):
                    raise
                # Fenced, or a server is away. The next leader, maybe this one, begins where the topics say.
                if asyncio.get_running_loop().time() - started > LONGEST_PAUSE_SECONDS:
                    pause = 0.5
                logger.warning("relay of %s steps down for %.1f s: %r", self._service, pause, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[TransactionalProducer]:
        producer = TransactionalProducer(self._kafka, f"{self._service}.relay")
        try:
            yield producer
        finally:
            await producer.stop()

    async def _lead(self, lock: Leadership, producer: TransactionalProducer) -> None:
        """Relays until the lock is lost or an error comes up."""
        try:
            await while_leading(lock, self._publish_on(producer))
        finally:
            metrics.relay_leader.labels(self._service).set(0)
            for lag in (metrics.relay_lag_events, metrics.relay_lag_seconds):
                lag.remove(self._service)  # whoever leads next says it

    async def _publish_on(self, producer: TransactionalProducer) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                log_id, seals = await self._start(producer)
        except LogBehindTopics:
            if self._catch_up is None:
                raise
            await self._catch_up()  # takes as long as it takes
            return  # and begins anew
        logger.info("relay of %s leads, from position %d", self._service, self._reached)
        metrics.relay_leader.labels(self._service).set(1)
        await first_to_end(self._follow(producer, log_id, seals), self._measure())

    async def _start(self, producer: TransactionalProducer) -> tuple[UUID, SealPublisher | None]:
        """Fences older leaders and finds out where they have come to."""
        specs = [topics.progress_topic(self._service), *self._publishes]
        if self._seals:
            specs.append(topics.seals_topic(self._service))
        if self._acts:
            specs.append(acts.TOPIC)
        if self._copy:
            specs.append(topics.log_topic(self._service))
        await topics.ensure(self._kafka, specs)
        await producer.start()
        self._log.read_anew()
        log_id = await self._log.identity()
        progress = await read_progress(self._kafka, self._progress_topic)
        self._reached = await self._verified(progress or await self._copied(), log_id)
        if not self._seals:
            return log_id, None
        seals = SealPublisher(self._kafka, self._log.pool, self._service)
        await seals.start()
        return log_id, seals

    async def _copied(self) -> Progress | None:
        """Returns the progress that the copy tells of; asked where the topic of the progress was lost."""
        last = await read_last(self._kafka, self._log_topic) if self._copy else None
        if last is None:
            return None
        logger.warning(
            "relay of %s: topic %s is empty, %s is not", self._service, self._progress_topic, self._log_topic
        )
        event = stored.decode(last)
        return Progress(stored.log_id(last), event.position, event.event_id)

    async def _verified(self, progress: Progress | None, log_id: UUID) -> int:
        """Returns the position to begin after. Raises LogBehindTopics when the log lacks what the topics hold."""
        if progress is None:
            return 0
        found = await self._log.event_id_at(progress.position)
        if found != progress.event_id:
            raise LogBehindTopics(
                f"log of {self._service} ({log_id}): expected event {progress.event_id} at position "
                f"{progress.position}, the last one published (by log {progress.log_id}), found {found or 'none'}; "
                f"bring the log up to date from topic {self._log_topic} first, or start with empty topics"
            )
        return progress.position

    async def _follow(self, producer: TransactionalProducer, log_id: UUID, seals: SealPublisher | None) -> None:
        """Publishes page after page; while one is sent, the next one is read and encoded."""
        limit, position = MIN_EVENTS, self._reached
        sending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sending.set_result(None)
        try:
            while True:
                horizon = await self._watermark.beyond(position, WAIT_SECONDS)
                events = await self._log.following(position, horizon, limit) if horizon > position else ()
                if events:
                    position, limit = events[-1].position, self._next_limit(limit, events)
                else:
                    position = max(position, horizon)
                before = sending
                sending = asyncio.create_task(self._send(producer, log_id, seals, events, position, before))
                await before
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)  # it failed with the one before, or is not wanted

    async def _send(
        self,
        producer: TransactionalProducer,
        log_id: UUID,
        seals: SealPublisher | None,
        events: Sequence[RecordedEvent],
        position: int,
        before: asyncio.Future[None],
    ) -> None:
        """Publishes the events up to `position`, if there are any, and the seals that cover no later ones."""
        if events:
            await self._relay(producer, log_id, events, before)
        else:
            await before
        self._reached = position
        metrics.relay_position.labels(self._service).set(position)
        if seals is not None:
            async with self._in_time():
                await seals.publish(producer, position)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError as error:
            found, self._patience = self._patience, min(self._patience * 2, LONGEST_PATIENCE_SECONDS)
            raise TimeoutError(f"expected Kafka to take a transaction within {found:g} s") from error
        self._patience = max(self._patience / 2, FIRST_PATIENCE_SECONDS)

    async def _measure(self) -> None:
        """Says every second how far the relay is behind, also while Kafka keeps it waiting."""
        gauges = (metrics.relay_lag_events, metrics.relay_lag_seconds)
        lag_events, lag_seconds = (gauge.labels(self._service) for gauge in gauges)
        while True:
            position, horizon = self._reached, self._watermark.position
            lag_events.set(max(0, horizon - position))
            lag_seconds.set(await self._log.waiting_seconds(position, horizon))
            await asyncio.sleep(MEASURE_SECONDS)

    async def _relay(
        self,
        producer: TransactionalProducer,
        log_id: UUID,
        events: Sequence[RecordedEvent],
        before: asyncio.Future[None],
    ) -> None:
        """Publishes events and the position reached in one transaction, once what is `before` them is published."""
        with tracing.continued(f"publish {self._service}", SpanKind.PRODUCER, tracing.stored(events), SPAN) as onward:
            records = producer.records()
            await self._encode(records, log_id, events, onward)
            await before
            started = perf_counter()
            async with self._in_time():
                await producer.send(records)
        metrics.relayed.labels(self._service).inc(len(events))
        metrics.relay_batch.labels(self._service).observe(len(events))
        metrics.relay_seconds.labels(self._service).observe(perf_counter() - started)

    async def _encode(
        self, records: Records, log_id: UUID, events: Sequence[RecordedEvent], onward: tracing.Onward
    ) -> None:
        """Adds what is told of events, and the position reached."""
        for portion in _portions(events):
            await turn()
            decode_all(event for event in portion if event.type not in self._as_stored)
            for event in portion:
                if (publication := self._publish(event)) is not None:
                    told = cloudevents.encode(publication.message, event, self._service, log_id, onward)
                    await records.add(publication.topic, *told)
                if self._copy:
                    await records.add(self._log_topic, *stored.encode(event, log_id))
            if self._acts:
                for act, message in await acts.acts(self._log.pool, self._service, portion):
                    told = cloudevents.encode(message, act, self._service, log_id, onward)
                    await records.add(message.topic, *told)
        progress = Progress(log_id, events[-1].position, events[-1].event_id)
        await records.add(self._progress_topic, self._service.encode(), progress.encode(), [])

    def _next_limit(self, limit: int, events: Sequence[RecordedEvent]) -> int:
        """Makes the batch larger while there is a backlog, as far as its bytes allow."""
        fitting = TARGET_BYTES * len(events) // max(sum([len(event.data) for event in events]), 1)
        wanted = limit * 4 if len(events) == limit else limit
        return max(1, min(wanted, fitting, self._max_events))


def _portions(events: Sequence[RecordedEvent]) -> Iterator[Sequence[RecordedEvent]]:
    """The events in their order, as many at a time as may keep other tasks waiting."""
    start = size = 0
    for number, event in enumerate(events, start=1):
        size += len(event.data)
        if number - start == AT_ONCE or size >= AT_ONCE_BYTES:
            yield events[start:number]
            start, size = number, 0
    if start < len(events):
        yield events[start:]

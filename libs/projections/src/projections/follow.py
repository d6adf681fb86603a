"""Feeding one generation from the log: while a batch is written, the next one is handled and the one after it read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from time import perf_counter

import asyncpg
from opentelemetry.trace import SpanKind

from eventlog import tracing
from projections import metrics
from projections.batch import NOTHING_HELD, Batch, Held, Prepared, key_of, move, park, prepare, unprepared, write
from projections.errors import EventFailed, blames_event
from projections.garbage import fewer_collections
from projections.generation import Generation

logger = logging.getLogger("projections")

Sink = Callable[[Generation, Prepared], Awaitable[Held]]
"""Writes what was prepared and returns what is held now; `deliver` with its connection."""
NextBatch = Callable[[int], Awaitable[Batch]]


async def follow(
    generation: Generation,
    sink: Sink,
    next_batch: NextBatch,
    position: int,
    until: int | None = None,
    after_batch: Callable[[Batch], Awaitable[None]] | None = None,
) -> int:
    """Apply what follows `position`, up to `until` or for ever; returns the position reached.

    `next_batch` gives the batch after a position. Raises Fenced when another process moved the checkpoint, and
    whatever the database raises that is no event's fault.
    """
    held = NOTHING_HELD
    reading: asyncio.Future[Batch] = asyncio.ensure_future(next_batch(position))
    preparing: asyncio.Task[Prepared] | None = None

    def ends(batch: Batch) -> bool:
        return until is not None and batch.upto >= until

    async def prepare_next() -> Prepared:
        nonlocal reading
        batch = await reading
        if not ends(batch):
            reading = asyncio.ensure_future(next_batch(batch.upto))
        if generation.fetches:  # its handlers need the rows as the batch before leaves them
            return unprepared(generation, batch)
        return await prepare(generation, batch, held)

    with fewer_collections():
        try:
            while until is None or position < until:
                prepared = await (preparing or prepare_next())
                batch = prepared.batch
                preparing = None if ends(batch) else asyncio.create_task(prepare_next())
                with _traced(generation, batch):
                    held = await sink(generation, prepared)
                position = batch.upto
                if after_batch is not None:
                    await after_batch(batch)
        finally:
            ahead = [task for task in (reading, preparing) if task is not None]
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)  # their errors concern nobody any more
    return position


def _traced(generation: Generation, batch: Batch) -> AbstractContextManager[object]:
    """The span of a batch, below those that appended its events; none while a rebuild replays what is long past."""
    live = generation.schema == generation.projection.schema
    events = (recorded for recorded in batch.events if recorded.type in generation.handlers)
    return tracing.continued(f"project {generation.schema}", SpanKind.INTERNAL, tracing.stored(events if live else ()))


async def deliver(conn: asyncpg.Connection, generation: Generation, prepared: Prepared) -> Held:
    """Write a batch; an event that is to blame for a failure is isolated and parked, the others take effect.

    Returns what is held now. Each part of the batch is a transaction of its own.
    """
    held = prepared.held
    todo = [prepared.batch]
    while todo:
        batch = todo.pop()
        if batch.after == batch.upto:
            continue
        if batch is not prepared.batch:
            prepared = unprepared(generation, batch) if generation.fetches else await prepare(generation, batch, held)
        started = perf_counter()
        try:
            held = await write(conn, generation, prepared)
        except EventFailed as failure:
            if len(batch.events) == 1:
                held = await _park_alone(conn, generation, batch, failure.cause, held)
            else:
                before, rest = batch.split(failure.index)
                todo += [*reversed(rest.split(1)), before]
        except Exception as error:
            if not blames_event(error) or len(batch.events) <= 1:  # then it isn't the rows that were refused
                raise
            todo += reversed(batch.split(len(batch.events) // 2))
        else:
            measure(generation, batch, started)
    return held


def measure(generation: Generation, batch: Batch, started: float) -> None:
    """Counts a batch whose transaction began at `started`."""
    metrics.BATCH_SECONDS.labels(generation.schema).observe(perf_counter() - started)
    metrics.BATCH_EVENTS.labels(generation.schema).observe(len(batch.events))
    metrics.EVENTS.labels(generation.schema).inc(len(batch.events))


async def _park_alone(
    conn: asyncpg.Connection, generation: Generation, batch: Batch, cause: Exception, held: Held
) -> Held:
    recorded = batch.events[0]
    key = key_of(generation, recorded)
    async with conn.transaction(isolation="read_committed"):
        await move(conn, generation, batch)
        await park(conn, generation, [(key, recorded)], cause)
    metrics.PARKED.labels(generation.schema).inc()
    logger.error(
        "%s: event %d (%s of %s) failed; key %s is parked",
        generation.schema,
        recorded.position,
        recorded.type,
        recorded.stream,
        key,
        exc_info=cause,
    )
    return Held({**held.keys, key: recorded.position})

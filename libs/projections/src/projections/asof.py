"""Replaying a projection to a point of the log, into a schema of its own that nobody else reads or writes.

Three points can be meant:

- a position: the rows that this release makes of the events up to it;
- a time of recording (`recorded_at`, the clock of the database): what the log knew then. It stands for the last
  position recorded at or before it. Appends that overlap may get positions and times in different orders; an event that
  overtook another by milliseconds brings it along. Since no event can still be recorded in the past, the same time
  always gives the same position, and so the same rows;
- a time of occurrence (`occurred_at`, as the event itself says): what is known today of what had happened by then.
  Events that were recorded later but had happened before are in it, in the order of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from eventlog import EventLog, Watermark
from projections import control
from projections.batch import Batch
from projections.columns import quote
from projections.errors import InvalidPoint, NoGeneration
from projections.feed import BATCH_EVENTS, SCAN, read_batch
from projections.generation import LONG_SECONDS, Generation
from projections.job import Job, OnProgress, Read
from projections.projection import Projection
from projections.swap import exclusively

PREFIX = "_asof_"
_LONGEST_NAME = 63  # bytes of a name in PostgreSQL


@dataclass(frozen=True, slots=True)
class AsOf:
    """A replay to a point: in which schema its rows are, and how many."""

    schema: str
    label: str
    position: int
    events: int
    seconds: float
    tables: dict[str, int]
    parked_keys: int


async def as_of(
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    projection: Projection,
    *,
    position: int | None = None,
    recorded: datetime | None = None,
    occurred: datetime | None = None,
    label: str | None = None,
    on_progress: OnProgress | None = None,
    events_per_second: int | None = None,
) -> AsOf:
    """Replay the log to exactly one of the three points into the schema `<projection>_v<n>_asof_<label>`.

    The default label is the position, or `o` and the time of occurrence. A schema of the same name is replaced. Live
    rows and their checkpoint are neither read nor touched. Events discarded up to today are left out.

    Raises InvalidPoint (not one point, or one that is still to come), RebuildRunning.
    """
    if sum(point is not None for point in (position, recorded, occurred)) != 1:
        raise InvalidPoint("as of: expected one of position, recorded and occurred")
    horizon = await watermark.measure()
    if position is None:
        position = horizon if recorded is None else await position_at(log, recorded, horizon)
    if not 0 <= position <= horizon:
        raise InvalidPoint(f"as of: expected a position up to the end of the log, {horizon}, found {position}")
    if occurred is not None:
        _check_zone(occurred)
    label = label or (str(position) if occurred is None else f"o{occurred.astimezone(UTC):%y%m%d%H%M%S}")
    generation = Generation(projection, log.types, _suffix(projection, label))
    read = None if occurred is None else _until(log, generation, occurred)
    async with exclusively(pool, generation.schema) as conn:
        await generation.drop(conn)
        try:
            await control.begin(conn, generation.schema, events_per_second)
            job = Job(pool, log, watermark, generation, conn, on_progress, read=read)
            await job.create()
            await job.apply(position)
            await job.index()
            await control.forget(conn, generation.schema)
            tables = {spec.name: await _count(conn, generation.schema, spec.name) for spec in generation.specs}
            parked = await conn.fetchval(
                "SELECT count(DISTINCT key) FROM dead_letters WHERE subscription = $1", generation.schema
            )
            job.tell("done")
            return AsOf(generation.schema, label, position, job.events, job.seconds, tables, parked)
        except BaseException:
            if not conn.is_closed():
                await generation.drop(conn)  # half of the rows would pass for those of then
            raise


async def position_at(log: EventLog, recorded: datetime, horizon: int) -> int:
    """The last position, up to a safe horizon, recorded at or before a time; 0 if there is none.

    Raises InvalidPoint for a time without a zone, or one that the database's clock has not reached: more may come.
    """
    _check_zone(recorded)
    now: datetime = await log.pool.fetchval("SELECT clock_timestamp()")
    if recorded > now:
        raise InvalidPoint(f"as of: {recorded} is still to come; it is {now}")
    found: int | None = await log.pool.fetchval(
        "SELECT position FROM events WHERE recorded_at <= $1 AND position <= $2 ORDER BY position DESC LIMIT 1",
        recorded,
        horizon,
        timeout=LONG_SECONDS,
    )
    return found or 0


async def list_as_of(pool: asyncpg.Pool, projection: type[Projection] | Projection) -> list[str]:
    """The schemas of replays to a point that exist, by name."""
    rows = await pool.fetch(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1) ORDER BY 1", projection.schema + PREFIX
    )
    return [row["nspname"] for row in rows]


async def drop_as_of(pool: asyncpg.Pool, log: EventLog, projection: Projection, label: str | None = None) -> list[str]:
    """Drop one replay to a point, or all; returns the schemas. Raises NoGeneration if there is none, RebuildRunning."""
    found = await list_as_of(pool, projection)
    if label is not None:
        found = [schema for schema in found if schema == projection.schema + _suffix(projection, label)]
    if not found:
        raise NoGeneration(f"{projection.schema}{PREFIX}{label or '*'} does not exist")
    for schema in found:
        async with exclusively(pool, schema) as conn:
            await Generation(projection, log.types, schema.removeprefix(projection.schema)).drop(conn)
    return found


def _check_zone(time: datetime) -> None:
    if time.tzinfo is None:
        raise InvalidPoint(f"as of: expected a time with its zone, found {time}")


def _suffix(projection: Projection, label: str) -> str:
    name = f"{projection.schema}{PREFIX}{label}"
    if (not label.isidentifier() and not label.isalnum()) or not label.isascii() or label != label.lower():
        raise InvalidPoint(f"as of: expected a label of small letters, digits and _, found {label!r}")
    if len(name) > _LONGEST_NAME:
        raise InvalidPoint(f"as of: {name} is longer than a name in PostgreSQL can be; give a shorter label")
    return PREFIX + label


def _until(log: EventLog, generation: Generation, occurred: datetime) -> Read:
    types = sorted(generation.handlers)

    async def read(after: int, upto: int) -> Batch:
        batch = await read_batch(log, after, min(upto, after + SCAN), BATCH_EVENTS, types=types)
        return Batch(batch.after, batch.upto, [event for event in batch.events if event.occurred_at <= occurred])

    return read


async def _count(conn: asyncpg.Connection, schema: str, table: str) -> int:
    rows: int = await conn.fetchval(f"SELECT count(*) FROM {quote(schema)}.{quote(table)}", timeout=LONG_SECONDS)  # noqa: S608
    return rows

"""A batch of the log, what it comes to for one generation, and the one transaction that writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import asyncpg
import sqlalchemy as sa

from eventlog import Events, RecordedEvent, dead_letters_stream, decode_all, turn
from projections.bulk import BULK_FROM, BulkRows
from projections.errors import EventFailed, Fenced, InvalidChange, blames_event
from projections.generation import Generation
from projections.rows import Key, Rows
from projections.writer import write_all

_AT_ONCE = 400  # events decoded and handled in one turn: some milliseconds
_KEY_BYTES = 1_000  # so that dead letters can be indexed by it


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything in the log with after < position <= upto, in order; `events` may leave out types of no interest."""

    after: int
    upto: int
    events: Sequence[RecordedEvent]

    def split(self, index: int) -> tuple[Batch, Batch]:
        """The batch before event `index`, and the one from it on."""
        middle = self.events[index - 1].position if index else self.after
        return Batch(self.after, middle, self.events[:index]), Batch(middle, self.upto, self.events[index:])

    def places(self, types: Collection[str]) -> list[int]:
        """Where in `events` those of some types are, in order."""
        if isinstance(self.events, Events):
            return sorted(chain.from_iterable(self.events.places.get(name, ()) for name in types))
        return [place for place, recorded in enumerate(self.events) if recorded.type in types]


@dataclass(frozen=True, slots=True)
class Held:
    """What must not take effect now: events of a parked key from its first parked position on, and discarded events."""

    keys: Mapping[str, int] = field(default_factory=dict)
    positions: frozenset[int] = frozenset()


NOTHING_HELD = Held()


@dataclass(slots=True)
class Prepared:
    """A batch whose handlers have run, under the assumption that `held` is what is held."""

    batch: Batch
    held: Held
    rows: BulkRows
    behind: list[tuple[str, RecordedEvent]]  # events of parked keys, to be parked as well
    failure: EventFailed | None = None


async def prepare(generation: Generation, batch: Batch, held: Held, conn: asyncpg.Connection | None = None) -> Prepared:
    """Run the handlers of a batch. `conn` is needed if the projection prefetches rows."""
    prepared = Prepared(batch, held, BulkRows(generation.projection.specs), [])
    try:
        if generation.fetches:
            await _prefetch(generation, batch, prepared.rows, conn)
        places = batch.places(generation.handlers)
        for start in range(0, len(places), _AT_ONCE):
            await turn()
            _handle(generation, prepared, places[start : start + _AT_ONCE])
            prepared.rows.combine(at_least=BULK_FROM)
        prepared.rows.combine()
    except EventFailed as failure:
        prepared.failure = failure
    return prepared


def _handle(generation: Generation, prepared: Prepared, places: Sequence[int]) -> None:
    """Run the handlers of the events at these places of the batch."""
    projection, handlers = generation.projection, generation.handlers
    rows, held = prepared.rows, prepared.held
    events = prepared.batch.events
    decode_all(events[place] for place in places)
    for place in places:
        recorded = events[place]
        if recorded.position in held.positions:
            continue
        try:
            key = recorded.stream if generation.by_stream else _named_key(generation, recorded)
            if key in held.keys and recorded.position >= held.keys[key]:
                prepared.behind.append((key, recorded))
                continue
            rows.starts(place, key)
            handlers[recorded.type](projection, recorded.event, recorded, rows)
        except (EventFailed, MemoryError):  # an earlier one's fault, found now; nobody's
            raise
        except Exception as error:
            raise EventFailed(place, error) from error


def unprepared(generation: Generation, batch: Batch, held: Held = NOTHING_HELD) -> Prepared:
    """For a projection that prefetches: its handlers run inside the transaction, see `apply`."""
    return Prepared(batch, held, BulkRows(generation.projection.specs), [])


async def _prefetch(generation: Generation, batch: Batch, rows: Rows, conn: asyncpg.Connection | None) -> None:
    assert conn is not None, "a projection that prefetches is prepared inside its transaction"
    wanted: dict[sa.Table, dict[Key, None]] = {}
    for place in batch.places(generation.handlers):
        try:
            for table, named in generation.projection.prefetch(batch.events[place]):
                wanted.setdefault(table, {})[generation.writers[table].spec.exact_key(named)] = None
        except Exception as error:
            raise EventFailed(place, error) from error
    for table, keys in wanted.items():
        found = await generation.writers[table].read(conn, list(keys))
        for key in keys:
            rows.found(table, key, found.get(key))


async def write(conn: asyncpg.Connection, generation: Generation, prepared: Prepared, *, durable: bool = False) -> Held:
    """Write a prepared batch and move the checkpoint, in one transaction; returns what is held now.

    Not `durable`: a crash of the server may lose the last batches, rows and checkpoint together; they are then applied
    again. Raises EventFailed when the fault is one event's, Fenced when another process moved the checkpoint.
    """
    async with conn.transaction(isolation="read_committed"):
        await move(conn, generation, prepared.batch, durable=durable)
        return await apply(conn, generation, prepared)


async def write_together(conn: asyncpg.Connection, group: Sequence[tuple[Generation, Prepared]]) -> list[Held]:
    """As `write`, for several generations in one transaction, all or none; returns what is held now of each."""
    async with conn.transaction(isolation="read_committed"):
        await move_all(conn, [(generation, prepared.batch) for generation, prepared in group], durable=False)
        held = await with_something_held(conn, [generation for generation, _ in group])
        return [
            await apply(conn, generation, prepared, None if generation in held else NOTHING_HELD)
            for generation, prepared in group
        ]


async def apply(conn: asyncpg.Connection, generation: Generation, prepared: Prepared, held: Held | None = None) -> Held:
    """Write the rows of a prepared batch in the caller's transaction, which holds the checkpoint.

    `held` is what is held now, where the caller knows it.
    """
    batch = prepared.batch
    if held is None:
        held = await what_is_held(conn, generation, batch)
    if generation.fetches or held != prepared.held:
        prepared = await prepare(generation, batch, held, conn)
    await write_rows(conn, generation, prepared)
    if prepared.behind:
        await park(conn, generation, prepared.behind)
    return held if not held.positions else Held(held.keys)


async def write_rows(conn: asyncpg.Connection, generation: Generation, prepared: Prepared) -> None:
    """Write the rows of a prepared batch. Raises EventFailed if one event is known to be at fault."""
    if prepared.failure is not None:
        raise prepared.failure
    try:
        await write_all(conn, generation.writers, prepared.rows)
    except Exception as error:
        if len(prepared.batch.events) == 1 and blames_event(error):
            raise EventFailed(0, error) from error
        raise


async def move(conn: asyncpg.Connection, generation: Generation, batch: Batch, *, durable: bool = True) -> None:
    """Move the checkpoint over a batch by compare-and-set; its row stays locked until the transaction ends.

    Raises Fenced also if the log no longer has what was read: a standby has taken over that never got it.
    """
    await move_all(conn, [(generation, batch)], durable=durable)


async def move_all(conn: asyncpg.Connection, moves: Sequence[tuple[Generation, Batch]], *, durable: bool) -> None:
    """Move several checkpoints, as `move` does one. Raises Fenced if one of them can't be moved."""
    lasts = [batch.events[-1] if batch.events else None for _, batch in moves]
    moved = await conn.fetch(
        """WITH movable AS (
               SELECT c.subscription, m.upto FROM checkpoints AS c
               JOIN unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::bigint[])
                    AS m(subscription, fingerprint, after, upto, last_id, last)
                 ON c.subscription = m.subscription AND c.position = m.after AND c.fingerprint = m.fingerprint
               WHERE m.last IS NULL OR EXISTS (SELECT FROM events WHERE position = m.last AND event_id = m.last_id)
               ORDER BY c.subscription FOR UPDATE OF c)  -- in one order, so that nobody waits for each other
           UPDATE checkpoints AS c SET position = m.upto, updated_at = now() FROM movable AS m
           WHERE c.subscription = m.subscription
           RETURNING c.subscription, set_config('synchronous_commit', $7, true)""",
        [generation.checkpoint for generation, _ in moves],
        [generation.fingerprint for generation, _ in moves],
        [batch.after for _, batch in moves],
        [batch.upto for _, batch in moves],
        [last and last.event_id for last in lasts],
        [last and last.position for last in lasts],
        "on" if durable else "off",
    )
    found = {row["subscription"] for row in moved}
    for generation, batch in moves:
        if generation.checkpoint not in found:
            raise Fenced(
                f"checkpoint {generation.checkpoint}: another process has moved or replaced position {batch.after}, or "
                f"the log no longer has the events up to {batch.upto}"
            )


async def with_something_held(conn: asyncpg.Connection, generations: Sequence[Generation]) -> set[Generation]:
    """Those that have dead letters, or ever had one discarded; `what_is_held` tells more."""
    rows = await conn.fetch(
        """SELECT number FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g(schema, decisions, number)
           WHERE EXISTS (SELECT FROM dead_letters WHERE subscription = schema)
              OR EXISTS (SELECT FROM events WHERE stream = decisions)""",
        [generation.schema for generation in generations],
        [dead_letters_stream(generation.projection.schema) for generation in generations],
    )
    return {generations[row["number"] - 1] for row in rows}


async def what_is_held(conn: asyncpg.Connection, generation: Generation, batch: Batch) -> Held:
    """The parked keys of a generation, and the discarded positions within a batch, as the log itself tells them."""
    records = await conn.fetch(
        """WITH RECURSIVE heads AS (  -- from key to key through the index, however many events wait behind each
               (SELECT key, position FROM dead_letters WHERE subscription = $1 ORDER BY key, position LIMIT 1)
               UNION ALL
               SELECT next.* FROM heads CROSS JOIN LATERAL (
                   SELECT key, position FROM dead_letters WHERE subscription = $1 AND key > heads.key
                   ORDER BY key, position LIMIT 1) AS next)
           SELECT key, position FROM heads
           UNION ALL
           SELECT NULL, discarded FROM (
               SELECT (data ->> 'position')::bigint AS discarded FROM events
               WHERE stream = $2 AND type = 'DeadLetterDiscarded' OFFSET 0) AS decisions  -- OFFSET: filter, then cast
           WHERE discarded BETWEEN $3 + 1 AND $4""",
        generation.schema,
        dead_letters_stream(generation.projection.schema),
        batch.after,
        batch.upto,
    )
    if not records:
        return NOTHING_HELD
    return Held(
        {record["key"]: record["position"] for record in records if record["key"] is not None},
        frozenset(record["position"] for record in records if record["key"] is None),
    )


async def park(
    conn: asyncpg.Connection,
    generation: Generation,
    letters: Iterable[tuple[str, RecordedEvent]],
    error: Exception | None = None,
) -> None:
    """Keep events for later; with `error` it is they that failed, without they wait behind one that did."""
    letters = list(letters)
    await conn.execute(
        """INSERT INTO dead_letters (subscription, position, key, event_id, type, error, attempts)
           SELECT $1, position, key, event_id, type, $6, CASE WHEN $6::text IS NULL THEN 0 ELSE 1 END
           FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::text[]) AS l(position, key, event_id, type)
           ON CONFLICT DO NOTHING  -- an audit starts with the letters of the live rows""",
        generation.schema,
        [recorded.position for _, recorded in letters],
        [key for key, _ in letters],
        [recorded.event_id for _, recorded in letters],
        [recorded.type for _, recorded in letters],
        None if error is None else describe_error(error),
    )


def describe_error(error: Exception) -> str:
    """An error as a dead letter keeps it: storable, and of bounded length."""
    return f"{type(error).__name__}: {error}".replace("\x00", "").encode(errors="replace").decode()[:2000]


def key_of(generation: Generation, recorded: RecordedEvent) -> str:
    """The partition key of an event; its stream if the projection fails even to name one that can be kept."""
    if generation.by_stream:
        return recorded.stream
    try:
        return _named_key(generation, recorded)
    except Exception:  # the same error is what parks the event, so it is not lost
        return recorded.stream


def _named_key(generation: Generation, recorded: RecordedEvent) -> str:
    key: object = generation.projection.key(recorded)
    if not isinstance(key, str) or len(key.encode()) > _KEY_BYTES or "\0" in key:
        expected = f"a text of at most {_KEY_BYTES} bytes without U+0000"
        raise InvalidChange(f"partition key: expected {expected}, found {str(key)[:100]!r}")
    return key

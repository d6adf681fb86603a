"""Rebuilding the rows of single partition keys: beside live traffic, and in one transaction.

Their events are replayed into tables of their own, `<schema>_keys`. The exchange then waits for the runner's batch,
replays the last few events, deletes what the live tables hold of the keys and inserts what was replayed. Readers see a
key's former rows until the commit and its new ones from then on; killed before it, nothing has happened.

Live rows that the replay did not make are deleted only when no event of any other key makes them either: a pass over
the log shows that. So a `rows_of` that finds too much is an error and not a loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa

from eventlog import EventLog, RecordedEvent, Watermark
from projections import control
from projections.batch import Batch, key_of, move
from projections.columns import quote
from projections.compare import key_text, row_text
from projections.division import undivided
from projections.errors import CannotRebuildKeys
from projections.feed import BATCH_EVENTS, SCAN, read_batch
from projections.generation import LONG_SECONDS, Generation, Suffix, require
from projections.job import Job, OnProgress, Read
from projections.projection import Projection
from projections.rows import Key, Rows
from projections.swap import SWAP_EVENTS, Behind, apply_within, exclusively

Places = Mapping[sa.Table, Mapping[str, Sequence[Any]]]
"""For each table the columns by which rows of the keys are found, and their values, one for each key."""
_Surplus = dict[sa.Table, set[Key]]


@dataclass(frozen=True, slots=True)
class TableRebuilt:
    """What became of the keys' rows in one table; `differing` were changed, missing or surplus."""

    table: str
    rows_before: int
    rows: int
    differing: int


@dataclass(frozen=True, slots=True)
class KeysRebuilt:
    """What a partial rebuild came to; `parked` names keys of which an event failed (again)."""

    position: int
    events: int
    tables: tuple[TableRebuilt, ...]
    parked: tuple[str, ...]


async def rebuild_keys(
    pool: asyncpg.Pool,
    log: EventLog,
    watermark: Watermark,
    projection: Projection,
    keys: Collection[str],
    *,
    on_progress: OnProgress | None = None,
    events_per_second: int | None = None,
) -> KeysRebuilt:
    """Build the rows of some partition keys anew from the log and exchange them for the live ones, in one transaction.

    All events of the keys are replayed with the handlers of this release, parked ones too: those that pass now take
    effect, one that fails is parked again with those behind it. Discarded events stay out.

    Raises CannotRebuildKeys (there are totals, or `rows_of` does not say where the rows are), LookupError if the log
    knows none of the keys, RebuildRunning, NoGeneration, SchemaChanged.
    """
    wanted = frozenset(keys)
    live, side = (Generation(projection, log.types, suffix) for suffix in (Suffix.LIVE, Suffix.KEYS))
    places = _places(live, sorted(wanted))
    async with exclusively(pool, projection.schema) as conn:
        await require(live, conn)
        await side.drop(conn)
        try:
            await control.begin(conn, side.schema, events_per_second)
            job = Job(pool, log, watermark, side, conn, on_progress, read=_reader(log, side, wanted))
            await job.start(indexes=False)
            exchange = _Exchange(log, live, side, wanted, places)
            tables, parked = await exchange.run(conn, job)
        finally:
            if not conn.is_closed():
                await side.drop(conn)
    if not job.events and not any(table.rows_before for table in tables):
        raise LookupError(f"{live.schema}: the log has no event of {', '.join(sorted(wanted))}")
    job.tell("done")
    return KeysRebuilt(job.position, job.events, tables, parked)


def _places(live: Generation, keys: Sequence[str]) -> Places:
    """Where the rows of the keys are. Raises CannotRebuildKeys if the projection does not say it for every table."""
    projection = live.projection
    if not keys:
        raise ValueError("rebuild_keys: no keys")
    if projection.totals:
        raise CannotRebuildKeys(
            f"{live.schema}: table {projection.totals[0].name} holds totals that many keys share: what one key has "
            "added to a row cannot be taken out of it; rebuild the whole projection"
        )
    found: dict[sa.Table, dict[str, list[Any]]] = {table: {} for table in projection.tables}
    for key in keys:
        try:
            named = projection.rows_of(key)
        except Exception as error:
            raise CannotRebuildKeys(f"{live.schema}: rows_of({key!r}) failed: {error!r}") from error
        for table, columns in found.items():
            if not named.get(table):
                raise CannotRebuildKeys(
                    f"{live.schema}: {type(projection).__name__}.rows_of({key!r}) does not say where its rows are in "
                    f"table {table.name}; declare it, or rebuild the whole projection"
                )
            for name, value in live.writers[table].spec.admit(dict(named[table])).items():
                columns.setdefault(name, []).append(value)
    for table, columns in found.items():
        combinations = {tuple(values) for values in zip(*columns.values(), strict=False)}
        if len(combinations) < len(keys) or any(len(values) != len(keys) for values in columns.values()):
            raise CannotRebuildKeys(f"{live.schema}: rows_of() finds the same rows of {table.name} for several keys")
    return found


def _reader(log: EventLog, side: Generation, keys: frozenset[str]) -> Read:
    """Reads the events of the keys: by stream where the key is the stream, else by looking at all."""
    if type(side.projection).key is Projection.key:
        return _Streams(log, side, keys)
    types = sorted(side.handlers)

    async def scan(after: int, upto: int) -> Batch:
        batch = await read_batch(log, after, min(upto, after + SCAN), BATCH_EVENTS, types=types)
        return Batch(batch.after, batch.upto, [event for event in batch.events if key_of(side, event) in keys])

    return scan


class _Streams:
    """Reads a few streams in order of position; each event comes from the database once."""

    def __init__(self, log: EventLog, side: Generation, streams: Iterable[str]) -> None:
        self._log = log
        self._types = side.handlers
        self._versions = dict.fromkeys(streams, 0)
        self._waiting: list[RecordedEvent] = []

    async def __call__(self, after: int, upto: int) -> Batch:
        for event in await self._log.read_streams(self._versions):
            self._versions[event.stream] = event.version
            self._waiting.append(event)
        self._waiting.sort(key=lambda event: event.position)
        self._waiting = [event for event in self._waiting if event.position > after]
        events = [event for event in self._waiting if event.position <= upto][:BATCH_EVENTS]
        reached = events[-1].position if len(events) == BATCH_EVENTS else upto
        return Batch(after, reached, [event for event in events if event.type in self._types])


class _Exchange:
    """Puts the rows of the side schema in the place of the live ones."""

    def __init__(self, log: EventLog, live: Generation, side: Generation, keys: frozenset[str], places: Places) -> None:
        self._log = log
        self._live = live
        self._side = side
        self._keys = keys
        self._places = places
        self._ownerless: _Surplus = {table: set() for table in places}

    async def run(self, conn: asyncpg.Connection, job: Job) -> tuple[tuple[TableRebuilt, ...], tuple[str, ...]]:
        """Try until the side schema is where the live one is, and all surplus rows are known to be nobody's."""
        while True:
            try:
                async with undivided(conn, self._log, self._live), conn.transaction(isolation="read_committed"):
                    job.position = await self._meet(conn, job)
                    surplus = await self._surplus(conn)
                    if all(surplus[table] <= self._ownerless[table] for table in surplus):
                        return await self._replace(conn)
            except Behind:
                await job.apply(await job.live_position())
                continue
            await self._check_ownerless(surplus, job.position)

    async def _meet(self, conn: asyncpg.Connection, job: Job) -> int:
        """Keep the runner away and apply to the side what it has not seen yet; returns the position of both."""
        position: int = (await self._live.lock(conn))["position"]
        if position - job.position > SWAP_EVENTS:
            raise Behind
        if job.position < position:
            batch = await job.read(job.position, position)
            if batch.upto < position:
                raise Behind
            await move(conn, self._side, batch)
            await apply_within(conn, self._side, batch)
        return position

    async def _surplus(self, conn: asyncpg.Connection) -> _Surplus:
        """Live rows that `rows_of` finds but that were not replayed. Raises CannotRebuildKeys if it misses some."""
        found: _Surplus = {}
        for table, values in self._places.items():
            writer = self._live.writers[table]
            where, parameters = writer.matching(values)
            replayed = self._at(self._side, table)
            if missed := await conn.fetchval(f"SELECT count(*) FROM {replayed} WHERE NOT {where}", *parameters):  # noqa: S608
                raise self._refused(table, f"rows_of() does not find {missed} of the rows that the keys' events make")
            columns = [writer.spec.columns[name] for name in writer.spec.key]
            records = await conn.fetch(
                f"""SELECT {", ".join(column.selected for column in columns)} FROM {self._at(self._live, table)}
                    WHERE {where} AND NOT {self._replayed(table)}""",  # noqa: S608 - quoted identifiers
                *parameters,
            )
            found[table] = {
                tuple(column.decode(value) for column, value in zip(columns, record, strict=True)) for record in records
            }
        return found

    async def _check_ownerless(self, surplus: _Surplus, upto: int) -> None:
        """Show that no other key has an event which touches these rows. Raises CannotRebuildKeys if one has."""
        projection, handlers = self._live.projection, self._live.handlers
        if self._live.fetches:
            table = next(table for table, rows in surplus.items() if rows)
            raise self._refused(
                table,
                f"no event of the keys makes {len(surplus[table])} of the rows that rows_of() finds, and handlers that "
                "read rows cannot show whose they are",
            )
        position = 0
        while position < upto:
            batch = await read_batch(self._log, position, min(upto, position + SCAN), BATCH_EVENTS, types=[*handlers])
            for recorded in batch.events:
                if (key := key_of(self._live, recorded)) not in self._keys:
                    for table, row in _touched(projection, handlers[recorded.type], recorded, key):
                        if row in surplus.get(table, ()):
                            raise self._refused(table, f"rows_of() also finds row {row}, which belongs to {key}")
            position = batch.upto
        for table, rows in surplus.items():
            self._ownerless[table] |= rows

    async def _replace(self, conn: asyncpg.Connection) -> tuple[tuple[TableRebuilt, ...], tuple[str, ...]]:
        tables = [await self._replace_rows(conn, table, values) for table, values in self._places.items()]
        await conn.execute(
            "DELETE FROM dead_letters WHERE subscription = $1 AND key = ANY ($2)", self._live.schema, list(self._keys)
        )
        parked = await conn.fetch(
            "UPDATE dead_letters SET subscription = $1 WHERE subscription = $2 RETURNING key",
            self._live.schema,
            self._side.schema,
        )
        return tuple(tables), tuple(sorted({record["key"] for record in parked}))

    async def _replace_rows(
        self, conn: asyncpg.Connection, table: sa.Table, values: Mapping[str, Sequence[Any]]
    ) -> TableRebuilt:
        live, side = self._at(self._live, table), self._at(self._side, table)
        found, parameters = self._live.writers[table].matching(values)
        texts = f"{key_text(table)} AS k, ({row_text(table)})::text AS r"
        # A row of theirs whose columns were damaged is found by its primary key only.
        row = await conn.fetchrow(
            f"""WITH former AS (SELECT {texts} FROM {live} WHERE {found}
                                UNION SELECT {texts} FROM {live} WHERE {self._replayed(table)}),
                     replayed AS (SELECT {texts} FROM {side})
                SELECT count(former.k), count(replayed.k), count(*) FILTER (WHERE former.r IS DISTINCT FROM replayed.r)
                FROM former FULL JOIN replayed USING (k)""",  # noqa: S608 - quoted identifiers
            *parameters,
            timeout=LONG_SECONDS,
        )
        await conn.execute(f"DELETE FROM {live} WHERE {found}", *parameters)  # noqa: S608
        await conn.execute(f"DELETE FROM {live} WHERE {self._replayed(table)}")  # noqa: S608
        columns = ", ".join(quote(column.name) for column in table.columns)
        await conn.execute(f"INSERT INTO {live} ({columns}) SELECT {columns} FROM {side}")  # noqa: S608
        return TableRebuilt(table.name, *row)

    def _replayed(self, table: sa.Table) -> str:
        same = " AND ".join(f"s.{quote(c.name)} = t.{quote(c.name)}" for c in table.primary_key.columns)
        return f"EXISTS (SELECT FROM {quote(self._side.schema)}.{quote(table.name)} AS s WHERE {same})"

    def _refused(self, table: sa.Table, why: str) -> CannotRebuildKeys:
        return CannotRebuildKeys(
            f"{self._live.schema}: table {table.name}: {why}; mend rows_of(), or rebuild the whole projection"
        )

    def _at(self, generation: Generation, table: sa.Table) -> str:
        return f"{quote(generation.schema)}.{quote(table.name)} AS t"


def _touched(projection: Projection, handler: Any, recorded: RecordedEvent, key: str) -> Iterable[tuple[sa.Table, Key]]:
    """The rows that one event changes; none if it fails, for then it is parked."""
    rows = Rows(projection.specs)
    rows.owned_by(key)
    try:
        handler(projection, recorded.event, recorded, rows)
    except Exception:  # as in the runner: it takes no effect
        return []
    return [(table, row) for table, changes in rows.pending.items() for row in changes]

"""The head log: a table that tells blocks and their retractions in the order of the topic.

One writer leads, and each append names the position before it: a second writer is refused by the primary key. So
positions have no gaps, none becomes visible before the one below it, and readers need no fence. It is a `messaging`
feed and its own horizon: the relay publishes it as it does the main log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Self
from uuid import UUID, uuid5

import asyncpg

from chain.head.branch import WINDOW_BLOCKS, Window
from contracts.head import BlockAdded, BlockRetracted
from eventlog import EventLog, EventTypes, RecordedEvent, uuid7
from messaging.cloudevents import Encoded

STREAM = "head"
"""The key of all records."""
POLL_SECONDS = 0.1
"""How soon the relay sees what another process has appended; of its own process it hears at once."""
KEPT_DAYS = 7
KEPT_ENTRIES = 1_000
"""Never deleted, however old: the window is read from them after any outage."""
READ_BACK = 500
UNREAD = EventTypes({})
"""Of the entries' classes none is needed: what an entry says is published as it is stored."""

_APPEND = """
    WITH added AS (
        INSERT INTO head_entries
            (position, event_id, type, number, hash, data, part, solidified, occurred_at)
        SELECT $1 + nth, event_id, type, number, hash, data, part, solidified, occurred_at
        FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::int[], $8::bigint[],
                    $9::timestamptz[]) WITH ORDINALITY
             AS entry(event_id, type, number, hash, data, part, solidified, occurred_at, nth)
        WHERE $1 = (SELECT coalesce(max(position), 0) FROM head_entries)
              AND $10 IS NOT DISTINCT FROM (SELECT event_id FROM head_entries WHERE position = $1)
        RETURNING position)
    SELECT max(position) FROM added"""
_PUT_BACK = """
    INSERT INTO head_entries (event_id, type, number, hash, data, part, solidified, occurred_at, position)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::bigint[],
                         $8::timestamptz[], $9::bigint[])"""
_COLUMNS = "position, event_id, type, data, occurred_at, recorded_at"


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of the topic as JSON, and what the log must know of it; of an added block also the last two."""

    type: str
    number: int
    hash: str
    data: str
    occurred_at: datetime
    part: int | None = None
    solidified: int | None = None

    @classmethod
    def of(cls, message: BlockAdded | BlockRetracted, at: datetime) -> Self:
        """A message that happened at some time."""
        of_block = (message.part, message.solidified) if isinstance(message, BlockAdded) else ()
        return cls(message.type, message.number, message.hash, message.model_dump_json(), at, *of_block)


@dataclass(frozen=True, slots=True)
class Published:
    """An entry as the topic has it."""

    position: int
    event_id: UUID
    entry: Entry


class HeadMoved(Exception):
    """Another writer has appended meanwhile: read the window again."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the head log has come to: its last entry (0 and None: there is none), and the newest blocks that stand."""

    position: int
    event_id: UUID | None
    window: Window


class HeadLog:
    """The table `head_entries`, beside the main log `of` in one database."""

    def __init__(self, of: EventLog) -> None:
        self.pool = of.pool
        self.position = 0
        self._of = of
        self._grown = asyncio.Event()

    # ---- for its one writer -----------------------------------------------------------------------------------------

    async def told(self) -> Told:
        """What was told so far, read backwards: a retraction takes back the newest block that stands before it."""
        hashes: dict[int, str] = {}
        retracted, solidified = 0, -1
        last = position = await self._last()
        last_id = await self.event_id_at(last)
        while position > 0 and len(hashes) < WINDOW_BLOCKS:
            rows = await self.pool.fetch(
                """SELECT position, number, hash, part, solidified FROM head_entries
                   WHERE position <= $1 ORDER BY position DESC LIMIT $2""",
                position,
                READ_BACK,
            )
            for row in rows:
                if row["part"] is None:
                    retracted += 1
                    continue
                solidified = max(solidified, row["solidified"])
                if row["part"] > 1:
                    continue
                if retracted:
                    retracted -= 1
                elif len(hashes) < WINDOW_BLOCKS:
                    hashes[row["number"]] = row["hash"]
            position = rows[-1]["position"] - 1 if rows else 0
        newest = Window(min(hashes, default=0), tuple(hashes[number] for number in sorted(hashes)), solidified)
        return Told(last, last_id, newest)

    async def append(self, told: Told, entries: Sequence[Entry]) -> tuple[int, UUID]:
        """Appends entries behind what was told, all or none; returns position and id of the last. Raises HeadMoved."""
        rows = [_row(uuid7(), entry) for entry in entries]
        try:
            last = await self.pool.fetchval(_APPEND, told.position, *zip(*rows, strict=True), told.event_id)
        except asyncpg.UniqueViolationError as error:
            raise HeadMoved(f"head log: {_expected(told)}, another writer went on") from error
        if last is None:
            raise HeadMoved(f"head log: {_expected(told)}, found position {await self._last()}")
        self._grown.set()
        return int(last), rows[-1][0]

    async def put_back(self, published: AsyncIterator[Sequence[Published]]) -> None:
        """Makes the log what was published, from the first of these entries on; below it, nothing else is missing.

        One transaction. Whoever was about to append finds that the log has moved.
        """
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute("LOCK TABLE head_entries IN SHARE ROW EXCLUSIVE MODE")
            begun = False
            async for entries in published:
                if not begun:
                    first, begun = entries[0].position, True
                    kept = await conn.fetchval("SELECT max(position) FROM head_entries WHERE position < $1", first)
                    await conn.execute(
                        "DELETE FROM head_entries WHERE position >= $1", first if kept == first - 1 else 0
                    )  # with a gap between, what is below would not link
                rows = [_row(one.event_id, one.entry) for one in entries]
                await conn.execute(_PUT_BACK, *zip(*rows, strict=True), [entry.position for entry in entries])

    async def forget(self, published: int, solidified: int, days: int = KEPT_DAYS) -> int:
        """Deletes what is older than `days`, solidified and published up to there; returns how many entries."""
        deleted = await self.pool.execute(
            """DELETE FROM head_entries WHERE position < least(
                   $1, (SELECT max(position) - $4 FROM head_entries),
                   (SELECT position FROM head_entries WHERE recorded_at > now() - make_interval(days => $3)
                        OR number > $2 ORDER BY position LIMIT 1))""",
            published,
            solidified,
            days,
            KEPT_ENTRIES,
        )
        return int(deleted.removeprefix("DELETE "))

    # ---- for the relay: a feed, and its horizon ----------------------------------------------------------------------

    async def identity(self) -> UUID:
        """The id of this log, which follows from that of the main log beside it."""
        return uuid5(await self._of.identity(), STREAM)

    async def event_id_at(self, position: int) -> UUID | None:
        """The id of an entry; None where there is none."""
        found: UUID | None = await self.pool.fetchval("SELECT event_id FROM head_entries WHERE position = $1", position)
        return found

    async def following(self, after: int, upto: int, limit: int) -> list[RecordedEvent]:
        """Entries with after < position <= upto in their order, at most `limit` and about 16 MiB."""
        rows = await self.pool.fetch(
            f"""SELECT {_COLUMNS} FROM (
                    SELECT {_COLUMNS}, sum(pg_column_size(data)) OVER (ORDER BY position) - pg_column_size(data)
                           AS bytes_before
                    FROM head_entries WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3) AS entry
                WHERE bytes_before < 16777216 ORDER BY position""",  # noqa: S608 - constant columns
            after,
            upto,
            limit,
        )
        return [_recorded(*row) for row in rows]

    def read_anew(self) -> None:
        """Nothing is kept: one reader follows it."""

    async def waiting_seconds(self, after: int, upto: int) -> float:
        """Seconds since the first entry with after < position <= upto was recorded; 0 when there is none."""
        sql = """SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM head_entries
                 WHERE position > $1 AND position <= $2 ORDER BY position LIMIT 1"""
        return max(0.0, await self.pool.fetchval(sql, after, upto) or 0.0) if upto > after else 0.0

    async def beyond(self, position: int, timeout: float) -> int:  # noqa: ASYNC109 - a time-out is no error here
        """Waits until there is an entry above `position`, at most `timeout` seconds; returns the last position."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    self._grown.clear()
                    self.position = await self._last()  # asked anew: a log that was restored may have grown shorter
                    if self.position > position:
                        break
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS):
                            await self._grown.wait()
        return self.position

    async def _last(self) -> int:
        return int(await self.pool.fetchval("SELECT coalesce(max(position), 0) FROM head_entries"))


def _row(event_id: UUID, one: Entry) -> tuple[Any, ...]:
    return event_id, one.type, one.number, one.hash, one.data, one.part, one.solidified, one.occurred_at


def _recorded(position: int, event_id: UUID, kind: str, data: str, occurred: datetime, at: datetime) -> RecordedEvent:
    """An entry as an event, which is the message itself."""
    event = RecordedEvent(position, STREAM, position, event_id, kind, 1, data, "{}", occurred, at, types=UNREAD)
    event.event = Encoded(kind, data)
    return event


def _expected(told: Told) -> str:
    return f"expected entry {told.event_id} at position {told.position} to be the last"


def install_sql() -> str:
    """The SQL that creates the table; for the service's first migration."""
    return files("chain.head").joinpath("schema.sql").read_text()

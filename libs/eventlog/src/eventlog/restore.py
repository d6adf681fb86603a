"""Writing events back into a log that lost them, with the positions, versions, ids and times they had.

`begin` closes the log for all other writers, for good: a restoration that dies leaves it closed, and the next one goes
on. `finish` opens it again. All three need the tables' owner. Readers are never kept waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from eventlog.errors import RestoreRefused

LOCK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of `events`; `data` and `metadata` are JSON texts as PostgreSQL stored them."""

    position: int
    stream: str
    version: int
    event_id: UUID
    type: str
    type_version: int
    data: str
    metadata: str
    occurred_at: datetime
    recorded_at: datetime


COLUMNS = StoredEvent.__slots__


async def end_of_log(conn: asyncpg.Connection) -> int:
    """Returns the position of the last event, 0 when there is none."""
    return int(await conn.fetchval("SELECT coalesce(max(position), 0) FROM events"))


async def begin(conn: asyncpg.Connection) -> int:
    """Closes the log to everybody but `conn`; returns the position after which events are missing.

    One that was begun before and never finished goes on: it has the position of the first time. Raises RestoreRefused
    when somebody holds the log for longer than ten seconds.
    """
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            await conn.execute("ALTER TABLE events ENABLE TRIGGER events_closed")  # waits for appends under way
            await conn.execute(
                "INSERT INTO log_restore (after_position) SELECT coalesce(max(position), 0) FROM events "
                "ON CONFLICT DO NOTHING"
            )
    except asyncpg.LockNotAvailableError as error:
        raise RestoreRefused(f"the log: expected no appends under way, found some after {LOCK_SECONDS} s") from error
    await conn.execute("SET eventlog.restoring = 'on'")
    return int(await conn.fetchval("SELECT after_position FROM log_restore"))


async def write(conn: asyncpg.Connection, rows: Sequence[StoredEvent]) -> None:
    """Writes events, in order of position, behind the log's last one; all of them or none.

    Raises RestoreRefused when a version is not the next one of its stream.
    """
    async with conn.transaction():
        names = list({row.stream for row in rows})
        found = await conn.fetch("SELECT stream, version FROM streams WHERE stream = ANY ($1)", names)
        versions = {row["stream"]: row["version"] for row in found}
        for row in rows:
            if row.version != (expected := versions.get(row.stream, 0) + 1):
                raise RestoreRefused(
                    f"event at position {row.position}, stream {row.stream}: expected version {expected}, "
                    f"got {row.version}: events are missing before it"
                )
            versions[row.stream] = expected
        records = [tuple(getattr(row, name) for name in COLUMNS) for row in rows]
        await conn.copy_records_to_table("events", records=records, columns=COLUMNS)
        await conn.execute(
            """INSERT INTO streams SELECT * FROM unnest($1::text[], $2::bigint[])
               ON CONFLICT (stream) DO UPDATE SET version = excluded.version""",
            list(versions),
            list(versions.values()),
        )
        # Before the commit, so that no position is ever drawn twice; never backwards.
        await conn.execute(
            """SELECT setval('events_position', $1) FROM events_position
               WHERE $1 > CASE WHEN is_called THEN last_value ELSE last_value - 1 END""",
            rows[-1].position,
        )


async def finish(conn: asyncpg.Connection) -> UUID:
    """Opens the log again; returns its id, a new one if events were written.

    A new id, because positions that were drawn before the loss and never seen outside will be drawn again.
    """
    async with conn.transaction():
        await conn.execute("ALTER TABLE events DISABLE TRIGGER events_closed")
        await conn.execute(
            """UPDATE log_identity SET log_id = gen_random_uuid()
               WHERE EXISTS (SELECT FROM events, log_restore WHERE position > after_position)"""
        )
        await conn.execute("DELETE FROM log_restore")
        await conn.execute("NOTIFY events")
    await conn.execute("RESET eventlog.restoring")
    identity: Any = await conn.fetchval("SELECT log_id FROM log_identity")
    return UUID(str(identity))

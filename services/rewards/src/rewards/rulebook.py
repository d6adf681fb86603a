"""The rule book as a process holds it, and how a change of it meets the decisions under way.

Whoever decides holds a shared lock until the commit, whoever publishes an exclusive one. So a publication waits for the
decisions that were made by the old book, and those that follow read the new one: no two processes ever decide by
different books. An advisory lock, since a kind whose first rule is still built in has no row that could be locked.
"""

from __future__ import annotations

from time import monotonic

import asyncpg

from contracts.chain import Pool
from eventlog import EventLog, Execution, Executor, Intent
from rewards.domain.rules import BUILT_IN_BOOK, NOTICE, Editions, Rulebook, evolve_editions, rules_stream

_LOCK = (1095650892, 2)  # of advisory locks: the first number is Annals', the second ours in this database
RECENT_SECONDS = NOTICE.total_seconds() / 10
_STREAMS = {rules_stream(kind): kind for kind in BUILT_IN_BOOK}


class Rules:
    """All versions of all rules, read again only once there are more."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._seen = dict.fromkeys(_STREAMS, 0)
        self._book: dict[Pool, Editions] = dict(BUILT_IN_BOOK)
        self._read_at = -RECENT_SECONDS

    async def recent(self) -> Rulebook:
        """All rules as of a minute ago or later: those in force now are among them, for each is published earlier."""
        began = monotonic()
        if began - self._read_at >= RECENT_SECONDS:
            await self.now()
            self._read_at = began
        return dict(self._book)

    async def now(self, conn: asyncpg.Connection | None = None) -> Rulebook:
        """All rules that are published, those too that are not in force yet."""
        sql = "SELECT stream, version FROM streams WHERE stream = ANY ($1)"
        rows = await (conn or self._log.pool).fetch(sql, list(_STREAMS))
        if grown := {stream: self._seen[stream] for stream, version in rows if version > self._seen[stream]}:
            for recorded in await self._log.read_streams(grown, conn):
                if recorded.version == self._seen[recorded.stream] + 1:  # another task may have been faster
                    kind = _STREAMS[recorded.stream]
                    self._book[kind] = evolve_editions(self._book[kind], recorded.event)
                    self._seen[recorded.stream] = recorded.version
        return dict(self._book)

    async def held(self, conn: asyncpg.Connection) -> Rulebook:
        """All rules; nobody publishes another one until the transaction of `conn` ends."""
        await conn.execute(f"SELECT pg_advisory_xact_lock_shared{_LOCK}")
        return await self.now(conn)

    async def publish(self, executor: Executor, intent: Intent) -> Execution:
        """Publishes a rule once the decisions under way are made. Raises RefusedRule."""
        async with self._log.pool.acquire() as conn, conn.transaction():
            await conn.execute(f"SELECT pg_advisory_xact_lock{_LOCK}")
            execution = await executor.execute([intent], conn)
        execution.committed()
        return execution

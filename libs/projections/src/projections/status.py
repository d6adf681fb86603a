"""How fresh the projections are: for `annals status`, for readiness, and for reads right after a write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import asyncpg

from eventlog import EventLog, share_sql
from projections.control import controls
from projections.generation import Suffix
from projections.projection import Projection

_GENERATION = re.compile(r"^(?P<live>(?P<name>.+?)_v(?P<version>\d+))(?P<suffix>_new|_old|_audit|_keys|_asof_\w+)?$")


@dataclass(frozen=True, slots=True)
class Status:
    """One version of a projection: where it is, how far behind, what is parked, which generations exist."""

    name: str
    version: int
    schema: str
    position: int
    """Of the slowest partition, and so is the lag."""
    lag_events: int
    """Positions between the checkpoint and the end of the log; positions have holes, so at least the events missing."""
    lag_seconds: float
    """Age of the oldest event not yet applied; 0 when caught up."""
    parked_keys: int
    parked_events: int
    generations: dict[str, int]
    """Position of each schema: the live one, and `_new`, `_old`, `_audit`, `_keys`, `_asof_…` where they exist."""
    partitions: int
    """Checkpoints of the live rows that move by themselves: 1 unless they are divided."""
    furthest: int
    """Position of the partition that is furthest."""
    paused: str | None = None
    """Who paused the live rows, since when and why."""
    rebuild_paused: str | None = None
    """The same of a rebuild."""


async def status(pool: asyncpg.Pool, log: EventLog) -> list[Status]:
    """The status of every projection that has rows in this database, by name and version."""
    end = await pool.fetchval("SELECT coalesce(max(position), 0) FROM events")
    records = await pool.fetch(
        """SELECT p.*, l.keys, l.events FROM progress AS p CROSS JOIN LATERAL (
               SELECT count(DISTINCT key) AS keys, count(*) AS events FROM dead_letters
               WHERE subscription = p.subscription) AS l
           ORDER BY p.subscription"""
    )
    asked = {subscription: control.paused for subscription, control in (await controls(pool)).items()}
    found: dict[tuple[str, int, str], dict[str, asyncpg.Record]] = {}
    for record in records:
        if match := _GENERATION.match(record["subscription"]):
            found.setdefault((match["name"], int(match["version"]), match["live"]), {})[record["subscription"]] = record
    result = []
    for (name, version, schema), generations in sorted(found.items()):
        live = generations.get(schema)
        position = live["position"] if live else 0
        waiting = await log.read(position, end, limit=1) if position < end else []
        result.append(
            Status(
                name=name,
                version=version,
                schema=schema,
                position=position,
                lag_events=max(0, end - position) if waiting else 0,
                lag_seconds=max(0.0, (datetime.now(UTC) - waiting[0].recorded_at).total_seconds()) if waiting else 0.0,
                parked_keys=live["keys"] if live else 0,
                parked_events=live["events"] if live else 0,
                generations={schema: record["position"] for schema, record in generations.items()},
                partitions=live["partitions"] if live else 1,
                furthest=live["furthest"] if live else 0,
                paused=asked.get(schema),
                rebuild_paused=asked.get(schema + Suffix.NEW),
            )
        )
    return result


class Token(Protocol):
    """What a command returned: the stream it wrote to and the position of its last event there."""

    @property
    def stream(self) -> str: ...
    @property
    def position(self) -> int: ...


class Freshness:
    """How far the live rows of one projection are, for queries that wait for a write and for readiness."""

    def __init__(self, pool: asyncpg.Pool, projection: type[Projection] | Projection) -> None:
        self._pool = pool
        self._schema = projection.schema
        declared = projection if isinstance(projection, type) else type(projection)
        self._by_stream = declared.key is Projection.key

    async def position(self, token: Token | None = None) -> int:
        """Everything up to this position has taken effect or is parked; 0 if the projection has no rows yet.

        Of divided rows it is the position of the partition that has the token's stream; of the slowest one without a
        token, or if the projection's keys are not streams.
        """
        position: int | None = await self._pool.fetchval(
            f"""WITH partitions AS MATERIALIZED (
                    SELECT subscription, position, count(*) OVER () AS n FROM checkpoints
                    WHERE starts_with(subscription, $1 || '#'))
                SELECT coalesce((SELECT position FROM checkpoints WHERE subscription = $1),
                                (SELECT position FROM partitions
                                 WHERE subscription = format('%s#%s/%s', $1, {share_sql("$2::text", "n")}, n)),
                                (SELECT min(position) FROM partitions))""",  # noqa: S608 - constants
            self._schema,
            token.stream if token is not None and self._by_stream else None,
        )
        return position or 0

    async def parked(self, token: Token) -> str | None:
        """Why the events that `token` stands for have not taken effect; None if they are not parked."""
        reason: str | None = await self._pool.fetchval(
            """SELECT coalesce(head.error, 'an earlier event of its key failed') FROM dead_letters AS l
               JOIN LATERAL (SELECT error FROM dead_letters WHERE subscription = l.subscription AND key = l.key
                             ORDER BY position LIMIT 1) AS head ON true
               WHERE l.subscription = $1 AND (l.position = $2 OR (l.key = $3 AND l.position < $2)) LIMIT 1""",
            self._schema,
            token.position,
            token.stream,
        )
        return reason

    async def paused(self) -> str | None:
        """Who paused the projection, since when and why; None while it runs."""
        found = await controls(self._pool, [self._schema])
        return found[self._schema].paused if found else None

    async def lag(self) -> int:
        """Positions that the live rows are behind the log; 0 means caught up."""
        lag: int = await self._pool.fetchval(
            """SELECT coalesce((SELECT max(position) FROM events), 0)
                    - coalesce((SELECT position FROM progress WHERE subscription = $1), 0)""",
            self._schema,
        )
        return max(0, lag)

"""Partitions by hash of the key: each is fed by itself, in any order, and has a checkpoint of its own until they unite.

The checkpoint of partition 0 of 2 is called `<schema>#0/2`; that of the generation says NULL until they unite. During a
rebuild it carries, beside the fingerprint of the tables, the run that it belongs to: a worker that outlived its rebuild
cannot move it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import asyncpg

from eventlog import EventLog, EventTypes, RecordedEvent, Share
from projections.batch import Batch, key_of
from projections.errors import Fenced
from projections.feed import BATCH_EVENTS, SCAN, read_batch
from projections.generation import Generation
from projections.projection import Projection


class Partition(Generation):
    """The share of a generation's keys that one worker feeds; `run` is the rebuild that it works for."""

    def __init__(self, projection: Projection, types: EventTypes, suffix: str, share: Share, run: str = "") -> None:
        super().__init__(projection, types, suffix)
        self.share = share
        self.checkpoint = checkpoint_of(self.schema, share)
        self.fingerprint = _of_run(self, run)

    async def read(
        self, log: EventLog, after: int, upto: int, limit: int = BATCH_EVENTS, conn: asyncpg.Connection | None = None
    ) -> Batch:
        """The next batch of this partition. PostgreSQL deals out streams; other keys are dealt out here."""
        share = self.share if self.by_stream else None
        upto = min(upto, after + SCAN)
        batch = await read_batch(log, after, upto, limit, types=list(self.handlers), conn=conn, share=share)
        if self.by_stream:
            return batch
        return Batch(batch.after, batch.upto, [recorded for recorded in batch.events if self._owns(recorded)])

    def _owns(self, recorded: RecordedEvent) -> bool:
        key = key_of(self, recorded)
        return crc32(key.encode(errors="surrogatepass")) % self.share.count == self.share.index


def checkpoint_of(schema: str, share: Share) -> str:
    """The name of a partition's checkpoint."""
    return f"{schema}#{share.index}/{share.count}"


async def left_over(conn: asyncpg.Connection, generation: Generation) -> bool:
    """Whether a run was broken off after it had divided this generation and before it had united it."""
    return bool(await shares(conn, generation))


async def divide(
    conn: asyncpg.Connection, generation: Generation, count: int, run: str = ""
) -> list[tuple[Share, int]]:
    """Give each of `count` partitions a checkpoint at the generation's position; returns shares and positions.

    Partitions that a broken-off run left are taken over as they are, so that its workers, should any still be at work,
    are fenced.
    """
    async with conn.transaction():
        if not await shares(conn, generation):
            await conn.execute(
                """INSERT INTO checkpoints (subscription, position, fingerprint)
                   SELECT subscription || '#' || i || '/' || $2, position, ''
                   FROM checkpoints, generate_series(0, $2 - 1) AS i WHERE subscription = $1""",
                generation.schema,
                count,
            )
            await conn.execute("UPDATE checkpoints SET position = NULL WHERE subscription = $1", generation.schema)
        await conn.execute(
            "UPDATE checkpoints SET fingerprint = $2 WHERE starts_with(subscription, $1 || '#')",
            generation.schema,
            _of_run(generation, run),
        )
        return await shares(conn, generation)


async def unite(conn: asyncpg.Connection, generation: Generation, position: int, run: str = "") -> None:
    """Make one checkpoint of the partitions, which have all reached `position`. Raises Fenced."""
    async with conn.transaction():
        rows = await conn.fetch(
            """DELETE FROM checkpoints WHERE starts_with(subscription, $1 || '#') AND fingerprint = $2
               RETURNING position""",
            generation.schema,
            _of_run(generation, run),
        )
        if not rows or any(row["position"] != position for row in rows):
            raise Fenced(f"{generation.schema}: expected all partitions at {position}, found {[*map(tuple, rows)]}")
        await conn.execute(
            "UPDATE checkpoints SET position = $2, updated_at = now() WHERE subscription = $1",
            generation.schema,
            position,
        )


async def shares(conn: asyncpg.Connection, generation: Generation) -> list[tuple[Share, int]]:
    """The shares that a generation is divided into, and how far each is; empty if it is whole."""
    rows: Sequence[asyncpg.Record] = await conn.fetch(
        "SELECT subscription, position FROM checkpoints WHERE starts_with(subscription, $1 || '#') ORDER BY 1",
        generation.schema,
    )
    return [(_share(row["subscription"]), row["position"]) for row in rows]


def _share(checkpoint: str) -> Share:
    index, count = checkpoint.rpartition("#")[2].split("/")
    return Share(int(index), int(count))


def _of_run(generation: Generation, run: str) -> str:
    return f"{generation.fingerprint} {run}".rstrip()

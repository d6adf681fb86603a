"""Offsets in PostgreSQL: claimed by an instance, moved by compare-and-set.

A claim raises the partition's epoch, so an earlier owner that has not yet noticed its loss cannot move the offset any
more. The update also locks the row, so that a claim waits for the batch that is being committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from messaging.errors import Fenced, Recovering, TopicRecreated

logger = logging.getLogger(__name__)

FORMER_OWNER_SECONDS = 10.0
"""How long a claim waits for the transaction of whom Kafka took the partition from, before it ends it."""

_CLAIM = """
    INSERT INTO offsets AS o (consumer_group, topic, partition, topic_id, next_offset, epoch, owner)
    SELECT $1::text, $2, $3, $4, $5, 1, $6 WHERE NOT EXISTS (SELECT FROM recovering WHERE consumer_group = $1)
    ON CONFLICT (consumer_group, topic, partition) DO UPDATE
    SET epoch = o.epoch + 1, owner = excluded.owner, claimed_at = clock_timestamp()
    WHERE o.topic_id = excluded.topic_id
    RETURNING next_offset, epoch"""


@dataclass(slots=True)
class Claim:
    """A partition of ours: the next offset to handle and the epoch under which we may move it."""

    next_offset: int
    epoch: int


async def claim(
    pool: asyncpg.Pool, group: str, partition: TopicPartition, topic_id: UUID, beginning: int, owner: str
) -> Claim:
    """Takes a partition over and returns where to go on; at `beginning` when the group never read it.

    Raises TopicRecreated when the stored offset belongs to a topic of the same name that is gone, Recovering until a
    recovery of the log has said which messages took effect.
    """
    async with pool.acquire() as connection:
        row = await _ending_former_owners(
            pool,
            connection,
            connection.fetchrow(_CLAIM, group, partition.topic, partition.partition, topic_id, beginning, owner),
        )
    if row is None:
        if begun := await pool.fetchval("SELECT begun_at FROM recovering WHERE consumer_group = $1", group):
            raise Recovering(
                f"group {group}: its log is being recovered since {begun:%Y-%m-%d %H:%M:%S %Z}; if nothing does that "
                f"any more: annals log recover {group} --from-topic"
            )
        stored = await pool.fetchval(
            "SELECT topic_id FROM offsets WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
            group, partition.topic, partition.partition,
        )  # fmt: skip
        raise TopicRecreated(
            f"{partition.topic}[{partition.partition}]: offsets of group {group} belong to the topic with id {stored}, "
            f"found {topic_id}: it was deleted and created again; delete the group's rows in table offsets to read "
            "the new topic from its beginning"
        )
    return Claim(row["next_offset"], row["epoch"])


async def _ending_former_owners(
    pool: asyncpg.Pool, connection: asyncpg.Connection, claiming: Awaitable[asyncpg.Record | None]
) -> asyncpg.Record | None:
    """Awaits a claim made on `connection`, however its row is held.

    A frozen process may hold it for ever: no time-out of PostgreSQL's ends a transaction in the middle of a COPY.
    """
    task = asyncio.ensure_future(claiming)
    try:
        while not (await asyncio.wait({task}, timeout=FORMER_OWNER_SECONDS))[0]:
            ended = await pool.fetch(
                """SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid = ANY (pg_blocking_pids($1)) AND wait_event_type IS DISTINCT FROM 'Lock'""",
                connection.get_server_pid(),
                timeout=FORMER_OWNER_SECONDS,  # a server that is silent is away
            )
            pids = [row["pid"] for row in ended]
            logger.warning("ended the transactions of processes %s, which held a partition that is ours", pids)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def advance(
    connection: asyncpg.Connection, group: str, moves: Mapping[TopicPartition, tuple[Claim, int]]
) -> None:
    """Moves the offset of each partition from its claim's to the given one, all or none.

    Raises Fenced when a partition was claimed by another instance or stands elsewhere: the caller rolls back.
    """
    status = await connection.execute(
        """UPDATE offsets AS o SET next_offset = m.next_offset, moved_at = clock_timestamp()
           FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[])
                AS m(topic, partition, expected, epoch, next_offset)
           WHERE o.consumer_group = $1 AND o.topic = m.topic AND o.partition = m.partition
             AND o.next_offset = m.expected AND o.epoch = m.epoch""",
        group,
        [partition.topic for partition in moves],
        [partition.partition for partition in moves],
        [claimed.next_offset for claimed, _ in moves.values()],
        [claimed.epoch for claimed, _ in moves.values()],
        [next_offset for _, next_offset in moves.values()],
    )
    if (moved := int(status.split()[-1])) != len(moves):
        places = ", ".join(f"{p.topic}[{p.partition}]@{c.next_offset}" for p, (c, _) in moves.items())
        raise Fenced(f"group {group}: expected to own {places}, found only {moved} of {len(moves)} unchanged")


async def hold(connection: asyncpg.Connection, group: str, partition: TopicPartition, claimed: Claim) -> None:
    """Keeps the partition ours until the transaction ends, without moving its offset. Raises Fenced."""
    held = await connection.fetchval(
        """SELECT true FROM offsets
           WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND epoch = $4 FOR UPDATE""",
        group, partition.topic, partition.partition, claimed.epoch,
    )  # fmt: skip
    if not held:
        raise Fenced(f"group {group}: {partition.topic}[{partition.partition}] is owned by another instance")

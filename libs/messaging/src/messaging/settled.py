"""Messages that took effect although the offsets, as old as the backup they were restored from, stand before them.

A recovered log says which messages led to its events (`causation_id`) and which were given up. Messages of a key are
handled in order, so one that took effect settles all before it of its key: also those that led to nothing, which
decided anew, on a later state, might lead to something. One that was given up settles only itself. All others are
handled as if for the first time: those put aside, those behind them, and those whose effects are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
from aiokafka import TopicPartition

from messaging import parking
from messaging.cloudevents import Headers
from messaging.connection import Kafka
from messaging.parking import Key
from messaging.reading import OnProgress, Step, reading

PARKED_AT_ONCE = 1_000

Message = tuple[int, bytes | None, str]
"""Offset, key and id."""


async def begin(connection: asyncpg.Connection, group: str) -> None:
    """Stops the group's instances, those that run and those to come, until `finish`."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE offsets IN SHARE ROW EXCLUSIVE MODE")  # waits for batches under way
        await connection.execute("INSERT INTO recovering VALUES ($1) ON CONFLICT DO NOTHING", group)
        await connection.execute("UPDATE offsets SET epoch = epoch + 1 WHERE consumer_group = $1", group)


async def settle(
    connection: asyncpg.Connection, kafka: Kafka, group: str, topics: Sequence[str], after: int, on_progress: OnProgress
) -> int:
    """Finds the messages behind the stored offsets whose effects the log has at positions above `after`.

    Returns how many there are. Repeating it changes nothing.
    """
    await _collect_causes(connection, after)
    found = await _settle_parked(connection, group)
    async with reading(kafka, topics) as reader:
        for partition, extent in reader.extents.items():
            start = await connection.fetchval(
                "SELECT next_offset FROM offsets WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                group, partition.topic, partition.partition,
            )  # fmt: skip
            async for records in reader.records(partition, start):
                messages = [(record.offset, record.key, _message_id(record.headers)) for record in records]
                found += await _settle(connection, group, partition, messages)
                on_progress(Step(f"{partition.topic}[{partition.partition}]", records[-1].offset + 1, extent.end))
    return found


async def finish(connection: asyncpg.Connection, group: str) -> None:
    """Drops parked messages that are settled, frees those behind them, and lets the group's instances go on.

    To be called in a transaction.
    """
    await connection.execute(
        """DELETE FROM parked AS p USING settled AS s
           WHERE p.consumer_group = $1 AND p.discarded_at IS NULL AND p.reason <> 'unknown'
             AND (s.consumer_group, s.topic, s.partition, s.key_hash)
               = (p.consumer_group, p.topic, p.partition, p.key_hash)
             AND p."offset" >= s.first_offset AND p."offset" < s.next_offset""",
        group,
    )
    await connection.execute(
        """UPDATE parked AS p SET retry_at = clock_timestamp()
           WHERE consumer_group = $1 AND reason = 'behind' AND discarded_at IS NULL AND NOT EXISTS (
               SELECT FROM parked AS q
               WHERE q.consumer_group = $1 AND q.topic = p.topic AND q.key_hash = p.key_hash
                 AND q."offset" < p."offset" AND q.discarded_at IS NULL AND q.reason <> 'unknown')""",
        group,
    )
    await connection.execute("DELETE FROM recovering WHERE consumer_group = $1", group)


async def settled(connection: asyncpg.Connection, group: str, keys: Iterable[Key]) -> Mapping[Key, list[range]]:
    """Returns the offsets of the settled messages of those keys that have any."""
    names = list(set(keys))
    rows = await connection.fetch(
        """SELECT k.topic, k.key, s.first_offset, s.next_offset
           FROM unnest($2::text[], $3::bytea[]) AS k(topic, key)
           JOIN settled AS s ON s.consumer_group = $1 AND s.topic = k.topic AND s.key_hash = sha256(k.key)""",
        group,
        [topic for topic, _ in names],
        [key for _, key in names],
    )
    found: dict[Key, list[range]] = {}
    for topic, key, first, following in rows:
        found.setdefault((topic, key), []).append(range(first, following))
    return found


async def _collect_causes(connection: asyncpg.Connection, after: int) -> None:
    await connection.execute("CREATE TEMP TABLE IF NOT EXISTS causes (message_id text PRIMARY KEY, given_up boolean)")
    await connection.execute("TRUNCATE causes")
    await connection.execute(
        """INSERT INTO causes
           SELECT metadata->>'causation_id', bool_and(type = 'MessageDiscarded') FROM events
           WHERE position > $1 AND metadata->>'causation_id' IS NOT NULL GROUP BY 1""",
        after,
    )
    await connection.execute("ANALYZE causes")


async def _settle_parked(connection: asyncpg.Connection, group: str) -> int:
    number = last = 0
    while rows := await connection.fetch(
        """SELECT id, topic, partition, key, "offset", headers FROM parked
           WHERE consumer_group = $1 AND discarded_at IS NULL AND reason <> 'unknown' AND id > $2
           ORDER BY id LIMIT $3""",
        group, last, PARKED_AT_ONCE,
    ):  # fmt: skip
        last = rows[-1]["id"]
        by_partition: dict[TopicPartition, list[Message]] = {}
        for row in rows:
            message = (row["offset"], row["key"], _message_id(parking.unpack(row["headers"])))
            by_partition.setdefault(TopicPartition(row["topic"], row["partition"]), []).append(message)
        for partition, messages in by_partition.items():
            number += await _settle(connection, group, partition, messages)
    return number


async def _settle(
    connection: asyncpg.Connection, group: str, partition: TopicPartition, messages: Iterable[Message]
) -> int:
    """Notes those messages of a partition that took effect or were given up; returns how many."""
    keyed = {message_id: (offset, key) for offset, key, message_id in messages if key is not None}
    found = await connection.fetch("SELECT message_id, given_up FROM causes WHERE message_id = ANY ($1)", list(keyed))
    rows: dict[tuple[bytes, int], int] = {}
    for message_id, given_up in found:
        offset, key = keyed[message_id]
        place = (key, offset if given_up else 0)
        rows[place] = max(rows.get(place, 0), offset + 1)
    await connection.execute(
        """INSERT INTO settled AS s (consumer_group, topic, partition, key_hash, first_offset, next_offset)
           SELECT $1, $2, $3, sha256(key), first_offset, next_offset
           FROM unnest($4::bytea[], $5::bigint[], $6::bigint[]) AS m(key, first_offset, next_offset)
           ON CONFLICT (consumer_group, topic, partition, key_hash, first_offset)
           DO UPDATE SET next_offset = greatest(s.next_offset, excluded.next_offset)""",
        group, partition.topic, partition.partition,
        [key for key, _ in rows], [first for _, first in rows], list(rows.values()),
    )  # fmt: skip
    return len(found)


def _message_id(headers: Headers) -> str:
    """The message's id; an empty one, which causes nothing, for a record that has none."""
    value = next((value for name, value in headers if name == "ce_id"), None)
    return (value or b"").decode(errors="replace").replace("\0", "")

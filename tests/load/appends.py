"""Appending: in batches against COPY, singly against bare commits, sealed against in clear; the size of an event."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg
from books import AT, STREAMS, TYPES, payment
from harness import Goal, Path, per_second
from pydantic import SecretStr
from servers import Servers

import privacy
from eventlog import EventTypes, NewEvent
from privacy import DEVELOPMENT, Keks, KeyStore, Personal, Sealed, Vault

BATCHES, BATCH = 40, 1_000
CLIENTS, SINGLES = 16, 8_000
COLUMNS = ("stream", "version", "event_id", "type", "type_version", "data", "metadata", "occurred_at")


async def append_batch(servers: Servers) -> float:
    async with servers.empty_log() as log:
        batches = [[payment(start + i) for i in range(BATCH)] for start in range(0, BATCHES * BATCH, BATCH)]

        async def work() -> None:
            for batch in batches:
                await log.append(batch)

        return await per_second(BATCHES * BATCH, work)


async def copy_rows(servers: Servers) -> float:
    """The same rows, ready made, by COPY into the same table with its indexes; a commit after each batch."""
    async with servers.empty_log() as log, log.pool.acquire() as conn:
        rows = [row(payment(number), number // STREAMS + 1) for number in range(BATCHES * BATCH)]

        async def work() -> None:
            for start in range(0, BATCHES * BATCH, BATCH):
                await conn.copy_records_to_table("events", records=rows[start : start + BATCH], columns=COLUMNS)

        return await per_second(BATCHES * BATCH, work)


async def append_single(servers: Servers) -> float:
    async with servers.empty_log() as log:

        async def client(number: int) -> None:
            stream = f"client/{number}"
            for version in range(SINGLES // CLIENTS):
                await log.append([payment(version, stream)], {stream: version})

        await log.append([payment(0)])  # so that the statements are prepared, as they are below
        return await per_second(SINGLES, lambda: asyncio.gather(*(client(number) for number in range(CLIENTS))))


async def commit_rows(servers: Servers) -> float:
    """The same rows, ready made, one commit each into the same table, by clients with a connection of their own."""
    async with servers.empty_log() as log:
        connections = [await log.pool.acquire() for _ in range(CLIENTS)]
        insert = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        rows = [[row(payment(v, f"client/{n}"), v + 1) for v in range(SINGLES // CLIENTS)] for n in range(CLIENTS)]

        async def client(conn: asyncpg.Connection, own: list[tuple[Any, ...]]) -> None:
            statement = await conn.prepare(insert)
            for one in own:
                await statement.fetch(*one)

        clients = (client(conn, own) for conn, own in zip(connections, rows, strict=True))
        measured = await per_second(SINGLES, lambda: asyncio.gather(*clients))
        for conn in connections:
            await log.pool.release(conn)
        return measured


@dataclass(frozen=True, slots=True)
class Reached:
    """A customer and how it is reached."""

    subject: str
    number: int
    email: Sealed


@dataclass(frozen=True, slots=True)
class ReachedInClear:
    """The same as no log may have it."""

    subject: str
    number: int
    email: str


REACHED = EventTypes({"Reached.v1": Reached, "ReachedInClear.v1": ReachedInClear})


async def append_sealed(servers: Servers) -> float:
    """Events of a thousand people with a personal field each, sealed and appended; their keys are there already."""
    async with servers.empty_log(REACHED) as log:
        await log.pool.execute(privacy.install_sql())
        vault = Vault(KeyStore(log.pool, Keks.parse(DEVELOPMENT)))
        people = [[personal(start + number) for number in range(BATCH)] for start in range(0, BATCHES * BATCH, BATCH)]
        await vault.seal(people[0])

        async def work() -> None:
            for batch in people:
                sealed = await vault.seal(batch)
                await log.append(
                    [of(number, Reached(email.subject, number, email)) for number, email in enumerate(sealed)]
                )

        return await per_second(BATCHES * BATCH, work)


async def append_clear(servers: Servers) -> float:
    """The same events with the same texts in clear."""
    async with servers.empty_log(REACHED) as log:
        people = [[personal(start + number) for number in range(BATCH)] for start in range(0, BATCHES * BATCH, BATCH)]

        async def work() -> None:
            for batch in people:
                clear = [ReachedInClear(p.subject, n, p.value.get_secret_value()) for n, p in enumerate(batch)]
                await log.append([of(number, event) for number, event in enumerate(clear)])

        return await per_second(BATCHES * BATCH, work)


def personal(number: int) -> Personal:
    subject = f"user-{number % BATCH}"
    return Personal(subject, "email", SecretStr(f"{subject}.{number:08}@customers.example"))


def of(number: int, event: Reached | ReachedInClear) -> NewEvent:
    return NewEvent(f"account/{number % STREAMS}", event, AT)


def row(event: Any, version: int) -> tuple[Any, ...]:
    return (event.stream, version, event.event_id, *TYPES.encode(event.event), "{}", AT)


async def bytes_per_event(servers: Servers) -> float:
    log = await servers.filled_log(servers.events)
    total = await log.pool.fetchval("SELECT pg_total_relation_size('events') + pg_total_relation_size('streams')")
    return float(total) / servers.events


async def bytes_of_data(servers: Servers) -> float:
    """What the JSON of these events takes as text: the least that any log has to keep."""
    log = await servers.filled_log(servers.events)
    return float(await log.pool.fetchval("SELECT avg(length(data::text)) FROM events"))


PATHS = (
    Path("append_batch", "events/s", append_batch, copy_rows, Goal(ratio=0.8)),
    Path("append_single", "events/s", append_single, commit_rows, Goal(ratio=0.9), runs=5),
    Path("personal", "events/s", append_sealed, append_clear, Goal(ratio=0.6)),
    Path("bytes_per_event", "bytes", bytes_per_event, bytes_of_data, Goal(ours=600, at_most=True), runs=1),
)

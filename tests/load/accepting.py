"""Whether somebody has accepted the terms, among a million acceptances, against a bare look-up of one row."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from statistics import median, quantiles

import asyncpg
from harness import Goal, Path, say
from pydantic import SecretStr
from servers import Servers
from serving import Served, served

import projections
from compliance import domain, queries
from compliance.app import create
from compliance.projections import AcceptanceRecords, ComplianceIndex, Documents, Wallets
from compliance.settings import ComplianceSettings
from contracts.chain import DocumentType
from contracts.testing import EPOCH, address, hash_of
from eventlog import EventLog, EventTypes, NewEvent, Watermark
from projections import Runner
from service import Queries, Service, seeing_all

SUBJECTS = 500_000  # of whom each has accepted two documents
WITH_WALLET = 50_000
APPENDED = 5_000
ASKED = 5_000
TEXT = hash_of("text")
READ = (Documents(), AcceptanceRecords(), ComplianceIndex(), Wallets())


async def answered(servers: Servers) -> float:
    """p99 in µs from the request to its answer, in one process with the client, one request after the other."""
    service, client = await _served(servers)
    assert service.queries is not None
    assert service.pool is not None

    async def ask(subject: str) -> None:
        answer = await client.get(f"/subjects/{subject}/accepted/terms")
        assert answer.json()["accepted"], answer.text

    reads = Queries("compliance", service.queries, service.pool)

    asked = {"document_type": "terms", "version": None, "now": datetime.now(UTC)}

    async def query(subject: str) -> None:
        with seeing_all():  # as a service that asks
            assert await reads.all(queries.has_accepted(), subject=subject, **asked)

    said = await _microseconds(query)
    say(f"the query alone: p50 {median(said):,.0f} µs, p99 {_p99(said):,.0f} µs")
    took = await _microseconds(ask)
    say(f"has_accepted: p50 {median(took):,.0f} µs, p99 {_p99(took):,.0f} µs")
    return _p99(took)


async def looked_up(servers: Servers) -> float:
    """p99 in µs of one row by asyncpg: no wallets, no withdrawals, no text, no version in force."""
    service, _ = await _served(servers)
    assert service.pool is not None
    async with service.pool.acquire() as connection:

        async def look(subject: str) -> None:
            assert await connection.fetchrow(
                "SELECT accepted_at FROM acceptance_records_v1.acceptance_records "
                "WHERE subject = $1 AND document_type = 'terms' AND version = 1",
                subject,
            )

        return _p99(await _microseconds(look))


async def _microseconds(ask: Callable[[str], Awaitable[None]]) -> list[float]:
    chance = random.Random(1)
    took = []
    for number in range(ASKED + 100):
        subject = f"user-{chance.randrange(SUBJECTS)}"
        began = time.perf_counter()
        await ask(subject)
        if number >= 100:  # before, connections are opened and statements prepared
            took.append((time.perf_counter() - began) * 1e6)
    return took


def _p99(took: list[float]) -> float:
    return quantiles(took, n=100)[98]


async def _served(servers: Servers) -> Served:
    return await served(servers, _created, _fill, "service")


def _created(database_url: SecretStr, jwt_public_key: str) -> Service:
    return create(ComplianceSettings(database_url=database_url, jwt_public_key=jwt_public_key))


async def _fill(pool: asyncpg.Pool) -> None:
    """The log, and the read models that are asked."""
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)
    batch: list[NewEvent] = []
    for event in _events():
        batch.append(event)
        if len(batch) == APPENDED:
            await log.append(batch)
            batch = []
    await log.append(batch)
    await Runner(pool, log, watermark, READ).create_missing()
    for model in READ:
        await projections.rebuild(pool, log, watermark, model)
        for table in (*model.tables, *model.totals):
            await pool.execute(f"VACUUM ANALYZE {model.live(table).fullname}")


def _events() -> Iterator[NewEvent]:
    for kind in (DocumentType.TERMS, DocumentType.PRIVACY):
        published = domain.DocumentPublished(kind, 1, TEXT, "ipfs://x", None, None)
        yield NewEvent(f"document/{kind.label}", published, EPOCH)
        for number in range(SUBJECTS):
            accepted = domain.DocumentAccepted(f"user-{number}", kind, 1, TEXT, domain.How.API, None)
            yield NewEvent(f"acceptance/user-{number}/{kind.label}", accepted, EPOCH)
    for number in range(WITH_WALLET):
        linked = domain.WalletLinked(address(number), f"user-{number}", "0" * 32, "0" * 130, None)
        yield NewEvent(f"wallet/{address(number)}", linked, EPOCH)


PATHS = (Path("has_accepted", "µs", answered, looked_up, Goal(ours=5_000, at_most=True)),)

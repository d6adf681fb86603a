"""A year's statement of a busy artist, as the service answers it, against reading and writing the same rows at once."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
from harness import Goal, Path, say
from pydantic import SecretStr
from servers import Servers
from serving import Served, served

import projections
from contracts.chain import PaymentKind
from contracts.testing import address, source
from eventlog import EventLog, EventTypes, NewEvent, Watermark
from projections import Runner
from royalties import domain
from royalties import statements as written
from royalties.app import create
from royalties.domain.books import carry, credit, debit, earnings, entry
from royalties.projections import ALL, Ledger
from royalties.settings import RoyaltiesSettings
from service import Queries, Service

LINES = 100_000
APPENDED = 5_000
ARTIST = address(1)
YEAR = datetime(2025, 1, 1, tzinfo=UTC)
SCOPE = written.Scope(ARTIST, domain.TRX, YEAR, YEAR.replace(year=2026))


async def whole(servers: Servers) -> float:
    """Milliseconds from the request to the last byte, in one process with the client."""
    return await _asked(servers, {"whole": "true"}, "application/json")


async def as_csv(servers: Servers) -> float:
    took = await _asked(servers, {}, "text/csv")
    service, _ = await _served(servers)
    assert service.queries is not None
    assert service.pool is not None
    reads = Queries("royalties", service.queries, service.pool)
    tracemalloc.start()
    bounds = await written.bounds(reads, SCOPE)
    async for _ in written.as_csv(reads, replace(SCOPE, position=bounds.position), written.head(SCOPE, bounds)):
        pass
    say(f"statement as CSV: at most {tracemalloc.get_traced_memory()[1] / 2**20:,.0f} MiB for {bounds.count:,} lines")
    tracemalloc.stop()
    return took


async def as_pdf(servers: Servers) -> float:
    return await _asked(servers, {}, "application/pdf")


async def bare(servers: Servers) -> float:
    """All rows by asyncpg in their order, and one JSON text of them."""
    service, _ = await _served(servers)
    assert service.pool is not None
    gc.collect()
    began = time.perf_counter()
    rows = await service.pool.fetch(
        """SELECT * FROM ledger_v1.lines JOIN ledger_v1.entries USING (position)
           WHERE owner = $1 AND asset = $2 AND account_class = 'earnings' ORDER BY at, position, posting""",
        ARTIST,
        domain.TRX,
    )
    json.dumps([dict(row) for row in rows], default=str)
    return (time.perf_counter() - began) * 1000


async def _asked(servers: Servers, params: dict[str, str], accept: str) -> float:
    _, client = await _served(servers)
    period = {"from": "2025-01-01", "to": "2026-01-01"}
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    answer = await client.get(f"/parties/{ARTIST}/statement", params=params | period, headers={"accept": accept})
    took, spent = (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000
    answer.raise_for_status()
    say(f"statement as {accept}: {len(answer.content) / 2**20:,.0f} MiB, {spent:,.0f} ms of CPU in Python")
    return took


async def _served(servers: Servers) -> Served:
    return await served(servers, _created, _fill, "service")


def _created(database_url: SecretStr, jwt_public_key: str) -> Service:
    return create(RoyaltiesSettings(database_url=database_url, jwt_public_key=jwt_public_key))


async def _fill(pool: asyncpg.Pool) -> None:
    """As many royalties as a year's statement has lines, and the read model of them."""
    watermark = Watermark(pool)
    log = EventLog(pool, EventTypes(domain.EVENTS), watermark)
    for start in range(0, LINES, APPENDED):
        await log.append([_royalty(number) for number in range(start, start + APPENDED)])
    await Runner(pool, log, watermark, ALL).create_missing()
    await projections.rebuild(pool, log, watermark, Ledger())
    await pool.execute("VACUUM ANALYZE ledger_v1.lines, ledger_v1.entries")


def _royalty(number: int) -> NewEvent:
    at = YEAR + timedelta(minutes=5 * number)
    track, amount = number % 50, 1_000_000 + number
    postings = entry(debit(carry(track, 1), amount), credit(earnings(ARTIST), amount))
    where = source(number, 1).model_copy(update={"block_time": at})
    royalty = domain.RoyaltyPosted(track, number, ARTIST, amount, PaymentKind.DIRECT, 1, where, postings)
    return NewEvent(f"track/{track}", royalty, at)


PATHS = (
    Path("statement_year", "ms", whole, bare, Goal(ours=2_000, at_most=True)),
    Path("statement_year_csv", "ms", as_csv, bare),
    Path("statement_year_pdf", "ms", as_pdf, bare),
)

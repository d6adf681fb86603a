"""Sales off the chain, from the log to the rows of all read models of royalties, and the ledger's rows made again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from harness import Goal, Path, per_second, say
from servers import Servers

from eventlog import EventLog, EventTypes, NewEvent, Watermark
from messaging.testing import eventually, running
from projections import Runner, rebuild
from royalties import domain, projections
from royalties.domain import Agreement, AgreementVersionSet, PostSale, Reference, Sale, SaleKind, Share
from royalties.recorder import agreement_stream, event_id_of

SALES = 200_000
AGREEMENTS = 2_000
PARTIES = 5_000
APPENDED = 5_000  # sales of one append
START = datetime(2026, 1, 1, tzinfo=UTC)
LEDGER = projections.Ledger()
PATIENCE = 600
Filled = tuple[EventLog, int]
"""The log, and how many postings are in it."""
_filled: dict[int, Filled] = {}


async def projected(servers: Servers) -> float:
    """Sales a second, from the first read of the log to the last row, by a runner as the service has it."""
    log, _ = await _sold(servers)
    for projection in projections.ALL:
        await log.pool.execute(f"DROP SCHEMA IF EXISTS {projection.schema} CASCADE")
    await log.pool.execute("DELETE FROM checkpoints")
    watermark = Watermark(log.pool)
    runner = Runner(log.pool, log, watermark, projections.ALL)
    await runner.create_missing()
    last = await log.pool.fetchval("SELECT max(position) FROM events")

    async def all_shown() -> bool:
        return not await log.pool.fetchval("SELECT count(*) FROM checkpoints WHERE position < $1", last)

    async def work() -> None:
        async with running(watermark, runner):
            await eventually(all_shown, within=PATIENCE)

    began = time.process_time()
    rate = await per_second(SALES, work)
    say(f"sales projected: {(time.process_time() - began) / SALES * 1e6:,.0f} µs of CPU in Python a sale")
    return rate


async def made_again(servers: Servers) -> float:
    """Postings a second into the ledger's lines and all that is summed up of them."""
    log, postings = await _sold(servers)
    await Runner(log.pool, log, Watermark(log.pool), [LEDGER]).create_missing()

    async def work() -> None:
        await rebuild(log.pool, log, Watermark(log.pool), LEDGER)

    return await per_second(postings, work)


async def read_sales(servers: Servers) -> float:
    """Sales a second, of which only the postings are read."""
    return SALES / await _reading(servers)


async def read_postings(servers: Servers) -> float:
    _, postings = await _sold(servers)
    return postings / await _reading(servers)


async def _reading(servers: Servers) -> float:
    """Seconds for all events of the log, read in pages and decoded with their postings; nothing else."""
    log, _ = await _sold(servers)
    position, last = 0, await log.pool.fetchval("SELECT max(position) FROM events")
    began = time.perf_counter()
    while page := await log.read(position, last):
        for recorded in page:
            assert recorded.event.postings
        position = page[-1].position
    return time.perf_counter() - began


async def _sold(servers: Servers) -> Filled:
    """A log with all sales and without rows; made once."""
    if id(servers) not in _filled:
        log = await servers.keep(servers.empty_log(EventTypes(domain.EVENTS)))
        postings, batch = 0, list[NewEvent]()
        for event in _sales():
            batch.append(event)
            if len(batch) == APPENDED:
                postings += sum(len(one.event.entries) for one in batch)  # type: ignore[attr-defined]  # sales
                await log.append(batch)
                batch = []
        await log.pool.execute("VACUUM ANALYZE events")
        _filled[id(servers)] = log, postings
    return _filled[id(servers)]


def _sales() -> Iterator[NewEvent]:
    """What `POST /sales` would have recorded in a year, of agreements between 2 to 20 of all parties each."""
    random = Random(7)
    agreements = [Agreement(versions=(_version(number, random),)) for number in range(AGREEMENTS)]
    for number in range(SALES):
        chosen = number * 7_919 % AGREEMENTS
        at, kind = START + timedelta(seconds=150 * number), SaleKind.TIP if number % 5 == 0 else SaleKind.PURCHASE
        sale = Sale(
            Reference("shop", f"sale-{number:08}"), f"song-{chosen}", kind, "USD", random.randint(50, 5_000), "stripe",
            at, chosen, f"fan-{number % 30_000}",
        )  # fmt: skip
        (event,) = domain.agreement.decide(PostSale(sale, 1, 1_000), agreements[chosen])
        agreements[chosen] = domain.agreement.evolve(agreements[chosen], event)
        yield NewEvent(agreement_stream(sale.agreement), event, at, event_id_of(sale.reference))


def _version(number: int, random: Random) -> AgreementVersionSet:
    people = random.sample(range(PARTIES), 2 + number % 19)
    cuts = sorted(random.sample(range(1, 1_000_000), len(people) - 1))
    shares = zip(people, [0, *cuts], [*cuts, 1_000_000], strict=True)
    split = tuple(Share(f"party-{who}", high - low) for who, low, high in shares)
    return AgreementVersionSet(f"song-{number}", 1, START, split, ())


PATHS = (
    Path("royalties_projected", "sales/s", projected, read_sales, Goal(ours=5_000)),
    Path("royalties_rebuild", "postings/s", made_again, read_postings, Goal(ours=20_000)),
)

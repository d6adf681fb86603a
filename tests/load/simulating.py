"""A log of activities decided anew under other rules, against reading it; the read models stay as they are."""

from __future__ import annotations

from datetime import UTC, datetime

from harness import Goal, Path, per_second, say
from rewarding import ACTIVITIES, BATCH, PATIENCE, activities, shown
from servers import Servers

from contracts.activity import ReportSkip
from eventlog import EventLog, EventTypes, Watermark, decode_all
from messaging.testing import eventually, running
from projections import Runner
from rewards import domain, projections
from rewards.domain.rules import EPOCH
from rewards.recorder import Recorder, Reported
from rewards.reports import report
from rewards.simulation import REPLAYED, Simulation, simulate

STRICTER = '{"listening": {"per_track_and_hour": 1, "daily_limit": "50000000000000000"}}'

_logs: dict[Servers, EventLog] = {}


async def _recorded(servers: Servers) -> EventLog:
    """A log of all activities, with its read models; made once."""
    if servers in _logs:
        return _logs[servers]
    log = await servers.keep(servers.empty_log(EventTypes(domain.EVENTS)))
    watermark, recorder = Watermark(log.pool), Recorder(log)
    for start in range(0, ACTIVITIES, BATCH):
        told = activities()[start : start + BATCH]
        reports = [report(one, domain.Origin(), one.at, is_answered=False) for one in told]  # type: ignore[arg-type, attr-defined]
        await recorder.record([Reported(one) for one in reports])

    async def all_shown() -> bool:
        return await shown(log.pool)

    async with running(watermark, Runner(log.pool, log, watermark, projections.ALL)):
        await eventually(all_shown, within=PATIENCE)
    _logs[servers] = log
    return log


async def _digests(log: EventLog) -> dict[str, str]:
    """Of every table of every read model, and how far the log goes."""
    digest = "SELECT md5(coalesce(string_agg(md5(t::text), '' ORDER BY t::text), '')) FROM {} AS t"
    found = {"log": str(await log.pool.fetchval("SELECT max(position) FROM events"))}
    for projection in projections.ALL:
        for table in (*projection.tables, *projection.totals):
            name = projection.live(table).fullname
            found[name] = await log.pool.fetchval(digest.format(name))
    return found


async def simulated(servers: Servers) -> float:
    log = await _recorded(servers)
    before = await _digests(log)
    found: list[Simulation] = []

    async def work() -> None:
        found.append(await simulate(log, STRICTER, EPOCH, datetime.now(UTC)))

    rate = await per_second(ACTIVITIES, work)
    [simulation] = found
    assert simulation.activities == sum(not isinstance(one, ReportSkip) for one in activities())
    assert await _digests(log) == before, "a simulation has changed something"
    listening = simulation.pools["listening"]
    say(f"simulated in {simulation.seconds:.1f} s: {listening.before:,} to {listening.after:,}; all rows are the same")
    return rate


async def read(servers: Servers) -> float:
    """The same events read and decoded; nothing else."""
    log = await _recorded(servers)
    types = log.types.names(REPLAYED)

    async def work() -> None:
        position = 0
        while batch := await log.read(position, 2**62, types=types):
            decode_all(batch)
            position = batch[-1].position

    return await per_second(ACTIVITIES, work)


PATHS = (Path("rewards_simulate", "activities/s", simulated, read, Goal(ours=10_000)),)

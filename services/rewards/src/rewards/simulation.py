"""What a period would have come to under other rules: replayed from the log in memory, touching nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter
from typing import Any

import asyncpg

from contracts.chain import Pool
from eventlog import EventLog, decode_all
from projections.garbage import fewer_collections
from rewards import domain
from rewards.changes import InvalidRules, changed, read_rules
from rewards.domain.rules import Editions, Rulebook
from rewards.domain.standing import evolve_standing, standing_stream
from rewards.domain.verdicts import States, decide, take_in
from rewards.rulebook import Rules

OnProgress = Callable[[int, int], None]
"""Gets the position reached and the last one."""
REPLAYED = (
    domain.ListenRecorded,
    domain.ShareRecorded,
    domain.TransferRecorded,
    domain.VoteRecorded,
    domain.ReferralRecorded,
    domain.SkipRecorded,
    domain.StandingReported,
    domain.ClientKeyRegistered,
)


@dataclass(slots=True)
class Granted:
    """What was granted, held rewards too, and how it would have been."""

    before: int = 0
    after: int = 0
    held_before: int = 0
    held_after: int = 0
    rewards_before: int = 0
    rewards_after: int = 0

    @property
    def change(self) -> int:
        return self.after - self.before

    def add(self, real: domain.Verdict, simulated: domain.Verdict) -> None:
        self.before += real.amount
        self.after += simulated.amount
        self.held_before += real.amount if real.outcome == "held" else 0
        self.held_after += simulated.amount if simulated.outcome == "held" else 0
        self.rewards_before += real.outcome in ("earned", "held")
        self.rewards_after += simulated.outcome in ("earned", "held")


@dataclass(slots=True)
class Simulation:
    """The difference, per pool and per user and pool; reviews and corrections of single rewards are left out."""

    since: datetime
    until: datetime
    activities: int = 0  # of the period
    events: int = 0  # replayed
    seconds: float = 0
    pools: dict[str, Granted] = field(default_factory=dict)
    users: dict[tuple[str, str], Granted] = field(default_factory=dict)  # user, pool
    reasons: dict[tuple[str, str, str], int] = field(default_factory=dict)  # pool, before, after -> how many changed

    def add(self, real: domain.ActivityRecorded, simulated: domain.Verdict) -> None:
        kind = real.activity.kind
        if kind is None:
            return
        pool, before = kind.label, real.verdict
        self.activities += 1
        self.pools.setdefault(pool, Granted()).add(before, simulated)
        self.users.setdefault((real.activity.user, pool), Granted()).add(before, simulated)
        change = (pool, before.reason or before.outcome, simulated.reason or simulated.outcome)
        if change[1] != change[2]:
            self.reasons[change] = self.reasons.get(change, 0) + 1


def other_book(book: Rulebook, changes: Mapping[Pool, Mapping[str, Any]]) -> Rulebook:
    """The rules with some parameters replaced in all versions of a kind. Raises InvalidRules."""
    return {
        kind: Editions(
            tuple(replace(one, rule=changed(kind, one.rule, changes.get(kind, {}))) for one in editions.published)
        )
        for kind, editions in book.items()
    }


async def simulate(
    log: EventLog, rules: str, since: datetime, until: datetime, on_progress: OnProgress = lambda done, total: None
) -> Simulation:
    """Decides the activities with since <= at < until anew, in the order in which they were decided.

    What was recorded before is taken in as it was, from the beginning of the log. `rules` is JSON, as `read_rules` has
    it. Raises LookupError for rules that can't be.
    """
    began = perf_counter()
    try:
        book = other_book(await Rules(log).now(), read_rules(rules))
    except InvalidRules as error:
        raise LookupError(f"rules: {error}") from None
    found, states = Simulation(since, until), States({})
    # One snapshot: it sees no event whose predecessors commit later.
    async with log.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        with fewer_collections():
            await _replay(log, conn, book, states, found, on_progress)
    found.seconds = perf_counter() - began
    return found


async def _replay(
    log: EventLog, conn: asyncpg.Connection, book: Rulebook, states: States, found: Simulation, on_progress: OnProgress
) -> None:
    last = await conn.fetchval("SELECT coalesce(max(position), 0) FROM events")
    position, types = 0, log.types.names(REPLAYED)
    while batch := await log.read(position, last, types=types, conn=conn):
        decode_all(batch)
        for recorded in batch:
            _take(recorded.event, book, states, found)
        states.events.clear()
        states.places.clear()
        position = batch[-1].position
        found.events += len(batch)
        on_progress(position, last)


def _take(event: Any, book: Rulebook, states: States, found: Simulation) -> None:
    if isinstance(event, domain.StandingReported | domain.ClientKeyRegistered):
        stream = standing_stream(event.user)
        states.of[stream] = evolve_standing(states[stream], event)
        return
    recorded: domain.ActivityRecorded = event
    at = recorded.activity.at
    if at < found.since:
        take_in(recorded, states)
    elif at < found.until:
        report = domain.Report(
            recorded.activity, recorded.reward_id, recorded.reported_at, recorded.flaw, is_answered=False
        )
        found.add(recorded, decide(report, states, book).verdict)

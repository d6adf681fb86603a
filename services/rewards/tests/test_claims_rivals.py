"""Rival processes decide about the same claims in a real log: whatever wins, every book agrees."""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg

import eventlog
from contracts.chain import Pool
from contracts.testing import address, source
from eventlog import EventLog, EventTypes, Executor, Intent, Metadata, Together
from rewards import claiming, domain

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import earned, opened, pool_rule

USERS, CLAIMS, HOLDS = 4, 40, 90
BUDGET = claiming.budget_stream(Pool.LISTENING)


async def test_rivals_who_reserve_settle_and_release_the_same_claims_leave_books_that_agree(pool: asyncpg.Pool) -> None:
    await pool.execute(eventlog.install_sql())
    chance, now = random.Random(3), datetime.now(UTC)
    await earned(pool, [f"user-{n}" for n in range(USERS)], 60)
    await opened(pool, HOLDS)
    log = EventLog(pool, EventTypes(domain.EVENTS))
    rivals = [Together(Executor(EventLog(pool, log.types)), most=8) for _ in range(3)]

    async def life(number: int, rival: Together) -> None:
        claim_id, user, to = claiming.claim_id_of(str(number)), f"user-{number % USERS}", address(number % USERS)
        terms = (claim_id, user, Pool.LISTENING, to, 1 + number % 7, "service", now)
        rule = pool_rule(claim_seconds=0)
        decide = partial(rival.execute, meeting=BUDGET)
        try:
            await decide(claiming.request(domain.RequestClaim(*terms, rule), Metadata()))  # type: ignore[arg-type]
        except domain.ClaimRefused:
            return
        (first,) = await log.read_stream(claiming.claim_stream(claim_id), limit=1)
        paid = domain.ClaimPaid(claim_id, Pool.LISTENING, to, first.event.amount, 20_500, source(5))
        if number % 3:  # the vault has paid this one
            await decide(Intent(claiming.claim_stream(claim_id), domain.claim, paid, now))
        over = domain.ReleaseClaim(9, now + timedelta(days=1))
        for _ in range(2):
            await decide(claiming.settle(paid, user))
            await decide(claiming.release(first.event, over))

    lives = [(number, rival) for number in range(CLAIMS) for rival in rivals]
    chance.shuffle(lives)
    await asyncio.gather(*(life(number, rival) for number, rival in lives))

    ends = {"ClaimReserved": 0, "ClaimSettled": 0, "ClaimReleased": 0}
    for recorded in await log.read(0, 2**62, streams=claiming.CLAIMS):
        if (name := type(recorded.event).__name__) in ends:
            ends[name] += recorded.event.amount
    budget = domain.budget.fold([one.event for one in await log.read_stream(BUDGET)])
    assert ends["ClaimReserved"] == ends["ClaimSettled"] + ends["ClaimReleased"]
    assert (budget.reserved, budget.paid, budget.vault_paid) == (0, ends["ClaimSettled"], ends["ClaimSettled"])
    assert 0 < budget.paid <= HOLDS
    balances = [
        domain.account.fold([one.event for one in await log.read_stream(f"listening/user-{n}")]).balance
        for n in range(USERS)
    ]
    assert sum(balance.paid for balance in balances) == budget.paid
    assert all(balance.usage.reserved == 0 and balance.available == 60 - balance.paid for balance in balances)

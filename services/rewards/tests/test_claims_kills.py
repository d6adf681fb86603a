"""Claims through processes that are killed around every step: each is paid once, or given back; every book agrees."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

import eventlog
import messaging
from contracts import operations
from contracts.testing import address, hash_of
from eventlog import EventLog, EventTypes
from eventlog.testing import nursery
from messaging import TopicSpec, ensure
from messaging.taken_in import taken_in
from messaging.testing import delete_topics, eventually, read_all, send
from rewards import claiming, domain

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import DCMX, earned, opened, tell_time, told_paid

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("claims_worker.py")
PAID, UNPAID = 12, 6
AMOUNT = 2 * DCMX


async def test_each_claim_is_paid_once_or_given_back_whatever_is_killed_when(
    pool: asyncpg.Pool, database: str, kafka: str
) -> None:
    await delete_topics(kafka)
    topics = ["chain.operations", "chain.reward-vault", "chain.commands", "rewards.events"]
    await ensure(kafka, [*(TopicSpec(topic) for topic in topics), TopicSpec("chain.blocks", partitions=1)])
    for library in (eventlog, messaging):
        await pool.execute(library.install_sql())
    users = [f"user-{n}" for n in range(PAID + UNPAID)]
    await earned(pool, users, AMOUNT)
    await opened(pool, len(users) * AMOUNT)
    claims = [
        {
            "claim_id": claiming.claim_id_of(user),
            "user": user,
            "claimant": address(n),
            "amount": AMOUNT,
            "seconds": 3_600 if n < PAID else 0,  # the others are over before anybody can sign
        }
        for n, user in enumerate(users)
    ]
    log = EventLog(pool, EventTypes(domain.EVENTS))

    async def recorded(event: str) -> int:
        return int(await pool.fetchval("SELECT count(*) FROM events WHERE type = $1", event))

    async def ended() -> bool:
        return await recorded("ClaimSettled") == PAID and await recorded("ClaimReleased") == UNPAID

    async def heard() -> bool:
        return await taken_in(pool, kafka, "rewards", ["chain.operations", "chain.reward-vault"])

    async def asked() -> bool:
        return len(await read_all(kafka, "chain.commands")) == PAID

    plan = {"dsn": database, "kafka": kafka, "ask": claims, "hears": False, "leads": True}
    async with nursery(WORKER, plan) as workers:
        for step, number in [
            ("before ClaimReserved", 2),
            ("after ClaimReserved", 3),
            ("before ClaimAuthorised", 1),
            ("after ClaimAuthorised", 1),
        ]:
            await workers.killed(step, number)
        last = await workers.start()
        await eventually(asked)
        await workers.stop(last)
        await _pay(kafka)
        await workers.killed("before ClaimPaid", hears=True, leads=False)
        await workers.killed("after ClaimPaid", hears=True, leads=False)
        last = await workers.start(hears=True, leads=False)
        await eventually(heard)
        await workers.stop(last)
        await workers.killed("before ClaimSettled")
        await workers.killed("after ClaimSettled")
        await tell_time(kafka, 9, timedelta(minutes=1))
        await workers.killed("before ClaimReleased")
        await workers.killed("after ClaimReleased")
        await workers.start()
        await eventually(ended)

    assert len(await read_all(kafka, "chain.commands")) == PAID, "each payment was asked for once"
    counts = Counter(row["type"] for row in await pool.fetch("SELECT type FROM events"))
    every, paid, unpaid = PAID + UNPAID, PAID, UNPAID
    for book in ("Claim", "Rewards", "Budget", "Wallet"):
        assert counts[f"{book}Reserved"] == every, book
        assert counts[f"{book}Released"] == unpaid, book
    assert counts["ClaimPaid"] == counts["RewardsSettled"] == counts["BudgetPaid"] == counts["WalletPaid"] == paid
    budget = domain.budget.fold([one.event for one in await log.read_stream("budget/listening")])
    assert (budget.paid, budget.reserved, budget.vault_paid) == (PAID * AMOUNT, 0, PAID * AMOUNT)
    for n, user in enumerate(users):
        account = domain.account.fold([one.event for one in await log.read_stream(f"listening/{user}")])
        assert (account.balance.paid, account.balance.available) == ((AMOUNT, 0) if n < PAID else (0, AMOUNT))


async def _pay(kafka: str) -> None:
    """The chain: each operation is done once, and told of twice in whatever order."""
    commands = [
        operations.CallContract.model_validate_json(one.value) for one in await read_all(kafka, "chain.commands")
    ]
    assert len({command.operation_id for command in commands}) == len(commands)
    for number, command in enumerate(commands):
        args = command.args
        done = operations.OperationSolidified(
            operation_id=command.operation_id,
            tx_id=hash_of("tx", number),
            block_number=7,
            block_hash=hash_of("block"),
            fee_sun=1,
            energy_used=1,
        )
        to = next(n for n in range(PAID) if address(n) == args["claimant"])
        told = [(f"operation/{command.operation_id}", done), told_paid(args["claim_id"], int(args["amount"]), to)]
        await send(kafka, *(told if number % 2 else reversed(told)))

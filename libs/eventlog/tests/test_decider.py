from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from eventlog import Decider, EventLog, Executor, Intent, NewEvent, WrongExpectedVersion
from eventlog.testing import NOW, Credited, Debited, given


@dataclass(frozen=True, slots=True)
class Debit:
    amount: int


class Overdrawn(Exception):
    pass


def decide(command: Debit, balance: int) -> list[Debited]:
    if command.amount > balance:
        raise Overdrawn(f"balance {balance}, asked for {command.amount}")
    return [Debited(command.amount)] if command.amount else []


def evolve(balance: int, event: Credited | Debited) -> int:
    return balance + event.amount if isinstance(event, Credited) else balance - event.amount


account: Decider[Debit, int, Credited | Debited] = Decider(0, decide, evolve)


def debit(stream: str, amount: int, key: str | None = None) -> Intent:
    return Intent(stream, account, Debit(amount), NOW, key=key)


def test_specifications_read_as_sentences() -> None:
    given(account, Credited(50)).when(Debit(20)).then(Debited(20))
    given(account, Credited(50)).when(Debit(0)).then_nothing()
    given(account, Credited(50), Debited(45)).when(Debit(20)).then_refused(Overdrawn, "balance 5, asked for 20")


async def _open(log: EventLog, *streams: str, amount: int = 100) -> None:
    await log.append([NewEvent(stream, Credited(amount), NOW) for stream in streams])


async def test_a_batch_of_intents_is_decided_in_order_and_appended_at_once(log: EventLog) -> None:
    await _open(log, "a", "b")
    executor = Executor(log)
    execution = await executor.execute([debit("a", 60), debit("b", 1), debit("a", 0), debit("a", 40)])
    assert [len(events) for events in execution.events] == [1, 1, 0, 1]
    with pytest.raises(Overdrawn, match="balance 0"):
        await executor.execute([debit("b", 1), debit("a", 1)])
    assert [e.event for e in await log.read_stream("b")] == [Credited(100), Debited(1)], "the batch is all or nothing"


async def test_competing_executors_decide_anew_and_never_overdraw(log: EventLog) -> None:
    await _open(log, "a", amount=10)
    executors = [Executor(log) for _ in range(4)]
    results = await asyncio.gather(
        *(executors[i % 4].execute([debit("a", 1)]) for i in range(16)), return_exceptions=True
    )
    assert sum(isinstance(r, Overdrawn) for r in results) == 6, results
    assert account.fold([e.event for e in await log.read_stream("a")]) == 0


async def test_an_intent_with_a_key_takes_effect_once(log: EventLog) -> None:
    await _open(log, "a")
    first = await Executor(log).execute([debit("a", 10, key="request-1")])
    again = await Executor(log).execute([debit("a", 10, key="request-1")])
    assert [e.event_id for e in again.events[0]] == [e.event_id for e in first.events[0]]
    assert account.fold([e.event for e in await log.read_stream("a")]) == 90


async def test_a_repeated_intent_does_not_confuse_the_remembered_state(log: EventLog) -> None:
    await _open(log, "a")
    executor = Executor(log)
    for _ in range(3):
        await executor.execute([debit("a", 10, key="request-1")])
    await executor.execute([debit("a", 90)])
    with pytest.raises(Overdrawn, match="balance 0"):
        await executor.execute([debit("a", 1)])


async def test_states_of_a_rolled_back_transaction_are_not_remembered(log: EventLog) -> None:
    await _open(log, "a")
    executor = Executor(log)
    async with log.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await executor.execute([debit("a", 100)], conn)
        await transaction.rollback()
    await executor.execute([debit("a", 70)])
    async with log.pool.acquire() as conn, conn.transaction():
        execution = await executor.execute([debit("a", 30)], conn)
    execution.committed()
    with pytest.raises(Overdrawn, match="balance 0"):
        await executor.execute([debit("a", 1)])


async def test_a_conflict_inside_a_callers_transaction_is_the_callers(log: EventLog) -> None:
    await _open(log, "a")
    async with log.pool.acquire() as first, log.pool.acquire() as second:
        winner = first.transaction()
        await winner.start()
        await Executor(log).execute([debit("a", 1)], first)
        loser = second.transaction()
        await loser.start()
        waiting = asyncio.create_task(Executor(log).execute([debit("a", 1)], second))
        await until_blocked(log)
        await winner.commit()
        with pytest.raises(WrongExpectedVersion, match="stream a: expected version 1, found 2"):
            await waiting
        await loser.rollback()


async def until_blocked(log: EventLog) -> None:
    """Until a transaction of this database waits for a lock of another."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(240):
        while not await log.pool.fetchval(blocked):  # noqa: ASYNC110 - the event is PostgreSQL's
            await asyncio.sleep(0.01)

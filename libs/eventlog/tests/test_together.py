"""Decisions on several streams at once, and many that meet in one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from eventlog import (
    Appended,
    Decider,
    EventLog,
    Executor,
    Intent,
    JointIntent,
    NewEvent,
    Together,
)
from eventlog.testing import NOW, Credited, Debited


class Overdrawn(Exception):
    pass


def evolve(balance: int, event: Credited | Debited) -> int:
    return balance + event.amount if isinstance(event, Credited) else balance - event.amount


def spend(amount: int, balance: int) -> list[Debited]:
    if amount > balance:
        raise Overdrawn(f"balance {balance}, asked for {amount}")
    return [Debited(amount)]


account: Decider[int, int, Credited | Debited] = Decider(0, spend, evolve)


def transfer(source: str, target: str, amount: int, *, seen: str | None = None) -> JointIntent:
    """From one account to another, unless the account `seen` is empty."""

    def decided(balances: Mapping[str, int]) -> list[tuple[str, object]]:
        if amount > balances[source]:
            raise Overdrawn(f"{source}: balance {balances[source]}, asked for {amount}")
        if seen is not None and not balances[seen]:
            raise Overdrawn(f"{seen} is empty")
        return [(source, Debited(amount)), (target, Credited(amount))]

    streams = (source, target) if seen is None else (source, target, seen)
    return JointIntent(dict.fromkeys(streams, account), decided, NOW)


async def _open(log: EventLog, amount: int, *streams: str) -> None:
    await log.append([NewEvent(stream, Credited(amount), NOW) for stream in streams])


async def _balance(log: EventLog, stream: str) -> int:
    return account.fold([recorded.event for recorded in await log.read_stream(stream)])


async def test_a_joint_decision_is_made_on_all_its_streams_and_appended_to_all_or_none(log: EventLog) -> None:
    await _open(log, 10, "a")
    executor = Executor(log)
    execution = await executor.execute([transfer("a", "b", 4), transfer("b", "c", 3), Intent("c", account, 1, NOW)])
    assert [[event.stream for event in events] for events in execution.events] == [["a", "b"], ["b", "c"], ["c"]]
    assert [await _balance(log, stream) for stream in "abc"] == [6, 1, 2]
    with pytest.raises(Overdrawn, match="a: balance 6"):
        await executor.execute([transfer("b", "c", 1), transfer("a", "c", 7)])
    assert [await _balance(log, stream) for stream in "abc"] == [6, 1, 2]


async def test_streams_that_others_tell_of_are_loaded_until_there_are_no_more(log: EventLog) -> None:
    """Each account's balance is the number of the next."""
    await log.append([NewEvent(f"n-{number}", Credited(number + 1), NOW) for number in range(4)])
    await log.append([NewEvent("n-4", Credited(4), NOW)])  # tells of itself

    def also(balances: Mapping[str, int]) -> dict[str, Decider[int, int, Credited | Debited]]:
        return dict.fromkeys([f"n-{balance}" for balance in balances.values()], account)

    def decided(balances: Mapping[str, int]) -> list[tuple[str, object]]:
        return [("n-3", Credited(len(balances)))]

    await Executor(log).execute([JointIntent({"n-0": account}, decided, NOW, also=also)])
    assert await _balance(log, "n-3") == 4 + 5


async def test_of_intents_decided_apart_a_refused_one_leaves_the_others_alone(log: EventLog) -> None:
    await _open(log, 10, "a")
    execution = await Executor(log).execute(
        [transfer("a", "b", 6), transfer("a", "b", 6), transfer("a", "b", 4)], apart=True
    )
    assert [len(events) for events in execution.events] == [2, 0, 2]
    assert [(number, str(error)) for number, error in execution.refused.items()] == [
        (1, "a: balance 4, asked for 6")
    ], "each is decided on what those before it led to"
    assert await _balance(log, "b") == 10


async def test_a_stream_that_is_only_looked_at_is_no_conflict(log: EventLog) -> None:
    await _open(log, 10, "a", "seen")
    await Executor(log).execute([transfer("a", "b", 1, seen="seen")])
    assert len(await log.read_stream("seen")) == 1


class Counting(EventLog):
    appends = 0

    async def append(self, *args: object, **kwargs: object) -> Appended:
        self.appends += 1
        return await super().append(*args, **kwargs)  # type: ignore[arg-type]


async def test_many_that_meet_in_a_stream_share_appends_and_each_gets_its_own_answer(log: EventLog) -> None:
    await _open(log, 25, "pot")
    counting = Counting(log.pool, log.types)
    together = Together(Executor(counting), most=16)
    outcomes = await asyncio.gather(
        *(together.execute(transfer("pot", f"user/{n}", 1), "pot") for n in range(40)), return_exceptions=True
    )
    assert [isinstance(outcome, Overdrawn) for outcome in outcomes] == [False] * 25 + [True] * 15
    assert counting.appends <= 4
    assert await _balance(log, "pot") == 0


async def test_processes_that_compete_for_a_stream_never_overdraw_it(log: EventLog) -> None:
    await _open(log, 25, "pot")
    rivals = [Together(Executor(log), most=8) for _ in range(3)]
    outcomes = await asyncio.gather(
        *(rivals[n % 3].execute(transfer("pot", f"user/{n}", 1), "pot") for n in range(60)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Overdrawn) for outcome in outcomes) == 35
    assert all(isinstance(outcome, Overdrawn) for outcome in outcomes if isinstance(outcome, BaseException))
    assert await _balance(log, "pot") == 0


async def test_nobody_meets_the_error_of_another_one(log: EventLog) -> None:
    await _open(log, 10, "pot")
    together = Together(Executor(log))

    def unknown(_: Mapping[str, int]) -> list[tuple[str, object]]:
        return [("pot", object())]

    broken = JointIntent({"pot": Decider(0, spend, lambda state, _: state)}, unknown, NOW)
    first = asyncio.ensure_future(together.execute(transfer("pot", "a", 1), "pot"))
    outcomes = await asyncio.gather(
        first,
        together.execute(transfer("pot", "a", 2), "pot"),
        together.execute(broken, "pot"),
        together.execute(transfer("pot", "a", 3), "pot"),
        return_exceptions=True,
    )
    assert [isinstance(outcome, BaseException) for outcome in outcomes] == [False, False, True, False]
    assert await _balance(log, "a") == 6


async def test_a_caller_that_went_away_is_left_out_and_keeps_nobody_waiting(log: EventLog) -> None:
    await _open(log, 10, "pot")
    together = Together(Executor(log))
    tasks = [asyncio.create_task(together.execute(transfer("pot", f"user/{n}", 1), "pot")) for n in range(4)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, BaseException) for outcome in outcomes] == [False, False, True, False]
    assert await _balance(log, "pot") == 7

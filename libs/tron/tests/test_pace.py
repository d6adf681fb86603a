"""How fast a node is asked."""

from __future__ import annotations

import asyncio

import pytest

from tron.errors import BudgetSpent, NodeUnavailable
from tron.pace import FIRST_REQUESTS, Budget, Pace


async def answered(pace: Pace, count: int) -> None:
    for _ in range(count):
        async with pace:
            pass


async def most_at_once(pace: Pace) -> int:
    """How many of 100 requests are under way at the same time."""
    busy = most = 0

    async def request() -> None:
        nonlocal busy, most
        async with pace:
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.001)
            busy -= 1

    await asyncio.gather(*(request() for _ in range(100)))
    return most


async def test_the_pace_grows_with_good_answers_up_to_its_bound_and_halves_on_a_failure() -> None:
    pace = Pace(16)
    await answered(pace, FIRST_REQUESTS)
    assert pace.allowed == FIRST_REQUESTS
    await answered(pace, 1_000)
    assert pace.allowed == 16
    assert await most_at_once(pace) == 16
    for _ in range(5):  # a crowd of failures counts once
        with pytest.raises(NodeUnavailable):
            async with pace:
                raise NodeUnavailable("node", "path", "busy")
    assert pace.allowed == 8


async def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    pace = Pace(1)
    first = asyncio.create_task(pace.__aenter__())
    await first
    second, third = (asyncio.create_task(pace.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)
    await pace.__aexit__(None, None, None)
    second.cancel()
    await asyncio.wait_for(third, 240)
    assert second.cancelled()


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tron.pace.monotonic", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


async def taken(budget: Budget, requests: int, clock: Clock) -> float:
    """Seconds that so many requests wait, one after the other."""
    started = clock.now
    for _ in range(requests):
        await budget.take(1, "node", "path")
    return clock.now - started


async def test_no_more_requests_are_sent_in_a_second_than_allowed_and_a_second_may_be_saved_up(clock: Clock) -> None:
    budget = Budget(per_second=40)
    assert await taken(budget, 40, clock) == 0
    assert await taken(budget, 20, clock) == pytest.approx(0.5)
    clock.now += 60
    assert await taken(budget, 40, clock) == 0
    assert await taken(budget, 1, clock) == pytest.approx(1 / 40)


async def test_a_day_s_requests_are_spread_over_it_and_what_exceeds_them_is_refused_at_once(clock: Clock) -> None:
    budget = Budget(per_day=2_400)
    assert await taken(budget, 100, clock) == 0  # an hour's share
    with pytest.raises(BudgetSpent, match="our budget allows no request for") as caught:
        await budget.take(1, "node", "path")
    assert caught.value.retry_after == pytest.approx(86_400 / 2_300)  # 2,300 more in the rest of the day


async def test_after_a_refusal_nothing_is_sent_for_as_long_as_the_node_says(clock: Clock) -> None:
    budget = Budget()
    budget.close(0.2)
    budget.close(60)  # the next of a crowd
    assert await taken(budget, 1, clock) == pytest.approx(0.2)
    budget.close(60)
    with pytest.raises(BudgetSpent):
        await budget.take(1, "node", "path")


async def test_refusals_without_a_time_close_it_longer_and_longer(clock: Clock) -> None:
    budget = Budget()
    for n in range(1, 5):
        budget.close(None)
        assert 0.1 * 2**n / 2 <= budget.wait() + 1e-9 <= 0.1 * 2**n + 2e-9
        clock.now += budget.wait()

"""How fast a node is asked."""

from __future__ import annotations

import asyncio
from time import monotonic

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
    await asyncio.wait_for(third, 1)
    assert second.cancelled()


async def taken(budget: Budget, requests: int) -> float:
    """Seconds that so many requests wait, one after the other."""
    started = monotonic()
    for _ in range(requests):
        await budget.take(1, "node", "path")
    return monotonic() - started


async def test_no_more_requests_are_sent_in_a_second_than_allowed_and_a_second_may_be_saved_up() -> None:
    budget = Budget(per_second=40)
    assert await taken(budget, 40) < 0.2
    assert 0.3 < await taken(budget, 20) < 2


async def test_a_day_s_requests_are_spread_over_it_and_what_exceeds_them_is_refused_at_once() -> None:
    budget = Budget(per_day=2_400)
    await taken(budget, 100)  # an hour's share
    with pytest.raises(BudgetSpent, match="our budget allows no request for") as caught:
        await budget.take(1, "node", "path")
    assert caught.value.retry_after is not None
    assert 30 < caught.value.retry_after < 40  # 2,300 more in the rest of the day


async def test_after_a_refusal_nothing_is_sent_for_as_long_as_the_node_says() -> None:
    budget = Budget()
    budget.close(0.2)
    budget.close(60)  # the next of a crowd
    assert 0.15 < await taken(budget, 1) < 2
    budget.close(60)
    with pytest.raises(BudgetSpent):
        await budget.take(1, "node", "path")


async def test_refusals_without_a_time_close_it_longer_and_longer() -> None:
    budget = Budget()
    waits = []
    for _ in range(4):
        budget.close(None)
        waits.append(budget.wait())
        await asyncio.sleep(budget.wait())
    assert all(0.1 * 2**n / 2 * 0.9 < wait <= 0.1 * 2**n for n, wait in enumerate(waits, start=1))

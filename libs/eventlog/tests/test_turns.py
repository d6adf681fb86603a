"""Turns: one computation a pass of the event loop, first come, first served."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from eventlog import turn


async def test_of_those_who_compute_one_has_its_turn_in_each_pass_of_the_loop() -> None:
    computed: list[str] = []
    passes: list[int] = []

    async def compute(name: str) -> None:
        for _ in range(3):
            await turn()
            computed.append(name)

    async def count() -> None:
        while len(computed) < 9:
            passes.append(len(computed))
            await asyncio.sleep(0)

    await asyncio.gather(compute("a"), compute("b"), compute("c"), count())
    assert computed == ["a", "b", "c"] * 3
    assert max(after - before for before, after in pairwise(passes)) == 1


async def test_who_is_cancelled_while_waiting_keeps_nobody_else_waiting() -> None:
    async def compute() -> str:
        await turn()
        return "computed"

    waiting = [asyncio.create_task(compute()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    async with asyncio.timeout(5):
        assert await waiting[2] == "computed"
        assert await compute() == "computed"

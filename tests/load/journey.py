"""From the chain to the rows of four services, each a process of its own as `make up` starts them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import asyncpg
import chains
import httpx
from costs import Costs
from harness import Goal, Path, say
from servers import Servers, apart

from annals.demo.truth import Truth
from annals.town import Town
from eventlog import reset_session
from local_stack.process import LocalStackError
from tron.client import NodeClient

FIRST = "chain"
LOOK_SECONDS = 0.2
COSTS_SECONDS = 1.0
QUIET_SECONDS = 5.0
"""So long nothing may move before the rows are compared; it is not a part of what is measured."""
PATIENCE_SECONDS = 420.0
BEGINNING = {"kind": "lag", "at": 80}
"""The devnet shows this much of the chain, until this is cleared: then all of it is there at once.

What is measured is the rest. A JVM that was just started is compiling, for a third of what Kafka costs then.
"""
MOVED = """SELECT (SELECT last_value FROM events_position) + (SELECT coalesce(sum(position), 0) FROM checkpoints)
                + (SELECT coalesce(sum(next_offset), 0) FROM offsets)"""
TAKEN_IN = "SELECT coalesce(sum((data->>'events')::bigint), 0)::bigint FROM events WHERE type = 'BlocksIngested'"

_truths: dict[str, Truth] = {}  # by the chain's name: computing one takes as long as a run


async def end_to_end(servers: Servers) -> float:
    """Contract events a second, from the first block that is seen to the last row of the last read model."""
    saved = await servers.saved_chain()
    return await apart(_all_at_once(saved))


async def slowest_stage(servers: Servers) -> float:
    """The same work by one service after the other, alone: contract events of the chain a second of the slowest."""
    saved = await servers.saved_chain()
    return await apart(_one_by_one(saved))


async def _all_at_once(saved: chains.Saved) -> float:
    async with _stage(saved) as stage:
        await stage.start(stage.town.services)
        rest = await stage.rest()
        costs = Costs()
        await stage.appear()
        rate = rest / await stage.seconds(stage.town.services, costs)
        say(costs.per_event(rest))
        return rate


async def _one_by_one(saved: chains.Saved) -> float:
    async with _stage(saved) as stage:
        rates = {}
        for name in sorted(stage.town.services, key=lambda name: name != FIRST):  # the others follow what it has told
            await stage.start([name], wait=name == FIRST)
            events = stage.events
            if name == FIRST:
                events = await stage.rest()
                await stage.appear()
            rates[name] = events / await stage.seconds([name])
            await stage.town.stop_service(name)
        say("alone: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()) + " events/s")
        return min(rates.values())


class Stage:
    """A town whose chain is hidden, but for its beginning, until it is to appear."""

    def __init__(
        self, town: Town, control: httpx.AsyncClient, databases: dict[str, asyncpg.Pool], truth: Truth
    ) -> None:
        self.town = town
        self._control = control
        self._databases = databases
        self._truth = truth
        self.events = sum(truth.events.values())

    async def start(self, services: Sequence[str], wait: bool = True) -> None:
        """Starts these, and waits until they are ready."""
        await asyncio.gather(*(self.town.start_service(name) for name in services))
        if wait:
            await asyncio.gather(*(self.town.until_ready(name) for name in services))

    async def rest(self) -> int:
        """How many contract events there are beyond the beginning, once that has come to rest everywhere."""
        looked, moved = [0], time.monotonic()
        while not any(looked) or time.monotonic() - moved < QUIET_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            if (position := await self._position(self._databases)) != looked:
                looked, moved = position, time.monotonic()
        return self.events - int(await self._databases[FIRST].fetchval(TAKEN_IN))

    async def appear(self) -> None:
        """Shows the chain."""
        (await self._control.delete("faults")).raise_for_status()

    async def seconds(self, services: Sequence[str], costs: Costs | None = None) -> float:
        """From the first movement in these services' databases to the last, once their rows are what the chain says.

        `costs` are those up to then. Raises LocalStackError if the rows do not become so.
        """
        databases = {name: self._databases[name] for name in services}
        began = moved = looked = time.monotonic()
        before, first = await self._position(databases), None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now, position = time.monotonic(), await self._position(databases)
            if position != before:
                before, moved, first = position, now, first or now - LOOK_SECONDS
            elif first is not None and now - moved > QUIET_SECONDS:
                if not (differences := await self._truth.differences(databases)):
                    return moved - first
                if now - began > PATIENCE_SECONDS:
                    raise LocalStackError("the rows are not what the chain says:\n" + "\n".join(differences))
            if costs is not None and moved > looked and now - looked > COSTS_SECONDS:
                costs.read()
                looked = now
            if problem := self.town.failed():
                raise LocalStackError(problem)

    async def _position(self, databases: dict[str, asyncpg.Pool]) -> list[int]:
        return list(await asyncio.gather(*(pool.fetchval(MOVED) for pool in databases.values())))


@contextlib.asynccontextmanager
async def _stage(saved: chains.Saved) -> AsyncIterator[Stage]:
    town = Town("test-bench-town", accounts=chains.ACCOUNTS, devnet_options=saved.options, deployment=saved.deployment)
    try:
        environment = (await town.prepare(lambda *_: None)).environment
        url = environment["ANNALS_TRON_URL"]
        async with contextlib.AsyncExitStack() as stack:
            if saved.name not in _truths:
                node = await stack.enter_async_context(NodeClient(url, timeout=60))
                truth = Truth(saved.deployment)
                await truth.read(node)
                _truths[saved.name] = truth
            control = await stack.enter_async_context(httpx.AsyncClient(base_url=f"{url}/devnet/", timeout=60))
            (await control.post("faults", json=BEGINNING)).raise_for_status()
            databases = {
                name: await stack.enter_async_context(
                    asyncpg.create_pool(
                        environment[f"{name.upper()}_DATABASE_URL"], min_size=0, max_size=2, reset=reset_session
                    )
                )
                for name in town.services
            }
            yield Stage(town, control, databases, _truths[saved.name])
    finally:
        await town.stop()


PATHS = (Path("end_to_end", "events/s", end_to_end, slowest_stage, Goal(ours=5_000), runs=1),)

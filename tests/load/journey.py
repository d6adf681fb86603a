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
from local_stack.process import LocalStackError
from tron.client import NodeClient

FIRST = "chain"
LOOK_SECONDS = 0.1
COSTS_SECONDS = 1.0
QUIET_SECONDS = 5.0
"""So long nothing may move before the rows are compared; it is not a part of what is measured."""
PATIENCE_SECONDS = 420.0
HIDDEN = {"kind": "lag", "at": 0}
"""The devnet shows the genesis block only, until this is cleared: then the whole chain is there at once."""
MOVED = """SELECT (SELECT last_value FROM events_position) + (SELECT coalesce(sum(position), 0) FROM checkpoints)
                + (SELECT coalesce(sum(next_offset), 0) FROM offsets)"""

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
        costs = Costs()
        await stage.appear()
        rate = stage.events / await stage.seconds(stage.town.services, costs)
        say(costs.per_event(stage.events))
        return rate


async def _one_by_one(saved: chains.Saved) -> float:
    async with _stage(saved) as stage:
        rates = {}
        for name in sorted(stage.town.services, key=lambda name: name != FIRST):  # the others follow what it has told
            if name == FIRST:
                await stage.start([name])
                await stage.appear()
            else:
                await stage.start([name], wait=False)
            rates[name] = stage.events / await stage.seconds([name])
            await stage.town.stop_service(name)
        say("alone: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()) + " events/s")
        return min(rates.values())


class Stage:
    """A town whose chain is hidden until it is to appear."""

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
            (await control.post("faults", json=HIDDEN)).raise_for_status()
            databases = {
                name: await stack.enter_async_context(
                    asyncpg.create_pool(environment[f"{name.upper()}_DATABASE_URL"], min_size=0, max_size=2)
                )
                for name in town.services
            }
            yield Stage(town, control, databases, _truths[saved.name])
    finally:
        await town.stop()


PATHS = (Path("end_to_end", "events/s", end_to_end, slowest_stage, Goal(ours=5_000), runs=1),)

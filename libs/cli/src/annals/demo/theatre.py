"""Where acts are played: a town, its databases, a client of its node, and the truth to hold the services against."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import httpx
from rich.console import Console

from annals import http
from annals.demo import acts
from annals.demo.truth import Truth
from annals.directory import Directory
from annals.town import Town
from local_stack.display import display
from local_stack.process import LocalStackError
from service.tokens import mint
from tron.client import NodeClient
from tron.deploy import Plan
from tron.retry import Retry

SETTLE_SECONDS = 120.0


@dataclass
class Theatre:
    """What every scene needs."""

    console: Console
    town: Town
    directory: Directory
    databases: dict[str, asyncpg.Pool]
    node: NodeClient
    truth: Truth
    stage: acts.Stage
    scale: acts.Scale

    def client(self, service: str, *roles: str) -> httpx.AsyncClient:
        """A client of a service's API, as an administrator unless `roles` says otherwise."""
        token = mint(self.directory.private_key, "demo", roles or ("admin", "service"))
        headers = {"authorization": f"Bearer {token}", "annals-purpose": "review"}
        return http.client(base_url=self.directory.urls[service], headers=headers, timeout=30)

    async def settled(self) -> None:
        """Wait until all that was sent is solidified and in every read model.

        Raises LocalStackError with what differs, or when a process has ended.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        retry = Retry()
        head = (await self.node.head()).number + 1  # what was executed last stands in the block that is still open
        while True:
            await retry(lambda: self.truth.read(self.node))
            if self.truth.upto >= head:
                differences = await self.truth.differences(self.databases)
                if not differences:
                    return
                if time.monotonic() > deadline:
                    raise LocalStackError("the read models do not settle:\n" + "\n".join(differences))
            elif time.monotonic() > deadline:
                raise LocalStackError(f"block {self.truth.upto} is solidified, expected {head}")
            if problem := self.town.failed():
                raise LocalStackError(problem)
            await asyncio.sleep(0.3)


@contextlib.asynccontextmanager
async def open_theatre(town: Town, scale: acts.Scale, console: Console | None = None) -> AsyncIterator[Theatre]:
    """Start the town with the artists of the play, and stop it at the end; shows progress if there is a console."""
    cast = acts.Cast(scale)
    plan = Plan(artists=[key.address for key in cast.artists])
    try:
        if console is None:
            console = Console(quiet=True)
            directory = await town.start(lambda *_: None, plan)
        else:
            with display(console) as report:
                directory = await town.start(report, plan)
        environment = directory.environment
        async with contextlib.AsyncExitStack() as stack:
            node = await stack.enter_async_context(NodeClient(environment["ANNALS_TRON_URL"]))
            databases = {
                name: await stack.enter_async_context(
                    asyncpg.create_pool(environment[f"{name.upper()}_DATABASE_URL"], min_size=0, max_size=3)
                )
                for name in town.services
            }
            truth, stage = Truth(town.deployment), acts.Stage(node, town.deployment, cast)
            yield Theatre(console, town, directory, databases, node, truth, stage, scale)
    finally:
        await town.stop()

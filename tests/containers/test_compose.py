"""docker-compose.yml, brought up: the demo's play, and what becomes of it when containers are restarted meanwhile.

Needs a Docker daemon; `make test STACK=docker` and `make containers` run it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest
import pytest_asyncio
from compose import SERVICES, ComposeTown

from annals.demo import acts, play
from annals.demo.theatre import Theatre, open_theatre

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3_000)]

SCALE = acts.Scale.of(500)
RESTARTED = ("chain", "compliance", "rewards", "royalties", "devnet", "kafka", "postgres", "prometheus", "gateway")
EVERYTHING = {*RESTARTED, "setup"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    folder = tmp_path_factory.mktemp("compose")
    town = ComposeTown(f"annals-test-{secrets.token_hex(3)}", folder)
    async with open_theatre(town, SCALE) as opened:
        (trusted := folder / "gateway.pem").write_text(town.certificate())
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SSL_CERT_FILE", str(trusted))
            yield opened


async def test_every_container_is_healthy_confined_and_started_again(theatre: Theatre) -> None:
    found = await theatre.town.containers()
    assert found.keys() == EVERYTHING
    assert found.pop("setup")["State"]["ExitCode"] == 0
    for name, one in found.items():
        assert one["State"]["Health"]["Status"] == "healthy", name
        assert one["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", name
    for name in (*SERVICES, "devnet"):
        assert found[name]["HostConfig"]["ReadonlyRootfs"], name
        assert found[name]["HostConfig"]["CapDrop"] == ["ALL"], name
        assert found[name]["Config"]["User"] == "10001", name


@pytest.mark.parametrize("service", SERVICES)
async def test_an_image_says_what_is_in_it(theatre: Theatre, service: str) -> None:
    bill = json.loads(await theatre.town.compose("exec", "--no-TTY", service, "cat", "/opt/annals/sbom.cdx.json"))
    named = {component["name"] for component in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert {f"annals-{service}", "annals-eventlog", "asyncpg", "aiokafka"} <= named
    assert not {"pytest", "pip", "hatchling", "annals-local"} & named


async def test_the_demo_passes(theatre: Theatre) -> None:
    await play.first_half(theatre)
    await play.rebuild_while_serving(theatre)
    await play.check_kafka(theatre)


async def test_restarting_each_container_under_load_loses_nothing(theatre: Theatre) -> None:
    async with load(theatre):
        for container in RESTARTED:
            await theatre.town.restart(container)
    await theatre.settled()
    await play.check_kafka(theatre)
    for service in SERVICES:
        await theatre.town.tool("annals", "audit", service)
    await theatre.town.tool("annals", "verify")
    await theatre.town.tool("annals", "status")


@asynccontextmanager
async def load(theatre: Theatre) -> AsyncIterator[None]:
    """While the block runs, transactions are sent, one small play after the other."""
    small = replace(theatre.scale, listeners=10, tips=30, resales_per_track=0, overclaimers=0, deletions=1)
    enough = asyncio.Event()

    async def play_on() -> None:
        for seed in count(2):  # the first was the demo's; each sells the editions after those of the one before
            await acts.main_act(theatre.stage, small, seed)
            if enough.is_set():
                return

    async with asyncio.TaskGroup() as together:
        together.create_task(play_on())
        yield
        enough.set()

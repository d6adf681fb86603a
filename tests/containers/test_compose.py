"""docker-compose.yml, brought up: the demo's play, and what becomes of it when containers are restarted meanwhile.

Needs a Docker daemon; `make test STACK=docker` and `make containers` run it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from compose import SERVICES, ComposeTown

from annals.demo import acts, play
from annals.demo.theatre import Theatre, open_theatre
from eventlog.testing import eventually
from service.tokens import mint

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3_000)]

SCALE = acts.Scale.of(500)
OURS = (*SERVICES, "devnet", "console", "backup")
RESTARTED = (*OURS, "kafka", "postgres", "prometheus", "gateway")
EVERYTHING = {*RESTARTED, "setup"}
BACKUP_SECONDS = 300
SHOWN_SECONDS = 120


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    folder = tmp_path_factory.mktemp("compose")
    town = ComposeTown(folder)
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
    for name in OURS:
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


async def test_the_console_shows_what_runs(theatre: Theatre) -> None:
    fields = {"token": mint(theatre.directory.private_key, "ada", ["admin"]), "purpose": "review"}
    async with httpx.AsyncClient(base_url=theatre.directory.urls["console"], timeout=120) as visitor:
        await visitor.post("/login", data=fields)

        async def nothing_is_wrong() -> bool:  # what the demo has just done may not be read everywhere yet
            return "Nothing is wrong" in (await visitor.get("/")).text

        await eventually(nothing_is_wrong, within=SHOWN_SECONDS)


async def test_restarting_each_container_under_load_loses_nothing(theatre: Theatre) -> None:
    # One small play for each, so that what is to be settled then does not depend on how slow the machine is.
    small = replace(theatre.scale, listeners=10, tips=30, resales_per_track=0, overclaimers=0, deletions=1)
    for seed, container in enumerate(RESTARTED, 2):  # the first was the demo's; each sells the editions after the last
        async with asyncio.TaskGroup() as together:
            together.create_task(acts.main_act(theatre.stage, small, seed))
            together.create_task(theatre.town.restart(container))
    await theatre.settled()
    await play.check_kafka(theatre)
    for service in SERVICES:
        await theatre.town.tool("annals", "audit", service)
    await theatre.town.tool("annals", "verify")
    await theatre.town.tool("annals", "status")


async def test_what_was_committed_is_in_a_backup_seconds_later_and_the_servers_own_image_restores_it(
    theatre: Theatre,
) -> None:
    backup = ("exec", "--no-TTY", "backup", "annals")
    events = {service: await theatre.databases[service].fetchval("SELECT count(*) FROM events") for service in SERVICES}
    since = time.time()
    await eventually(lambda: backed_up_since(theatre, since), within=BACKUP_SECONDS)
    await theatre.town.compose(*backup, "restore", "/var/lib/restored/data")
    await theatre.town.compose("up", "--detach", "--wait", "--no-build", "restored")
    found = json.loads(await theatre.town.compose(*backup, "backup", "verify", "--on", "restored", "--json"))
    assert found["problems"] == []
    assert found["keys"].keys() == {f"{service}_keys" for service in SERVICES}
    assert found["events"].keys() == events.keys()
    assert all(found["events"][service] >= committed for service, committed in events.items())


async def backed_up_since(theatre: Theatre, moment: float) -> bool:
    """Whether there is a base backup, and everything in the store that was committed before. Prometheus knows."""
    query = f"annals_backup_covered_timestamp_seconds > {moment} and annals_backup_base_timestamp_seconds > 0"
    async with httpx.AsyncClient(base_url=theatre.directory.urls["prometheus"], timeout=120) as prometheus:
        answer = await prometheus.get("/api/v1/query", params={"query": query})
    return bool(answer.raise_for_status().json()["data"]["result"])

"""A real Prometheus that scrapes a real service: what is told when it is killed, and when it is back."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from known import FOLDER, ROOT
from pydantic import SecretStr

from annals.services import find
from annals.town import COMPILED, START_SECONDS
from eventlog.testing import eventually
from local_stack.process import ServerProcess, bring_up, free_port
from service.tokens import generate_keys

SERVICE = "rewards"
EVERY = "1s"


class Watched:
    """A service as a process that may be killed and started again, and the Prometheus that looks at it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        self._environment = environment | {"REWARDS_HTTP_PORT": self.address.rpartition(":")[2]}
        self._processes: list[ServerProcess] = []
        self._client = httpx.AsyncClient(timeout=120)

    async def start_service(self) -> None:
        log = self._folder / f"{SERVICE}-{len(self._processes)}.log"
        command = [sys.executable, "-m", SERVICE]
        self._processes.append(ServerProcess(SERVICE, command, log=log, env={**COMPILED, **self._environment}))

    async def kill_service(self) -> None:
        self._processes[-1].kill()
        await self._processes[-1].stop()

    async def start_prometheus(self, program: Path) -> None:
        """As docker-compose.yml does, but for this one service, and looking more often."""
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [self.address]}]
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self._folder / "alerts.yml").write_text(yaml.safe_dump(at_once(FOLDER / "alerts.yml")))

        def launch(port: int) -> ServerProcess:
            command = [
                program,
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
            return ServerProcess("Prometheus", command, log=self._folder / "prometheus.log")

        async def answers(_: ServerProcess, port: int) -> str:
            url = f"http://127.0.0.1:{port}"
            (await self._client.get(f"{url}/-/ready")).raise_for_status()
            return url

        process, url = await bring_up(launch, answers, retry_on=(httpx.HTTPError,))
        self._processes.insert(0, process)
        self._client.base_url = url

    async def stop(self) -> None:
        for process in self._processes:
            await process.stop()
        await self._client.aclose()

    async def ask(self, path: str, **parameters: str) -> Any:
        """What Prometheus answers at `/api/v1/<path>`."""
        answer = (await self._client.get(f"/api/v1/{path}", params=parameters)).json()
        assert answer["status"] == "success", f"{path} {parameters}: {answer}"
        return answer["data"]

    async def is_away(self) -> bool:
        """Whether the alert fires that says so."""
        alerts = (await self.ask("alerts"))["alerts"]
        firing = [alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"]
        return "ServiceAway" in firing

    async def is_seen(self) -> bool:
        """Whether Prometheus has had an answer from the process that runs now."""
        found = await self.ask("query", query=f'up{{instance="{self.address}"}}')
        return any(series["value"][1] == "1" for series in found["result"])


def at_once(file: Path) -> Any:
    """The alerts without their patience."""
    rules = yaml.safe_load(file.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    return rules


@pytest.fixture
async def watched(database: str, kafka: str, prometheus: Path, tmp_path: Path) -> AsyncIterator[Watched]:
    service = find(SERVICE)
    settings = service.settings().model_copy(update={"database_url": SecretStr(database)})
    await service.create(settings).migrate()
    environment = {
        "REWARDS_DATABASE_URL": database,
        "ANNALS_KAFKA_BOOTSTRAP": kafka,
        "ANNALS_JWT_PUBLIC_KEY": generate_keys()[1].replace("\n", "\\n"),
    }
    stage = Watched(tmp_path, environment)
    try:
        await stage.start_service()
        await stage.start_prometheus(prometheus)
        yield stage
    finally:
        await stage.stop()


async def test_a_service_that_is_killed_is_told_of_until_it_is_back_and_every_query_is_answered(
    watched: Watched,
) -> None:
    async def is_well() -> bool:
        return await watched.is_seen() and not await watched.is_away()

    await eventually(is_well, START_SECONDS)
    await watched.kill_service()
    await eventually(watched.is_away)
    (alert,) = [one for one in (await watched.ask("alerts"))["alerts"] if one["labels"]["alertname"] == "ServiceAway"]
    assert alert["labels"] == {
        "alertname": "ServiceAway",
        "severity": "page",
        "job": "annals",
        "service": "127.0.0.1",
        "instance": watched.address,
    }
    assert alert["annotations"]["summary"] == f"127.0.0.1 does not answer at {watched.address}."
    await watched.start_service()
    await eventually(is_well, START_SECONDS)

    rules = [rule for group in (await watched.ask("rules"))["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"} == {}
    for dashboard in (ROOT / "infra/grafana/dashboards").glob("*.json"):
        for panel in json.loads(dashboard.read_text())["panels"]:
            for target in panel.get("targets", ()):
                await watched.ask("query", query=chosen(target["expr"]))


def chosen(expr: str) -> str:
    """A query as Grafana sends it, of all services and instances."""
    return expr.replace("$service", ".*").replace("$instance", ".*").replace("$__rate_interval", "1m")

"""All of Annals from images, by `docker compose`: a town of containers, for the scenes of the demo and their checks."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annals.directory import Directory
from local_stack import containers
from local_stack.process import free_port
from local_stack.stack import Report
from tron.deploy import Deployment, Plan

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("chain", "compliance", "rewards", "royalties")
BEHIND = {name: "blockchain" if name == "chain" else name for name in SERVICES}
"""Each service's part of the path behind the gateway."""
OTHERS = ("postgres", "kafka", "devnet", "gateway", "console", "prometheus")
PORTS = {f"{name.upper()}_PORT" for name in (*OTHERS, *SERVICES)}
STARTED = ("gateway", "console", "backup", "prometheus")
"""What brings up everything else. Not whole profiles: nobody but the vendor has an image of Grafana."""
LIMITS = {"GATEWAY_CLIENT_RATE": "100000", "GATEWAY_TOKEN_RATE": "100000"}
UP_SECONDS, COMMAND_SECONDS = 1_500, 600
"""The first time all images are built."""
LINES = 60


class ComposeTown:
    """The face of `annals.town.Town` that the demo's theatre needs, before containers."""

    services = SERVICES

    def __init__(self, folder: Path) -> None:
        """A project with its secrets in `folder`; ports of the host that are free."""
        self._name = f"{containers.NAME}-{secrets.token_hex(3)}"
        self._variables = {**_secrets(), **{port: str(free_port()) for port in sorted(PORTS)}, **LIMITS}
        self._env_file = folder / "compose.env"
        self._env_file.touch(mode=0o600)
        self._env_file.write_text("".join(f"{key}='{value}'\n" for key, value in self._variables.items()))
        self.directory: Directory
        self.deployment: Deployment

    async def start(self, report: Report, plan: Plan | None = None) -> Directory:
        """Build, start everything, wait until all is healthy. The plan is that of the containers' own setup."""
        report("containers", "starting", "")
        await self.compose("build", project="annals", timeout_seconds=UP_SECONDS)  # a name becomes part of an image
        try:
            await self.compose("up", "--detach", "--wait", "--no-build", *STARTED, timeout_seconds=UP_SECONDS)
        except BaseException as error:
            error.add_note(await self.compose("logs", "--tail", str(LINES)))
            raise
        said = await self.tool("cat", "/var/lib/annals/deployment.json")
        self.deployment = Deployment.from_dict(json.loads(said))
        self.directory = self._direct()
        report("containers", "ready", "")
        return self.directory

    def _direct(self) -> Directory:
        """The services are behind the gateway; the servers are at their ports of this host."""
        at = {name.removesuffix("_PORT").lower(): f"127.0.0.1:{self._variables[name]}" for name in PORTS}
        environment = {
            "ANNALS_KAFKA_BOOTSTRAP": at["kafka"],
            "ANNALS_TRON_URL": f"http://{at['devnet']}",
            "CHAIN_NODE_URL": f"http://{at['devnet']}",
        }
        for name in SERVICES:
            password = self._variables[f"{name.upper()}_DB_PASSWORD"]
            environment[f"{name.upper()}_DATABASE_URL"] = f"postgresql://{name}:{password}@{at['postgres']}/{name}"
        key = self._variables["ANNALS_JWT_PRIVATE_KEY"].replace("\\n", "\n")
        urls = {name: f"https://{at['gateway']}/api/{part}" for name, part in BEHIND.items()}
        urls |= {name: f"http://{at[name]}" for name in ("console", "prometheus")}
        return Directory(self._name, environment, urls, key, self.deployment.to_dict())

    def certificate(self) -> str:
        """The one that the gateway has made for itself, in PEM."""
        return ssl.get_server_certificate(("127.0.0.1", int(self._variables["GATEWAY_PORT"])))

    async def tool(self, *command: str) -> str:
        """What a command prints in a container of the tools. Raises AssertionError with what else it says."""
        return await self.compose("run", "--rm", "--no-TTY", "tools", *command)

    async def restart(self, container: str) -> None:
        """`docker restart`, and wait until it is healthy."""
        await self.compose("restart", container)
        await self.compose("up", "--detach", "--wait", "--no-build", "--no-recreate", "--no-deps", container)

    async def containers(self) -> dict[str, dict[str, Any]]:
        """What the daemon knows of each container."""
        ids = (await self.compose("ps", "--all", "--quiet")).split()
        found = json.loads(await run(["docker", "inspect", *ids], COMMAND_SECONDS))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    async def stop(self) -> None:
        """Remove containers, networks and volumes; the images stay."""
        await self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def failed(self) -> str | None:
        """Containers that end are started again by the daemon."""
        return None

    async def compose(
        self, *arguments: str, project: str | None = None, timeout_seconds: float = COMMAND_SECONDS
    ) -> str:
        """What `docker compose` prints. Raises AssertionError with what else it says."""
        options = ["--project-name", project or self._name, "--env-file", str(self._env_file), "--profile", "core"]
        return await run(["docker", "compose", *options, *arguments], timeout_seconds)


def _secrets() -> Mapping[str, str]:
    script = ["sh", str(ROOT / "infra" / "images" / "secrets.sh")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True, timeout=600).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


async def run(command: list[str], timeout_seconds: float) -> str:
    """What a command prints. Raises AssertionError with all that it says, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            printed, said = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, f"{' '.join(command)}: exit code {process.returncode}\n{(printed + said).decode()}"
    return printed.decode()

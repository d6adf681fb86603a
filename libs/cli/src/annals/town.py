"""A town: the local servers, the deployed contracts, and one process per service, under one name.

`annals up` and the demo build one. Whoever builds it owns it: when the owner ends, however suddenly, all of it ends.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import httpx

import devnet
from annals import http
from annals.directory import Directory, file_of
from annals.services import installed
from local_stack import nginx
from local_stack.golang import PROVER
from local_stack.paths import local
from local_stack.process import ServerProcess, free_port, run_program
from local_stack.proxy import Proxy
from local_stack.stack import SERVERS, Addresses, Report, Stack
from service.tokens import generate_keys, mint
from tron.client import NodeClient
from tron.deploy import Deployment, Plan, deploy
from tron.keys import Key

POOLS = {"ANNALS_POOL_MAX": 20, "ANNALS_QUERY_POOL": 10}
"""Connections to PostgreSQL that the instances of a service share: it has so many and no more."""
START_SECONDS = 180.0
"""How long a service may take: the first time its modules are compiled, for all services at once."""
LOOK_SECONDS = 0.1
COMPLIANCE = "compliance"
TOKEN_LIFETIME = timedelta(days=30)
"""A town stands for days, and its tokens open nothing elsewhere."""
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""Whatever the shell says: without compiled modules a service takes twice as long to start."""


class Town:
    """Builds a town and takes it down again."""

    def __init__(
        self,
        name: str,
        *,
        services: Iterable[str] | None = None,
        instances: int = 1,
        gateway: bool = False,
        block_seconds: float = 1.0,
        accounts: int = 20,
        durable: bool = True,
        devnet_options: Iterable[str] = (),
        settings: Mapping[str, str] | None = None,
        deployment: Deployment | None = None,
        programs: Iterable[str] = (),
    ) -> None:
        """Without `services` it has all that are installed, and `instances` of each: `rewards`, `rewards-2`, ….

        `settings` are more variables for their environment, and the gateway's. `programs` run beside the services.
        With `deployment` the contracts are there already, on a chain that `devnet_options` restore.
        """
        chains = ("--data", str(local() / "chains"))
        options = ("--block-time", str(block_seconds), "--accounts", str(accounts), *chains, *devnet_options)
        self._stack = Stack(name, fresh=True, durable=durable, devnet_options=options)
        self._name = name
        self._settings = settings or {}
        self._deployed = deployment
        self.services = tuple(services if services is not None else installed())
        self._programs = tuple(programs)
        self.instances = {
            name if number == 1 else f"{name}-{number}": name
            for number in range(1, instances + 1)
            for name in self.services
        } | {name: name for name in self._programs}
        """The service or program that each process is an instance of."""
        self._pools = {setting: str(most // instances) for setting, most in POOLS.items()}
        self._has_gateway = gateway
        self._processes: dict[str, ServerProcess] = {}
        self.urls: dict[str, str] = {}
        """Where each instance listens."""
        self.directory: Directory
        self.deployment: Deployment

    async def start(self, report: Report, plan: Plan | None = None) -> Directory:
        """Start the servers, then deploy the contracts while the databases are migrated, then start the services.

        Raises LocalStackError; then nothing is left running.
        """
        await self.prepare(report, plan)
        try:
            await asyncio.gather(*(self.start_service(name, report) for name in self.instances))
            await asyncio.gather(*(self.until_ready(name, report) for name in self.instances))
        except BaseException:
            await self.stop()
            raise
        return self.directory

    async def prepare(self, report: Report, plan: Plan | None = None) -> Directory:
        """What `start` does before it starts the services."""
        try:
            addresses = await self._stack.start(report)
            async with asyncio.TaskGroup() as together:
                deploying = together.create_task(self._deploy(addresses, plan, report))
                together.create_task(self._migrate(addresses.environment()))
            self.deployment = deploying.result()
            self.directory = self._direct(addresses)
            if self._has_gateway:
                self.directory = replace(self.directory, gateway=await self._start_gateway(report))
            self.directory.save()
        except BaseException:
            await self.stop()
            raise
        return self.directory

    async def _deploy(self, addresses: Addresses, plan: Plan | None, report: Report) -> Deployment:
        if self._deployed is not None:
            return self._deployed
        report("contracts", "starting", "deploying five contracts")
        admin, _, anchor = (Key.from_hex(account.private_key) for account in devnet.accounts(3))
        plan = replace(plan or Plan(), anchors=[anchor.address])
        async with NodeClient(addresses.devnet_url) as client:
            deployment = await deploy(client, admin, plan)
        report("contracts", "ready", f"deployed for {deployment.fee_sun / 1_000_000:.0f} TRX")
        return deployment

    async def _migrate(self, environment: Mapping[str, str]) -> None:
        """All in one process: to import a service takes longer than to migrate it."""
        command, compiled = [sys.executable, "-m", "annals", "migrate", *self.services], {**COMPILED, **environment}
        await run_program(command, timeout_seconds=START_SECONDS, env=compiled)

    def _direct(self, addresses: Addresses) -> Directory:
        private, public = generate_keys()
        ports = {instance: free_port() for instance in self.instances}
        self.urls = {instance: f"http://127.0.0.1:{port}" for instance, port in ports.items()}
        environment = {
            **addresses.environment(),
            "ANNALS_JWT_PUBLIC_KEY": public.replace("\n", "\\n"),
            "CHAIN_NODE_URL": addresses.devnet_url,
            **watching(self.deployment),
            **(paying(self.deployment) if self._deployed is None else {}),
            "REWARDS_PROVER": str(PROVER.built() or ""),
            **{f"{name.upper()}_HTTP_PORT": str(ports[name]) for name in (*self.services, *self._programs)},
            **self._pools,
            **asking({name: self.urls[name] for name in self.services}, private),
            **self._settings,
        }
        urls = {name: self.urls[name] for name in (*self.services, *self._programs)}
        return Directory(self._name, environment, urls, private, self.deployment.to_dict())

    async def _start_gateway(self, report: Report) -> str:
        report("gateway", "starting", "")
        addresses: dict[str, list[str]] = {}
        for instance, name in self.instances.items():
            if name in self._programs:
                continue  # operators come to it, past the gateway
            addresses.setdefault(name, []).append(self.urls[instance].removeprefix("http://"))
        self._processes["gateway"], url = await nginx.start(local() / self._name, addresses, settings=self._settings)
        report("gateway", "ready", url)
        return url

    def reload_gateway(self) -> None:
        """Has it replace its workers; those before answer what they have begun."""
        self._processes["gateway"].send_signal(signal.SIGHUP)

    async def start_service(
        self, name: str, report: Report = lambda *_: None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start one instance's process, as `python -m <service>`; the logs of its predecessors are kept."""
        service = self.instances[name]
        port = self.urls[name].rpartition(":")[2]
        report(name, "starting", "")
        log = local() / self._name / f"{name}.log"
        if log.is_file():
            log.rename(log.with_suffix(f".{len(list(log.parent.glob(f'{name}.*log')))}.log"))
        own = {f"{service.upper()}_HTTP_PORT": port, **(environment or {})}
        self._processes[name] = ServerProcess(
            name, [sys.executable, "-m", service], log=log, env={**COMPILED, **self.directory.environment, **own}
        )

    async def until_ready(self, name: str, report: Report = lambda *_: None) -> None:
        """Wait until the service says that it is ready. Raises LocalStackError with the reason that it gives."""
        url, process = self.urls[name], self._processes[name]

        await until_ready(process, url)
        report(name, "ready", url)

    def kill(self, name: str) -> None:
        """SIGKILL to a service, or to `PostgreSQL` or `Kafka`: what a crash does."""
        if name in SERVERS:
            self._stack.kill(name)
        else:
            self._processes[name].kill()

    def terminate(self, name: str) -> None:
        """SIGTERM to a service: it is to end by itself."""
        self._processes[name].send_signal(signal.SIGTERM)

    async def ended(self, name: str, timeout_seconds: float) -> int:
        """Wait until a service has ended by itself; returns its exit status. Raises TimeoutError."""
        return await self._processes[name].ended(timeout_seconds)

    async def stop_service(self, name: str) -> None:
        """End one service's process and forget it, so that nobody takes its end for a failure."""
        await self._processes.pop(name).stop()

    async def restart(self, name: str) -> None:
        """Start an instance, `PostgreSQL` or `Kafka` again; one that still runs is stopped first."""
        if name in SERVERS:
            await self._stack.restart(name)
            return
        await self._processes[name].stop()
        await self.start_service(name)
        await self.until_ready(name)

    async def behind_proxy(self, server: str) -> Proxy:
        """Put a proxy before `PostgreSQL` or `Kafka`, at the address that the services know; stop it before the town.

        The server is started again, behind it.
        """
        return await self._stack.behind_proxy(server)

    async def stop(self, report: Report = lambda *_: None) -> None:
        """Stop the services, then the servers."""
        await asyncio.gather(*(process.stop() for process in self._processes.values()))
        self._processes.clear()
        file_of(self._name).unlink(missing_ok=True)
        await self._stack.stop(report)

    def failed(self) -> str | None:
        """What happened if a process has ended by itself."""
        for name, process in self._processes.items():
            if not process.alive:
                return f"{name} has ended; {process.log} says:\n{process.tail()}"
        return self._stack.failed()


async def until_ready(process: ServerProcess, url: str) -> None:
    """Wait until a service's process says that it is ready. Raises LocalStackError with the reason that it gives."""
    async with http.client(timeout=5) as client:

        async def ready() -> None:
            answer = await client.get(f"{url}/ready")
            if answer.status_code != 200:
                failing = {check: r["detail"] for check, r in answer.json()["checks"].items() if not r["ok"]}
                await asyncio.sleep(LOOK_SECONDS)  # it looks at everything it needs each time it is asked
                raise NotReady(str(failing))

        await process.until_ready(ready, retry_on=(httpx.TransportError, NotReady), timeout_seconds=START_SECONDS)


class NotReady(Exception):
    """A service answers and says what it is still missing."""


def watching(deployment: Deployment) -> dict[str, str]:
    """The variable that says where the contracts are."""
    contracts = {topic_name(contract.NAME): contract.address for contract in deployment.contracts()}
    return {"CHAIN_CONTRACTS": json.dumps(contracts)}


def asking(urls: Mapping[str, str], private_key: str) -> dict[str, str]:
    """With what compliance fetches copies of what the services at these addresses hold of somebody."""
    peers = [f"{name}={url}" for name, url in urls.items() if name != COMPLIANCE]
    token = mint(private_key, COMPLIANCE, ["service"], lifetime=TOKEN_LIFETIME)
    return {"COMPLIANCE_PEERS": ",".join(peers), "COMPLIANCE_PEERS_TOKEN": token}


def anchoring(seconds: int) -> dict[str, str]:
    """How often logs are sealed and their seals anchored; a town without them in its settings anchors nothing."""
    return {"ANNALS_SEAL_SECONDS": str(seconds), "COMPLIANCE_ANCHOR_SECONDS": str(seconds)}


def paying(deployment: Deployment) -> dict[str, str]:
    """With what is paid: rewards by who deployed the contracts and opens the vault's periods, the rest by others.

    These are keys of development accounts, which everybody knows.
    """
    admin, payer, anchor = (account.private_key for account in devnet.accounts(3))
    return {
        "CHAIN_SENDING_KEYS": json.dumps({"rewards": admin, "royalties": payer, COMPLIANCE: anchor}),
        "REWARDS_VERIFIER_KEY": admin,
        "REWARDS_VAULT": deployment.vault,
        "REWARDS_CHAIN_ID": str(deployment.chain_id),
        "ROYALTIES_DCMX_TOKEN": deployment.token,
    }


def topic_name(contract: str) -> str:
    """`MusicNFT` → `music-nft`: the name that a contract has in topics and streams."""
    return {
        "DCMXToken": "dcmx-token",
        "MusicNFT": "music-nft",
        "RoyaltyDistributor": "royalty-distributor",
        "RewardVault": "reward-vault",
        "ComplianceRegistry": "compliance-registry",
    }[contract]

"""Contracts on a network: its node, what deploying them costs, where they are, whether they are the compiled ones."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annals.errors import UnknownName
from annals.town import topic_name
from tron.address import normalise
from tron.client import NodeClient
from tron.cost import Cost, cost
from tron.deploy import MAIN_NETWORK, Deployment, Plan, Report, deploy, resumed
from tron.errors import InvalidAddress, TronError
from tron.journal import Journal
from tron.keys import Key
from tron.plan import CONTRACTS
from tron.verify import Verdict, verify

NAMES = {topic_name(contract.NAME): contract.NAME for contract in CONTRACTS}
"""The names that the services know the contracts by, and the compiled ones."""


@dataclass(frozen=True, slots=True)
class Network:
    """A TRON network. Without `url` and `chain_id` it is a local one, wherever the environment says."""

    url: str | None = None
    chain_id: int | None = None


NETWORKS = {
    "local": Network(),
    "nile": Network("https://nile.trongrid.io", 3_448_148_188),
    "shasta": Network("https://api.shasta.trongrid.io", 2_494_104_990),
    "mainnet": Network("https://api.trongrid.io", MAIN_NETWORK),
}
"""Chain ids are the last four bytes of the genesis blocks' ids (TIP-474)."""


class WrongNetwork(TronError):
    """The node is of another network than was asked for."""


class Unaffordable(TronError):
    """The deployer cannot pay."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a deployment came to."""

    deployment: Deployment
    verdicts: list[Verdict]

    @property
    def ok(self) -> bool:
        """Whether what is on the chain is what was compiled."""
        return all(verdict.ok for verdict in self.verdicts)

    def addresses(self) -> dict[str, str]:
        """Where the contracts are, as the setting CHAIN_CONTRACTS takes it."""
        return {topic_name(contract.NAME): contract.address for contract in self.deployment.contracts()}


@asynccontextmanager
async def connected(network: str, node: str | None, solidity_node: str | None) -> AsyncIterator[NodeClient]:
    """A client of a network's node: the one given, else the public one, else (local) the environment's.

    Its answers are proven. The key of a public gateway is CHAIN_API_KEY. Raises WrongNetwork.
    """
    known = NETWORKS[network]
    url = node or known.url or os.environ["CHAIN_NODE_URL"]
    solid = solidity_node or (os.environ.get("CHAIN_SOLIDITY_URL") if url == os.environ.get("CHAIN_NODE_URL") else None)
    async with NodeClient(url, solid, api_key=os.environ.get("CHAIN_API_KEY"), prove=True) as client:
        chain_id = await client.chain_id()
        public = {one.chain_id: name for name, one in NETWORKS.items() if one.chain_id is not None}
        if chain_id != known.chain_id and (known.chain_id is not None or chain_id in public):
            found = public.get(chain_id, "another network")
            raise WrongNetwork(f"{url}: expected a node of {network}, found one of {found} (chain id {chain_id})")
        yield client


def plan_of(config: Path | None) -> Plan:
    """The plan of a configuration file (TOML). Raises `tron.errors.InvalidArgument` with the field."""
    return Plan.from_config(tomllib.loads(config.read_text())) if config is not None else Plan()


async def deployed(
    client: NodeClient,
    key: Key,
    plan: Plan,
    journal: Journal,
    *,
    solid: bool,
    accept_unaudited: bool,
    confirm: Callable[[int, Cost], None],
    report: Report,
) -> Outcome:
    """Price what is left to do, let somebody `confirm` it, do it, and verify it.

    Raises Unaffordable, and what `tron.deploy.deploy` does.
    """
    progress = await resumed(client, key.address, plan, journal, accept_unaudited=accept_unaudited)
    price = await cost(client, key.address, plan, progress)
    if price.steps:
        confirm(await client.chain_id(), price)
    if not price.affordable:
        raise Unaffordable(f"{key.address}: expected {price.fee_sun} sun, found {price.balance_sun}")
    poll = 2.0 if solid else 0.2  # a public gateway counts requests
    done = await deploy(
        client, key, plan, journal=journal, solid=solid, poll=poll, accept_unaudited=accept_unaudited, report=report
    )
    addresses = {contract.NAME: contract.address for contract in done.contracts()}
    return Outcome(done, await verify(client, addresses))


async def verified(client: NodeClient, addresses: Mapping[str, str]) -> list[Verdict]:
    """Compare the contracts at these addresses (named as services do) with the compiled ones."""
    return await verify(client, {NAMES[name]: address for name, address in addresses.items()})


def read_addresses(source: str) -> dict[str, str]:
    """The contracts of JSON or of a file with it, as CHAIN_CONTRACTS has them. Raises UnknownName."""
    try:
        found: Any = json.loads(source if source.lstrip().startswith("{") else Path(source).read_text())
    except ValueError as error:
        raise UnknownName(f"{source:.80}: expected JSON, names and addresses of contracts: {error}") from None
    for name in found:
        if name not in NAMES:
            raise UnknownName.among("no contract", name, NAMES)
    return {name: _address(name, address) for name, address in found.items()}


def _address(contract: str, text: Any) -> str:
    try:
        return normalise(text)
    except (InvalidAddress, TypeError, AttributeError):
        raise UnknownName(f"{contract}: expected a TRON address, got {text!r:.80}") from None


def write_addresses(path: Path, addresses: Mapping[str, str]) -> None:
    """Write the file that CHAIN_CONTRACTS can name; it is there whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(addresses, indent=2) + "\n")
    draft.replace(path)

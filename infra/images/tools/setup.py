"""Prepares the containers once: databases and roles, contracts on the devnet, migrations. May be repeated."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

import devnet
from annals.services import installed
from chain.decoding import ARTIFACTS
from local_stack.postgres import PostgresServer
from tron.client import NodeClient
from tron.deploy import deploy
from tron.keys import Key


class SetupError(Exception):
    """Somebody has to do something first; the message says what."""


async def databases(services: list[str]) -> None:
    """Gives each service its database and its three roles, with the passwords of the services' own addresses."""
    urls = [
        urlsplit(os.environ[f"{service.upper()}_{role}DATABASE_URL"])
        for service in services
        for role in ("", "QUERY_", "OWNER_")
    ]
    passwords = {str(url.username): str(url.password) for url in urls}
    server = PostgresServer(str(urls[0].hostname), urls[0].port or 5432, "postgres", os.environ["POSTGRES_PASSWORD"])
    await server.provision(passwords, services)


async def contracts(node_url: str, known: Mapping[str, str]) -> Mapping[str, str]:
    """Returns where the contracts are: at the `known` addresses, or where it has just deployed them.

    Raises SetupError when the chain is not the one that the chain service's log remembers.
    """
    async with NodeClient(node_url) as node:
        if await deployed(node, known):
            print("contracts: already deployed")
            return known
        if await remembers():
            raise SetupError(
                "the devnet has begun a new chain, but the databases remember the one before: "
                "`docker compose down --volumes`, then start again"
            )
        admin = Key.from_hex(devnet.accounts(1)[0].private_key)  # a development key, the same on every devnet
        deployment = await deploy(node, admin)
    names = {artifact: name for name, artifact in ARTIFACTS.items()}
    addresses = {names[contract.NAME]: contract.address for contract in deployment.contracts()}
    print(f"contracts: deployed for {deployment.fee_sun / 1_000_000:.0f} TRX: {addresses}")
    return addresses


async def deployed(node: NodeClient, addresses: Mapping[str, str]) -> bool:
    """Returns whether there is a contract at each address."""
    answers = [
        await node.request("wallet/getcontract", {"value": address, "visible": True}) for address in addresses.values()
    ]
    return len(answers) == len(ARTIFACTS) and all(answers)


async def remembers() -> bool:
    """Returns whether the chain service has recorded anything."""
    connection = await asyncpg.connect(os.environ["CHAIN_OWNER_DATABASE_URL"], timeout=10)
    try:
        if await connection.fetchval("SELECT to_regclass('public.events')") is None:
            return False
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM events)"))
    finally:
        await connection.close()


async def paying(node_url: str, vault: str) -> str:
    """Returns what .env has to say so that rewards are paid: the vault's verifier and publisher is who deployed it."""
    async with NodeClient(node_url) as node:
        chain_id = await node.chain_id()
    key = devnet.accounts(1)[0].private_key
    lines = {
        "REWARDS_VAULT": vault,
        "REWARDS_CHAIN_ID": chain_id,
        "REWARDS_VERIFIER_KEY": key,
        "CHAIN_SENDING_KEYS": "'" + json.dumps({"rewards": key}) + "'",
    }
    return "\n".join(f"{name}={value}" for name, value in lines.items())


async def prepare(services: list[str], known: Mapping[str, str]) -> Mapping[str, str]:
    """Makes the databases and returns the addresses of the contracts."""
    await databases(services)
    print(f"databases: {', '.join(services)}")
    addresses = await contracts(os.environ["CHAIN_NODE_URL"], known)
    print(
        f"to have rewards paid, with the devnet's own keys, add to .env and `docker compose up --detach`:\n"
        f"{await paying(os.environ['CHAIN_NODE_URL'], addresses['reward-vault'])}"
    )
    return addresses


def main() -> None:
    """Does everything, in order."""
    services = list(installed())
    file = Path(os.environ["CHAIN_CONTRACTS"])
    known = json.loads(file.read_text()) if file.is_file() else {}
    addresses = asyncio.run(prepare(services, known))
    file.write_text(json.dumps(addresses, indent=2) + "\n")
    for service in services:
        subprocess.run([sys.executable, "-m", service, "migrate"], check=True, timeout=120)


if __name__ == "__main__":
    try:
        main()
    except (SetupError, subprocess.SubprocessError) as error:
        sys.exit(f"error: {error}")

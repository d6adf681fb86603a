"""Prepares the containers: databases and roles, contracts on the devnet, migrations. May be repeated."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

import devnet
from annals.demo.acts import ARTISTS
from annals.services import installed
from annals.town import asking, paying, watching
from local_stack.postgres import PostgresServer
from tron.client import NodeClient
from tron.deploy import Deployment, Plan, deploy
from tron.keys import Key

FOLDER = Path("/var/lib/annals")
DEPLOYMENT = FOLDER / "deployment.json"
SETTINGS = FOLDER / "contracts.env"
"""What the services' containers read before they start."""


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
    await server.provision_backup(str(urlsplit(os.environ["ANNALS_BACKUP_URL"]).password), services)
    print(f"databases: {', '.join(services)}")


async def contracts(node_url: str) -> Deployment:
    """Returns where the contracts are: where they were the last time, or where it has just deployed them.

    Raises SetupError when the chain is not the one that the chain service's log remembers.
    """
    async with NodeClient(node_url) as node:
        if (known := recorded()) is not None and await holds(node, known):
            print("contracts: already deployed")
            return known
        if await remembers():
            raise SetupError(
                "the devnet has begun a new chain, but the databases remember the one before: "
                "`docker compose down --volumes`, then start again"
            )
        # Development keys, the same on every devnet. The demo's artists may release tracks.
        admin, *artists = (Key.from_hex(account.private_key) for account in devnet.accounts(1 + ARTISTS))
        deployment = await deploy(node, admin, Plan(artists=[key.address for key in artists]))
    print(f"contracts: deployed for {deployment.fee_sun / 1_000_000:.0f} TRX")
    return deployment


def recorded() -> Deployment | None:
    """Returns where the contracts were the last time."""
    return Deployment.from_dict(json.loads(DEPLOYMENT.read_text())) if DEPLOYMENT.is_file() else None


async def holds(node: NodeClient, deployment: Deployment) -> bool:
    """Returns whether there is a contract at each address."""
    asked = ({"value": contract.address, "visible": True} for contract in deployment.contracts())
    return all([await node.request("wallet/getcontract", body) for body in asked])


async def remembers() -> bool:
    """Returns whether the chain service has recorded anything."""
    connection = await asyncpg.connect(os.environ["CHAIN_OWNER_DATABASE_URL"], timeout=10)
    try:
        if await connection.fetchval("SELECT to_regclass('public.events')") is None:
            return False
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM events)"))
    finally:
        await connection.close()


async def prepare(services: list[str]) -> Deployment:
    """Makes the databases and returns where the contracts are."""
    await databases(services)
    return await contracts(os.environ["CHAIN_NODE_URL"])


def main() -> None:
    """Does everything, in order."""
    services = list(installed())
    deployment = asyncio.run(prepare(services))
    urls = {name: f"http://{name}:8000" for name in services}
    key = os.environ["ANNALS_JWT_PRIVATE_KEY"].replace("\\n", "\n")
    variables = {**watching(deployment), **paying(deployment), **asking(urls, key)}
    DEPLOYMENT.write_text(json.dumps(deployment.to_dict(), indent=2) + "\n")
    SETTINGS.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
    subprocess.run([sys.executable, "-m", "annals", "migrate"], check=True, timeout=600)


if __name__ == "__main__":
    try:
        main()
    except (SetupError, subprocess.SubprocessError) as error:
        sys.exit(f"error: {error}")

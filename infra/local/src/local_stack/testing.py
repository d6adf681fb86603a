"""pytest fixtures that hand out real servers, started when the first test asks: one of each kind per session.

async def test_appends(pool: asyncpg.Pool) -> None: ...
async def test_relays(database: str, kafka: str, create_topic: CreateTopic) -> None: ...
"""

import asyncio
import json
import logging
import os
import secrets
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest
import pytest_asyncio

from local_stack import containers
from local_stack import devnet as devnet_server
from local_stack import kafka as kafka_server
from local_stack import postgres as postgres_server
from local_stack.apt import READERS_TOOLS, find_program, require_programs
from local_stack.golang import CHART, PROVER
from local_stack.postgres import PostgresServer
from local_stack.process import blocking
from local_stack.stack import scratch_folder

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 15


class CreateTopic(Protocol):
    """Creates a topic and waits for its leaders; returns its name."""

    def __call__(self, name: str, partitions: int = 4, compacted: bool = False) -> Awaitable[str]: ...


class Backup(Protocol):
    """Copies a database that nobody is connected to: all its rows, as of one moment. Returns the copy's address."""

    def __call__(self, database: str) -> Awaitable[str]: ...


@dataclass(frozen=True, slots=True)
class Devnet:
    """A running devnet: /wallet, /walletsolidity, /jsonrpc and /devnet below one address."""

    url: str

    def private_keys(self) -> list[str]:
        """Those of the accounts that are rich from the first block on, in hex."""
        with urllib.request.urlopen(f"{self.url}/devnet/accounts", timeout=30) as answer:  # noqa: S310 - our own server
            return [account["private_key"] for account in json.load(answer)]


@contextmanager
def running_devnet(folder: Path, *options: str, hold: Iterable[int] = ()) -> Iterator[Devnet]:
    """A local TRON network with a chain of its own, as a process; `options` are those of `python -m devnet`."""
    process, url = blocking(devnet_server.start(folder, options=options, hold=hold))
    try:
        yield Devnet(url)
    finally:
        blocking(process.stop())


@pytest.fixture(scope="session")
def _server_folder() -> Iterator[tuple[Path, int]]:
    """A folder for the servers' data, deleted at the end, and the descriptor of the lock that marks it as in use."""
    with scratch_folder(f"test-{os.getpid()}-{secrets.token_hex(3)}") as folder_and_lock:
        yield folder_and_lock


@pytest.fixture(scope="session")
def _use_containers() -> bool:
    return containers.chosen()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, _use_containers: bool) -> Iterator[PostgresServer]:
    """A PostgreSQL server; `postgres.create_database()` returns the address of a fresh database."""
    if _use_containers:
        with containers.postgres() as server:
            yield server
        return
    folder, lock = request.getfixturevalue("_server_folder")
    process, server = blocking(
        postgres_server.start(folder, password=secrets.token_hex(16), durable=False, hold=(lock,))
    )
    yield server
    blocking(process.stop())


@pytest.fixture(scope="session")
def _spare_databases() -> list[str]:
    return []


@pytest.fixture
def database(postgres: PostgresServer, _spare_databases: list[str]) -> Iterator[str]:
    """The address of an empty database, as its superuser; emptied after the test, and its connections cut."""
    url = _spare_databases.pop() if _spare_databases else postgres.create_database()
    yield url
    postgres.empty_database(url)
    _spare_databases.append(url)


@pytest_asyncio.fixture
async def backup(postgres: PostgresServer) -> AsyncIterator[Backup]:
    """`await backup(database)` returns the address of a copy, which is dropped after the test."""
    made: list[str] = []

    async def copy(database: str) -> str:
        made.append(await asyncio.to_thread(postgres.create_database, database))
        return made[-1]

    yield copy
    for url in made:
        await asyncio.to_thread(postgres.drop_database, url)


@pytest_asyncio.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Up to 20 connections to a fresh database."""
    connections = await asyncpg.create_pool(database, min_size=1, max_size=20)
    yield connections
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connections.close()
    except TimeoutError:  # asyncpg now and then never gets back a connection that the server has cut
        logger.warning("a connection was not given back within %d s: the pool was terminated", _CLOSE_SECONDS)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, _use_containers: bool) -> Iterator[str]:
    """The address (`host:port`) of a Kafka broker that creates no topics by itself."""
    if _use_containers:
        with containers.kafka() as address:
            yield address
        return
    folder, lock = request.getfixturevalue("_server_folder")
    process, address = blocking(kafka_server.start(folder, durable=False, hold=(lock,)))
    yield address
    blocking(process.stop())


@pytest.fixture
def create_topic(kafka: str) -> CreateTopic:
    """`await create_topic(name, partitions=4, compacted=False)`."""

    async def create(name: str, partitions: int = 4, compacted: bool = False) -> str:
        await kafka_server.create_topic(kafka, name, partitions=partitions, compacted=compacted)
        return name

    return create


@pytest.fixture
def devnet(request: pytest.FixtureRequest, _server_folder: tuple[Path, int]) -> Iterator[Devnet]:
    """A local TRON network with a chain of its own, as a process; always native.

    `@pytest.mark.devnet("--on-demand")` hands options to `python -m devnet`.
    """
    folder, lock = _server_folder
    marker = request.node.get_closest_marker("devnet")
    with running_devnet(folder, *(marker.args if marker else ()), hold=(lock,)) as running:
        yield running


@pytest.fixture(scope="session")
def annals_prover() -> Path:
    """The program `annals-prover`, built from `contracts/zk`."""
    return blocking(PROVER.build())


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' tool that checks and tests rules."""
    return blocking(find_program("prometheus", "usr/bin/promtool"))


@pytest.fixture(scope="session")
def prometheus() -> Path:
    """Prometheus' server."""
    return blocking(find_program("prometheus", "usr/bin/prometheus"))


@pytest.fixture(scope="session")
def readers_tools() -> None:
    """The programs that commands of the documentation use: curl, jq and kcat."""
    blocking(require_programs(*READERS_TOOLS))


@pytest.fixture(scope="session")
def annals_chart() -> Path:
    """The program `annals-chart`, built from `infra/helm/check`."""
    return blocking(CHART.build())


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", "devnet(*options): options of `python -m devnet` for the devnet fixture")


def pytest_report_header() -> str:
    """Says where the servers come from, and what is not tested without containers."""
    if containers.chosen():
        return f"servers: {containers.POSTGRES_IMAGE}, {containers.KAFKA_IMAGE}"
    return "servers: native; images and docker-compose.yml are tested with STACK=docker"

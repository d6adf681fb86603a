"""A tiny service as a real process, on real servers."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from local_stack import postgres
from local_stack.process import ServerProcess, remove_tree, unprivileged_account
from service import migrate
from service.tokens import generate_keys, mint

HERE = Path(__file__).parent
MIGRATIONS = HERE / "tiny" / "migrations"
sys.path.insert(0, str(HERE))  # the tiny service is a package beside the tests
tiny_app: Any = importlib.import_module("tiny.app")
PRIVATE, PUBLIC = generate_keys()


class Tiny:
    """A running process of the tiny service, its log lines, and a client that talks to it."""

    def __init__(self, process: asyncio.subprocess.Process, dsn: str) -> None:
        self.process = process
        self.dsn = dsn
        self.migrations = MIGRATIONS
        self.lines: list[dict[str, object]] = []
        self._reader = asyncio.create_task(self._read())
        self.client = httpx.AsyncClient(timeout=120)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line) if line.startswith(b"{") else {"event": line.decode()})

    async def logged(self, event: str, seconds: float = 60) -> dict[str, object]:
        """The first log line with that event, waited for."""
        async with asyncio.timeout(seconds):
            while True:
                for line in self.lines:
                    if line["event"] == event:
                        return line
                assert self.process.returncode is None or not self._reader.done(), self.lines
                await asyncio.sleep(0.02)

    async def ready(self, expected: int, **details: str) -> dict[str, dict[str, object]]:
        """The checks of /ready once it answers with `expected`, and the named checks with these words in their detail.

        A check may say at first that it got no answer in time.
        """
        async with asyncio.timeout(240):
            while True:
                response = await self.client.get("/ready")
                checks: dict[str, dict[str, object]] = response.json()["checks"]
                said = all(words in str(checks[name]["detail"]) for name, words in details.items())
                if response.status_code == expected and said:
                    return checks
                await asyncio.sleep(0.1)

    async def writing(self) -> None:
        """Until a request is about to write its note, or has written it and not yet committed."""
        under_way = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND state IN ('active', 'idle in transaction') AND starts_with(query, 'INSERT INTO notes')"""
        connection = await asyncpg.connect(self.dsn)
        async with asyncio.timeout(240):
            while not await connection.fetchval(under_way):  # noqa: ASYNC110 - the event is PostgreSQL's
                await asyncio.sleep(0.02)
        await connection.close()

    async def exited(self, seconds: float = 60) -> int:
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
            await self._reader
        return code

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def close(self) -> None:
        await self.client.aclose()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self._reader


def authorization(*roles: str, subject: str = "alice") -> dict[str, str]:
    return {"authorization": f"Bearer {mint(PRIVATE, subject, roles)}"}


def tiny_environment(dsn: str, **settings: str) -> dict[str, str]:
    variables = {
        "TINY_DATABASE_URL": dsn,
        "TINY_HTTP_PORT": "0",
        "TINY_JWT_PUBLIC_KEY": PUBLIC,
        "PYTHONPATH": str(HERE),
        "PYTHONWARNINGS": "error",
    }
    return os.environ | variables | {f"TINY_{name.upper()}": value for name, value in settings.items()}


async def tiny_command(dsn: str, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Runs `python -m tiny.app <arguments>` to its end: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tiny.app", *arguments, env=tiny_environment(dsn, **settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(240):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def running_tiny(dsn: str, *, migrated: bool = True, **settings: str) -> AsyncIterator[Tiny]:
    if migrated:
        await migrate("tiny", MIGRATIONS, dsn)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tiny.app", "run", env=tiny_environment(dsn, **settings), stderr=asyncio.subprocess.PIPE
    )
    tiny = Tiny(process, dsn)
    try:
        tiny.client.base_url = httpx.URL(str((await tiny.logged("listening"))["url"]))
        yield tiny
    finally:
        await tiny.close()


Start = Callable[..., AbstractAsyncContextManager[Tiny]]


@pytest.fixture
def start() -> Start:
    """`async with start(dsn, setting="value") as tiny:` migrates, starts and in the end stops the tiny service."""
    return running_tiny


@pytest.fixture
def command() -> Callable[..., Awaitable[tuple[int, str, str]]]:
    """`await command(dsn, "migrate")` runs the tiny service's command line: exit code, output, errors."""
    return tiny_command


@pytest.fixture
def bearer() -> Callable[..., dict[str, str]]:
    """`bearer("admin", subject="bob")`: the header of a caller with that role."""
    return authorization


@pytest.fixture
def keys() -> tuple[str, str]:
    """The development key pair whose public half the tiny service trusts: (private, public) PEM."""
    return PRIVATE, PUBLIC


class Here:
    """The tiny service on a real socket, but inside the test's process: for everything but starting and crashing."""

    def __init__(self, client: httpx.AsyncClient, stop: asyncio.Event, serving: asyncio.Task[None]) -> None:
        self.client = client
        self._stop = stop
        self._serving = serving

    async def stopped(self) -> None:
        self._stop.set()
        await self._serving


@asynccontextmanager
async def serving_here(database: str, **settings: object) -> AsyncIterator[Here]:
    # structlog's default draws tracebacks in colour, which takes seconds
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    await migrate("tiny", MIGRATIONS, database)
    given = tiny_app.TinySettings(database_url=database, http_port=0, jwt_public_key=PUBLIC, **settings)
    stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(tiny_app.create(given).serve(stop, url.set_result))
    async with httpx.AsyncClient(base_url=await url, timeout=120) as client:
        here = Here(client, stop, serving)
        yield here
    await here.stopped()
    structlog.reset_defaults()


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Here]]:
    """`async with serve(database, http_streams=3) as here:` serves within the test's process; `here.client` asks."""
    return serving_here


@pytest.fixture
async def served(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the tiny service, served within the test's process."""
    async with serving_here(database, http_body_bytes=10_000, http_requests=20) as here:
        yield here.client


@pytest.fixture
async def tiny(database: str) -> AsyncIterator[Tiny]:
    async with running_tiny(database) as process:
        yield process


class OwnPostgres:
    """A PostgreSQL server that a test may stop, and start again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: ServerProcess | None = None
        self._server: postgres.PostgresServer | None = None

    async def start(self) -> str:
        """Starts it and returns its address once it answers."""
        if self._server is None:
            self._process, self._server = await postgres.start(self._folder, password=secrets.token_hex(8))
        else:
            account = unprivileged_account()
            data = self._folder.joinpath("postgres").resolve() / "data"
            self._process = ServerProcess(
                "PostgreSQL",
                [await postgres.find_binaries(account) / "postgres", "-D", data,
                 "--listen_addresses=127.0.0.1", "--unix_socket_directories=", f"--port={self._server.port}"],
                log=self._folder / "restarted.log",
                stop_signal=signal.SIGINT,
                account=account,
            )  # fmt: skip
            await self._process.until_ready(
                self._answers, retry_on=(OSError, asyncpg.PostgresError), timeout_seconds=30
            )
        return self._server.url()

    async def _answers(self) -> None:
        assert self._server is not None
        connection = await asyncpg.connect(self._server.url(), timeout=5)
        await connection.close()

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()
            self._process = None


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[OwnPostgres]:
    server = OwnPostgres(tmp_path)
    yield server
    await server.stop()
    remove_tree(tmp_path)

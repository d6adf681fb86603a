"""One process of a service: its HTTP server and its workers, from start to graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from time import monotonic

import asyncpg
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth import Verifier
from service.database import close_engine, close_pool, is_transient
from service.health import (
    Check,
    Health,
    Lag,
    database_check,
    lag_check,
    migrations_check,
    operational_routes,
    queries_check,
)
from service.logs import get_logger
from service.measuring import Measure, keep_measuring, measure_database
from service.metrics import LOOP_DELAY_SECONDS
from service.migrations import Release, migrate, migrated_to
from service.personal import PersonalData
from service.settings import ServiceSettings
from service.workers import Supervised, Worker

_HEARTBEAT_SECONDS = 1.0
log = get_logger("service.process")


class StartError(Exception):
    """The service can't start; the message says what it waited for."""


class ShutdownTimeoutError(Exception):
    """Something did not stop within `shutdown_seconds`; the message names it."""


class Service:
    """Everything `app.py` has wired, ready to serve.

    `pool`, `queries` and `resources` are opened before anything runs and closed after everything has ended; opening a
    resource must not need a server that may be away. `lags` gives for each subscription the events it is behind;
    `measures` set metrics that only a query can tell, every 15 s.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        api: FastAPI,
        *,
        pool: asyncpg.Pool | None = None,
        queries: AsyncEngine | None = None,
        migrations: Path | None = None,
        personal: PersonalData | None = None,
        workers: Sequence[Worker] = (),
        checks: Sequence[Check] = (),
        lags: Mapping[str, Lag] | None = None,
        measures: Sequence[Measure] = (),
        resources: Sequence[AbstractAsyncContextManager[object]] = (),
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.version = _version(settings.name)
        self.api = api
        self.pool = pool
        self.queries = queries
        self.migrations = migrations
        self.release = Release.of(migrations) if migrations is not None else None
        self.lags = lags or {}
        self._measures: list[Measure] = [] if pool is None else [partial(measure_database, pool)]
        self._measures += measures
        self.personal = personal
        every = [*workers, *(personal.workers if personal is not None else ())]
        self.supervised = [Supervised(worker, is_transient) for worker in every]
        self._at_work: list[asyncio.Task[None]] = []
        self._resources = [*resources, *([personal] if personal is not None else [])]
        outside = [*self._builtin_checks(), *checks]
        self.outside = Health(self.name, self.version, outside)
        """The health of what is outside the process: database, Kafka, lags; not its workers."""
        inside = [worker.check() for worker in self.supervised]
        if personal is not None:
            inside.append(personal.vault_check())
        self.health = Health(self.name, self.version, [*outside, *inside])
        if personal is not None:
            personal.routes().serve_by(api)
        operational_routes(self.health, self._worker_states, pool, queries).serve_by(api)

    def _builtin_checks(self) -> Iterator[Check]:
        yield _auth_check(self.api.state.verifier)
        if self.pool is not None:
            yield database_check(self.pool)
        if self.pool is not None and self.release is not None:
            yield migrations_check(self.pool, self.release)
        if self.queries is not None:
            yield queries_check(self.queries)
        if self.personal is not None:
            yield self.personal.store_check()
        for name, lag in self.lags.items():
            yield lag_check(name, lag, self.settings.lag_limit)

    def _worker_states(self) -> Mapping[str, str]:
        return {supervised.name: supervised.state for supervised in self.supervised}

    async def migrate(self) -> str | None:
        """Brings its database and its key store to their newest schemas, as their owners.

        Returns the migration that the database is at, None for a service without one.
        """
        at = None
        if self.migrations is not None:
            url = self.settings.owner_database_url or self.settings.database_url
            at = await migrate(self.name, self.migrations, url.get_secret_value())
        if self.personal is not None:
            await self.personal.migrate()
        return at

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Service]:
        """With pool, query engine and resources open, but nothing running: for scripts, checks and tests."""
        async with AsyncExitStack() as stack:
            if self.pool is not None:
                await self.pool  # opens it; connections are made when they are needed
                stack.push_async_callback(close_pool, self.pool)
            if self.queries is not None:
                stack.push_async_callback(close_engine, self.queries)
            for resource in self._resources:
                await stack.enter_async_context(resource)
            yield self

    async def serve(self, stop: asyncio.Event, listening: Callable[[str], None] | None = None) -> None:
        """Serves until `stop` is set; tells `listening` the URL once the port is open.

        Then, in this order: no more connections are accepted; requests under way are answered; workers are cancelled,
        which rolls back the batch they are at; pools are closed. Raises StartError, ShutdownTimeoutError, or (in an
        ExceptionGroup) what ended a worker for good.
        """
        listener = _bind(self.settings.http_host, self.settings.http_port)
        with contextlib.closing(listener):
            async with self.opened():
                server = _Server(self._uvicorn_config())
                http = asyncio.create_task(server.serve(sockets=[listener]), name="http server")
                work = asyncio.create_task(self._work(), name="workers")
                told = asyncio.create_task(stop.wait(), name="stop signal")
                url = _url(listener)
                log.info("listening", url=url, version=self.version, workers=[s.name for s in self.supervised])
                if listening is not None:
                    listening(url)
                try:
                    await asyncio.wait({http, work, told}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    told.cancel()
                    await self._shut_down(server, http, work)

    async def _work(self) -> None:
        await self._await_database()
        async with asyncio.TaskGroup() as group:
            group.create_task(_heartbeat(), name="heartbeat")
            group.create_task(keep_measuring(self._measures, self.health), name="measuring")
            for supervised in self.supervised:
                self._at_work.append(group.create_task(supervised.run(), name=f"worker {supervised.name}"))

    async def _await_database(self) -> None:
        """Workers start once the database is there and migrated; until then `/ready` says what is missing."""
        if self.pool is None:
            return
        deadline, pause = monotonic() + self.settings.start_seconds, 0.25
        while reason := await self._missing(self.pool):
            if monotonic() + pause > deadline:
                raise StartError(f"gave up after {self.settings.start_seconds:g} s: {reason}")
            log.warning("waiting for the database", reason=reason, next_try_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10)

    async def _missing(self, pool: asyncpg.Pool) -> str | None:
        try:
            found = await migrated_to(pool, seconds=15)
            missing_keys = await self.personal.keys.missing() if self.personal is not None else None
        except Exception as error:
            if not is_transient(error):
                raise
            return f"{type(error).__name__}: {error}"
        if self.release is not None and (shortfall := self.release.shortfall(found)) is not None:
            return shortfall
        return missing_keys

    async def _shut_down(self, server: uvicorn.Server, http: asyncio.Task[None], work: asyncio.Task[None]) -> None:
        seconds = self.settings.shutdown_seconds
        deadline = monotonic() + seconds
        log.info("stopping", at_most_seconds=seconds)
        self.api.state.streams.end()
        server.should_exit = True
        # uvicorn cuts requests after half of the time; a moment more for it to notice.
        await asyncio.wait({http}, timeout=seconds / 2 + 1)
        await self._end(http, work, max(0.3, deadline - monotonic()))
        if pending := [task.get_name() for task in (http, work) if not task.done()]:
            states = self._worker_states()
            still = [name for name, state in states.items() if state != "stopped"]
            raise ShutdownTimeoutError(f"after {seconds:g} s still running: {', '.join(pending)} ({', '.join(still)})")
        for task in (http, work):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        log.info("stopped")

    async def _end(self, http: asyncio.Task[None], work: asyncio.Task[None], seconds: float) -> None:
        """Cancels the workers, and those that still run twice more: an error on their way out replaces a cancellation.

        Such as that of a rollback on a connection that is gone. A database that is silent is cut off before the last.
        """
        work.cancel()
        for again in range(3):
            if again == 2 and not work.done() and self.pool is not None:
                self.pool.terminate()  # a rollback awaits its answer, too; the server does it by itself
            for task in self._at_work if again else ():
                task.cancel()
            await asyncio.wait({http, work}, timeout=seconds / 3)

    def _uvicorn_config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.api,
            http="h11",  # bounds the size of headers (64 KiB), which httptools does not
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, int(self.settings.shutdown_seconds / 2)),
        )


class _Server(uvicorn.Server):
    """uvicorn within our process: signals are handled by `run`, for the workers' sake."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _auth_check(verifier: Verifier) -> Check:
    async def probe() -> str:
        if not verifier.keys:
            raise RuntimeError("jwt_public_key is not set: every token is refused")
        return f"{len(verifier.keys)} keys"

    return Check("auth", probe)


async def _heartbeat() -> None:
    while True:
        before = monotonic()
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        LOOP_DELAY_SECONDS.observe(max(0.0, monotonic() - before - _HEARTBEAT_SECONDS))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    # Connections inherit it. Without, a head and a body sent apart wait 40 ms for the client's delayed acknowledgement;
    # asyncio sets it only on sockets made with an explicit IPPROTO_TCP, which those of create_server are not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _version(name: str) -> str:
    try:
        return package_version(f"annals-{name}")
    except PackageNotFoundError:
        return "0"

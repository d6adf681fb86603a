"""`/health`: the process lives. `/ready`: it can do its work, proved by asking everything it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import asyncpg
import sqlalchemy as sa
from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from service.logs import get_logger, redact_text
from service.metrics import CHECK_PASSED, CHECK_SECONDS, POOL_CONNECTIONS, POOL_LIMIT, READY
from service.migrations import Release, migrated_to
from service.routing import Router

CHECK_SECONDS_LIMIT = 3.0
# A flood of probes asks the database once a second, not once each.
_CACHE_SECONDS = 1.0
log = get_logger("service.health")

Probe = Callable[[], Awaitable[str]]
Lag = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Check:
    """A named readiness check: `probe` returns a word on what it found, and raises what is wrong.

    One that isn't `vital` is shown with the others, and the service is ready although it fails: a person has to act.
    """

    name: str
    probe: Probe
    vital: bool = True


class CheckResult(BaseModel):
    """How one check ended."""

    ok: bool
    detail: str
    vital: bool = Field(description="Whether the service is not ready while the check fails.")
    seconds: float = Field(description="How long the check took.")


class Readiness(BaseModel):
    """Whether the service can do its work, and every check that says so."""

    service: str
    version: str
    ready: bool
    checks: dict[str, CheckResult]


class Liveness(BaseModel):
    """The process answers and no worker has ended for good."""

    service: str
    version: str
    alive: bool
    workers: dict[str, str] = Field(description="State of each worker: starting, running, restarting or stopped.")


class Health:
    """Runs the checks of one process, one run at a time, and remembers the last result for a second."""

    def __init__(self, service: str, version: str, checks: Sequence[Check]) -> None:
        names = [check.name for check in checks]
        if len(set(names)) != len(names):
            raise ValueError(f"checks: expected distinct names, got {', '.join(names)}")
        self.service = service
        self.version = version
        self.checks = tuple(checks)
        self._last: tuple[float, Readiness] | None = None
        self._lock = asyncio.Lock()

    async def ready(self, *, fresh: bool = False) -> Readiness:
        """The result of all checks, run concurrently, each with its own time limit."""
        async with self._lock:
            if self._last is None or fresh or monotonic() - self._last[0] >= _CACHE_SECONDS:
                found = await self._run()
                self._last = (monotonic(), found)  # from now on: all who have waited for it are answered by it
            return self._last[1]

    async def _run(self) -> Readiness:
        results = await asyncio.gather(*(run_check(check) for check in self.checks))
        checks = {check.name: result for check, result in zip(self.checks, results, strict=True)}
        ready = all(result.ok or not result.vital for result in results)
        previous = self._last[1] if self._last else None
        if previous is None or {n: r.ok for n, r in previous.checks.items()} != {n: r.ok for n, r in checks.items()}:
            failing = {name: result.detail for name, result in checks.items() if not result.ok}
            (log.warning if failing else log.info)("readiness changed", ready=ready, failing=failing)
        READY.set(ready)
        return Readiness(service=self.service, version=self.version, ready=ready, checks=checks)


async def run_check(check: Check) -> CheckResult:
    """How a check ends; an error, and no answer in time, are what it found."""
    started = monotonic()
    try:
        async with asyncio.timeout(CHECK_SECONDS_LIMIT):
            ok, detail = True, await check.probe()
    except TimeoutError:
        ok, detail = False, f"no answer within {CHECK_SECONDS_LIMIT:g} s"
    except Exception as error:  # whatever is wrong is the result
        ok, detail = False, redact_text(f"{type(error).__name__}: {error}")[:300]
    seconds = round(monotonic() - started, 4)
    CHECK_SECONDS.labels(check.name).set(seconds)
    CHECK_PASSED.labels(check.name).set(ok)
    return CheckResult(ok=ok, detail=detail, vital=check.vital, seconds=seconds)


def database_check(pool: asyncpg.Pool) -> Check:
    """Fails unless a connection of `pool` answers a query."""

    async def probe() -> str:
        async with pool.acquire(timeout=CHECK_SECONDS_LIMIT) as connection:
            version = await connection.fetchval("SELECT current_setting('server_version')")
        return f"PostgreSQL {version}"

    return Check("database", probe)


def queries_check(engine: AsyncEngine) -> Check:
    """Fails unless queries have a connection, as the role that is theirs."""

    async def ask() -> str:
        async with engine.connect() as connection:
            return f"as {await connection.scalar(sa.text('SELECT current_user'))}"

    async def probe() -> str:
        try:
            return await ask()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return await ask()  # the server has been restarted; the pool has just thrown away what it had before

    return Check("queries", probe)


def migrations_check(pool: asyncpg.Pool, release: Release) -> Check:
    """Fails unless the database is at the migration that this release was built with, or a newer one."""

    async def probe() -> str:
        found = await migrated_to(pool, CHECK_SECONDS_LIMIT)
        if shortfall := release.shortfall(found):
            raise RuntimeError(shortfall)
        return found or "none"

    return Check("migrations", probe)


def lag_check(name: str, lag: Lag, limit: int) -> Check:
    """Fails while a subscription is more than `limit` events behind."""

    async def probe() -> str:
        behind = await lag()
        if behind > limit:
            raise RuntimeError(f"{behind} events behind, expected at most {limit}")
        return f"{behind} events behind"

    return Check(f"lag:{name}", probe)


def operational_routes(
    health: Health, workers: Callable[[], Mapping[str, str]], pool: asyncpg.Pool | None, engine: AsyncEngine | None
) -> Router:
    """`/health`, `/ready` and `/metrics`; no token needed, so a gateway must not show them to the world."""
    router = Router(tags=["operations"])

    @router.get("/health", responses={503: {"model": Liveness}})
    async def is_alive(response: Response) -> Liveness:
        states = dict(workers())
        alive = "stopped" not in states.values()
        response.status_code = 200 if alive else 503
        return Liveness(service=health.service, version=health.version, alive=alive, workers=states)

    @router.get("/ready", responses={503: {"model": Readiness}})
    async def is_ready(response: Response) -> Readiness:
        readiness = await health.ready()
        response.status_code = 200 if readiness.ready else 503
        return readiness

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        if pool is not None:
            _measure_pool("commands", pool.get_size(), pool.get_idle_size(), pool.get_max_size())
        if engine is not None:
            _measure_pool("queries", *_engine_connections(engine))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _measure_pool(name: str, size: int, idle: int, limit: int) -> None:
    POOL_LIMIT.labels(name).set(limit)
    POOL_CONNECTIONS.labels(name, "idle").set(idle)
    POOL_CONNECTIONS.labels(name, "busy").set(size - idle)


def _engine_connections(engine: AsyncEngine) -> tuple[int, int, int]:
    """Size, idle ones and limit; pools that keep nothing (`NullPool`) count nothing."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return 0, 0, 0
    return pool.checkedout() + pool.checkedin(), pool.checkedin(), pool.size()

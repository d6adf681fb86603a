"""For tests of services: the real process wiring, in the test's own event loop, on a fresh database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import httpx
from pydantic import SecretStr

from service.health import Check
from service.logs import configure_logs
from service.main import settings_class
from service.process import Service
from service.settings import ServiceSettings
from service.tokens import generate_keys, mint

S = TypeVar("S", bound=ServiceSettings)

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; reading whom to trust takes longer than most tests


@dataclass(frozen=True, slots=True)
class Running:
    """A service that serves at `url`, and the key that signs its tokens."""

    url: str
    private_key: str
    service: Service

    def client(self, subject: str = "tester", *roles: str) -> httpx.AsyncClient:
        """An HTTP client that acts as `subject` with these roles; the staff reads for a review."""
        token = mint(self.private_key, subject, roles)
        headers = {"authorization": f"Bearer {token}", "annals-purpose": "review"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=_NO_TLS)

    def nobody(self) -> httpx.AsyncClient:
        """An HTTP client without a token."""
        return httpx.AsyncClient(base_url=self.url, timeout=30, verify=_NO_TLS)

    @property
    def pool(self) -> asyncpg.Pool:
        """The service's own connections to its database."""
        assert self.service.pool is not None
        return self.service.pool

    async def shown(self) -> None:
        """Waits until every read model is made and shows all that is in the log now, and the vault is open.

        Raises TimeoutError.
        """
        pool = self.pool
        end = await pool.fetchval("SELECT coalesce(max(position), 0) FROM events")
        there = "SELECT count(*) FROM progress WHERE subscription = ANY ($1) AND position >= $2"
        async with asyncio.timeout(60):
            while (  # noqa: ASYNC110 - rows
                self._locked or await pool.fetchval(there, list(self.service.lags), end) < len(self.service.lags)
            ):
                await asyncio.sleep(0.05)

    @property
    def _locked(self) -> bool:
        return self.service.personal is not None and self.service.personal.vault.locked


@contextlib.asynccontextmanager
async def serving(create: Callable[[S], Service], database: str, kafka: str, **settings: Any) -> AsyncIterator[Running]:
    """Migrates `database` and runs the service inside the block; stops it gracefully at the end."""
    private, public = generate_keys()
    made = settings_class(create)(
        database_url=SecretStr(database),
        kafka_bootstrap=kafka,
        http_port=0,
        jwt_public_key=public,
        **{"keys_remembered_seconds": 0.1, **settings},
    )
    configure_logs(made)  # structlog's own default draws every exception with all its variables, which takes seconds
    service, stop = create(made), asyncio.Event()
    await service.migrate()
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    process = asyncio.create_task(service.serve(stop, listening.set_result))
    process.add_done_callback(lambda _: listening.cancel())  # what ended it before it listened is raised below
    try:
        async with asyncio.timeout(60):
            await asyncio.wait([listening])
        if not listening.cancelled():
            yield Running(listening.result(), private, service)
    finally:
        stop.set()
        await process


async def fails(check: Check, because: str) -> bool:
    """Whether a readiness check fails now, for a reason in which the pattern is found; to be waited for."""
    try:
        await check.probe()
    except RuntimeError as error:
        return re.search(because, str(error)) is not None
    return False


async def events_of(
    client: httpx.AsyncClient, path: str, last_event_id: int | None = 0
) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
    """The events of an event stream as they come, until it ends: id, name, data. Raises HTTPStatusError."""
    headers = {"last-event-id": str(last_event_id)} if last_event_id is not None else {}
    async with client.stream("GET", path, headers=headers) as response:
        response.raise_for_status()
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line and "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            if not line:
                fields = {}

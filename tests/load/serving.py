"""A service over a log of its own, asked by a client in the same process: only the service's work is measured."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
from pydantic import SecretStr
from servers import Servers

from service import Service
from service.logs import configure_logs
from service.tokens import generate_keys, mint

PRIVATE, PUBLIC = generate_keys()
Created = Callable[[SecretStr, str], Service]
"""The service with a database's address and the key that tokens are checked with."""
Fill = Callable[[asyncpg.Pool], Awaitable[None]]
Served = tuple[Service, httpx.AsyncClient]
_made: dict[tuple[int, Fill], Served] = {}


async def served(servers: Servers, created: Created, fill: Fill, role: str) -> Served:
    """The service over what `fill` writes, and a client of this role; made once."""
    if (made := (id(servers), fill)) not in _made:
        _made[made] = await servers.keep(_serving(servers, created, fill, role))
    return _made[made]


@contextlib.asynccontextmanager
async def _serving(servers: Servers, created: Created, fill: Fill, role: str) -> AsyncIterator[Served]:
    server = await servers.postgres()
    url = await asyncio.to_thread(server.create_database)
    service = created(SecretStr(url), PUBLIC)
    configure_logs(service.settings.model_copy(update={"log_level": "warning"}))
    await service.migrate()
    async with service.opened():
        assert service.pool is not None
        await fill(service.pool)
        token = {"authorization": f"Bearer {mint(PRIVATE, 'bench', [role])}"}
        transport = httpx.ASGITransport(service.api)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench", headers=token) as client:
            yield service, client
    await asyncio.to_thread(server.drop_database, url)

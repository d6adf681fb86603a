from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

import eventlog
from annals import services
from console import causes, logs, services_api
from console.app import create
from console.settings import ConsoleSettings
from eventlog import EventLog
from service.tokens import generate_keys

sys.path.append(str(Path(__file__).parent))  # for what the tests here share

from door import TYPES, Door, Shop


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """The console where no service is installed."""
    for module in (services, services_api, logs, causes):
        monkeypatch.setattr(module, "installed", dict)
    private, public = generate_keys()
    made = create(ConsoleSettings(jwt_public_key=public))
    async with made.opened():
        yield Door("http://console", private, httpx.ASGITransport(made.api))


@pytest.fixture
async def log(pool: asyncpg.Pool) -> EventLog:
    await pool.execute(eventlog.install_sql())
    return EventLog(pool, TYPES)


@pytest.fixture
def shop(log: EventLog, database: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The only service that is installed."""
    found = Shop("shop", "shop", database)
    for module in (services, services_api, logs, causes):
        monkeypatch.setattr(module, "installed", lambda: {"shop": found})
    return found

from __future__ import annotations

import asyncpg
import pytest

from eventlog import EventLog, install_sql
from eventlog.testing import EXAMPLE_TYPES


@pytest.fixture
async def log(pool: asyncpg.Pool) -> EventLog:
    await pool.execute(install_sql())
    return EventLog(pool, EXAMPLE_TYPES)

from __future__ import annotations

import sys
from pathlib import Path

import asyncpg
import pytest

from eventlog import EventLog, install_sql
from eventlog.testing import EXAMPLE_TYPES

sys.path.append(str(Path(__file__).parent))  # for forgery and whatever else tests share


@pytest.fixture
async def log(pool: asyncpg.Pool) -> EventLog:
    await pool.execute(install_sql())
    return EventLog(pool, EXAMPLE_TYPES)

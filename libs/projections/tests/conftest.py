from __future__ import annotations

import sys
from pathlib import Path

import asyncpg
import pytest

import eventlog
import projections
from eventlog import EventLog, Watermark

sys.path.append(str(Path(__file__).parent))  # for bank_sample, which the processes that tests kill import as well


@pytest.fixture
async def log(pool: asyncpg.Pool) -> EventLog:
    import bank_sample

    await pool.execute(eventlog.install_sql())
    await pool.execute(projections.install_sql())
    return EventLog(pool, bank_sample.TYPES)


@pytest.fixture
def watermark(pool: asyncpg.Pool) -> Watermark:
    return Watermark(pool, poll_seconds=0.05)

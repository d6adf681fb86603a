from __future__ import annotations

import asyncpg
import pytest

import eventlog
import privacy
from privacy import Keks, KeyStore, LocalKek, Vault


@pytest.fixture
def keks() -> Keks:
    return Keks({"2026": LocalKek(b"a" * 32)})


@pytest.fixture
async def keys(pool: asyncpg.Pool, keks: Keks) -> KeyStore:
    """A store in the test's database, which holds a log as well: apart they are only where it is operated."""
    await pool.execute(eventlog.install_sql())
    await pool.execute(privacy.install_sql())
    return KeyStore(pool, keks)


@pytest.fixture
def vault(keys: KeyStore) -> Vault:
    return Vault(keys, seconds=0.2)

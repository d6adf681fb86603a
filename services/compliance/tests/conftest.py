from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from compliance import projections
from compliance.app import create
from messaging.testing import delete_topics, eventually
from service.testing import Running, serving


@pytest.fixture
async def compliance(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka."""
    await delete_topics(kafka)
    async with serving(create, database, kafka) as running:
        pool = running.service.pool
        assert pool is not None

        async def read_models_made() -> bool:
            return bool(await pool.fetchval("SELECT count(*) FROM checkpoints") >= len(projections.ALL))

        await eventually(read_models_made)
        yield running

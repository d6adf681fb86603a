from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging import TopicSpec, ensure
from messaging.testing import delete_topics
from rewards.app import create
from service.testing import Running, serving

sys.path.append(str(Path(__file__).parent))  # for rewards_deeds


@pytest.fixture
async def rewards(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka, its read models made."""
    await delete_topics(kafka)
    await ensure(kafka, [TopicSpec("chain.operations"), TopicSpec("chain.blocks", partitions=1)])
    async with serving(create, database, kafka) as running:
        await running.shown()
        yield running

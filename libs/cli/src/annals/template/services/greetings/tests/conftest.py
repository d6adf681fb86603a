from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from greetings.app import create
from messaging import TopicSpec, ensure
from messaging.testing import delete_topics
from service.testing import Running, serving


@pytest.fixture
async def greetings(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka, its read models made."""
    await delete_topics(kafka)
    await ensure(kafka, [TopicSpec("compliance.events")])
    async with serving(create, database, kafka) as running:
        await running.shown()
        yield running

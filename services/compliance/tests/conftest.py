from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from compliance.app import create
from messaging.testing import delete_topics
from service.testing import Running, serving

SECRETS = {
    "kyc_secret": "what the provider of the tests signs with",
    "kyc_secret_before": "what the provider of the tests signed with before",
}


@pytest.fixture
async def compliance(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka, its read models made."""
    await delete_topics(kafka)
    async with serving(create, database, kafka, **SECRETS) as running:
        await running.shown()
        yield running

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from messaging import TopicSpec, ensure
from messaging.testing import delete_topics
from rewards.app import create
from service.testing import Running, serving

sys.path.append(str(Path(__file__).parent))  # for claims_stage

from claims_stage import SETTINGS


@pytest.fixture
async def rewards(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka, its read models made."""
    async with _served(database, kafka) as running:
        yield running


@pytest.fixture
async def paying(database: str, kafka: str) -> AsyncIterator[Running]:
    """The same with a verifier, where the vault can be heard."""
    async with _served(database, kafka, "chain.reward-vault", **SETTINGS) as running:
        yield running


@asynccontextmanager
async def _served(database: str, kafka: str, *topics: str, **settings: Any) -> AsyncIterator[Running]:
    await delete_topics(kafka)
    heard = [TopicSpec(name) for name in ("chain.operations", *topics)]
    await ensure(kafka, [*heard, TopicSpec("chain.blocks", partitions=1)])
    async with serving(create, database, kafka, **settings) as running:
        await running.shown()
        yield running

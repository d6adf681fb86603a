"""`annals seed`: the services take what it asks, and take it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from annals.directory import Directory
from annals.seed import NotSeeded, seed, wishes
from annals.services import find
from messaging.testing import delete_topics
from service.testing import serving

TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize("name", sorted({wish.service for wish in wishes(TODAY)}))
async def test_a_service_takes_all_of_it_once_a_day_or_says_why_not(name: str, database: str, kafka: str) -> None:
    await delete_topics(kafka)
    async with serving(find(name).create, database, kafka) as running:
        directory = Directory("seeded", {}, {name: running.url}, running.private_key, {})
        assert (await seed(directory, TODAY))[name] > 6
        assert await seed(directory, TODAY) == {name: 0}
        events = await running.pool.fetchval("SELECT count(*) FROM events")
        yesterday = await seed(directory, TODAY - timedelta(days=1))
        assert (yesterday[name] > 0) is (name == "rewards"), "listening is of a day"
        assert await running.pool.fetchval("SELECT count(*) FROM events") == events + yesterday[name]
        elsewhere = Directory("seeded", {}, {name: f"{running.url}/nowhere"}, running.private_key, {})
        with pytest.raises(NotSeeded, match=f"{name} /[a-z]+: expected 2xx, got 404"):
            await seed(elsewhere, TODAY)

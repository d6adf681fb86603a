"""`annals clear`: what it throws away, what it leaves, and when it refuses."""

from __future__ import annotations

import json

import asyncpg
import pytest
from typer.testing import CliRunner

from annals import maintenance
from annals.cli import app
from annals.errors import NotNow
from annals.services import Installed, find
from local_stack.process import blocking
from messaging.leader import leadership
from projections.generation import Generation


async def made(service: Installed) -> None:
    """Its database, with its read models."""
    await service.create(service.settings()).migrate()
    async with service.log() as log, log.pool.acquire() as connection:
        for projection in service.projections:
            await Generation(projection, service.types).ensure(connection)


async def schemas(database: str) -> set[str]:
    connection = await asyncpg.connect(database)
    try:
        return {row[0] for row in await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '_v[0-9]+'")}
    finally:
        await connection.close()


def test_read_models_go_unless_the_service_runs_and_the_log_stays(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARDS_DATABASE_URL", database)
    rewards = find("rewards")
    blocking(made(rewards))
    names = [projection.name for projection in rewards.projections]

    async def while_it_runs() -> None:
        async with asyncpg.create_pool(database, min_size=0, max_size=2) as pool, leadership(pool, "relay:rewards"):
            with pytest.raises(NotNow, match="rewards runs as"):
                await maintenance.clear("rewards")

    blocking(while_it_runs())
    assert {projection.schema for projection in rewards.projections} == blocking(schemas(database))
    ended = CliRunner().invoke(app, ["clear", "rewards", "--yes", "--json"])
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, {"service": "rewards", "cleared": names})
    assert blocking(schemas(database)) == set()
    assert "Nothing was there." in CliRunner().invoke(app, ["clear", "rewards", "--yes"]).stdout


def test_nothing_goes_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    settings = find("rewards").settings().model_copy(update={"environment": "production"})
    monkeypatch.setattr(Installed, "settings", lambda self: settings)
    ended = CliRunner().invoke(app, ["clear", "rewards", "--yes"])
    assert ended.exit_code == 1
    assert "rewards is in production" in ended.stderr

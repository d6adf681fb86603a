"""Two instances of each service behind the gateway: whatever is restarted or upgraded, callers notice nothing."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from callers import all_votes_shown, calling
from next_release import NextRelease
from restarts import PATIENT, SERVERS, restart

from annals.town import START_SECONDS, Town
from local_stack.process import run_program
from local_stack.stack import remove_dead_tests, remove_if_stopped
from service import find_migrations
from service.migrations import Release

pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_SECOND = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncIterator[Town]:
    remove_dead_tests()
    name = f"test-{os.getpid()}-{secrets.token_hex(3)}"
    built = Town(name, instances=2, gateway=True, durable=False, settings=PATIENT)
    await built.start(lambda *_: None)
    try:
        yield built
    finally:
        await built.stop()
        remove_if_stopped(name)


async def test_no_request_fails_while_one_process_of_each_kind_is_restarted(town: Town) -> None:
    """All but the gateway: what it closes may cross with a request, which `make availability` counts."""
    async with calling(town.directory, PER_SECOND) as outcome:
        for name in (*SERVERS, *town.services):
            await restart(town, name)
    assert outcome.failures == {}
    assert outcome.requests > 0
    await all_votes_shown(town.directory, outcome)


async def test_no_request_fails_while_a_service_is_upgraded_instance_by_instance_and_back(
    town: Town, tmp_path: Path
) -> None:
    head = Release.of(find_migrations("rewards")).head
    assert head is not None
    release = NextRelease(tmp_path, head)
    environment = {**town.directory.environment, **release.environment}
    async with calling(town.directory, PER_SECOND) as outcome:
        migrate = [sys.executable, "-m", "rewards", "migrate"]
        await run_program(migrate, timeout_seconds=START_SECONDS, env=environment)
        # The release that still runs goes on with the newer schema.
        validate = [sys.executable, "-m", "annals", "validate", "rewards", "--stack", town.directory.name]
        await run_program(validate, timeout_seconds=START_SECONDS)
        await restart(town, "rewards", release.environment)  # now both run
        await restart(town, "rewards-2", release.environment)
        both = outcome.voted
        await restart(town, "rewards")  # and both again, on the way back
        await restart(town, "rewards-2")
    assert outcome.failures == {}
    assert outcome.voted > both > 0
    await all_votes_shown(town.directory, outcome)
    database = await asyncpg.connect(environment["REWARDS_DATABASE_URL"])
    try:
        assert await database.fetchval("SELECT version_num FROM alembic_version") == release.migration
        assert await database.fetchval("SELECT count(*) FROM votes_v2.voting_records WHERE weight = 1") > 0
    finally:
        await database.close()

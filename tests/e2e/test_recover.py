"""A service loses its database; the command gives it back from a backup and from Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from contracts import chain
from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from local_stack.testing import Backup
from messaging import TopicSpec, ensure
from messaging.progress import read_progress
from messaging.testing import delete_topics, eventually, send
from rewards.app import create
from service.testing import Running, serving

EACH = 4
"""Events of a claim that the vault has paid: it is in the books of claim, budget and wallet, too."""
EVENTS = "SELECT events::text FROM events ORDER BY position"


async def claims(kafka: str, first: int, last: int) -> None:
    def claimed(number: int) -> tuple[str, chain.RewardClaimed]:
        claim = hash_of("claim", number)
        message = chain.RewardClaimed(
            claim_id=claim, pool=Pool.LISTENING, claimant=address(1), amount=number, day=20_454, source=source(number)
        )
        return f"reward-vault/claim/{claim}", message

    await send(kafka, *(claimed(number) for number in range(first, last + 1)))


async def has_all(running: Running, kafka: str, events: int) -> bool:
    """Whether so many events are in the log, on Kafka and in the read models."""
    pool = running.pool
    last, found = await pool.fetchrow("SELECT max(position), count(*) FROM events")
    behind = await pool.fetchval("SELECT count(*) FROM checkpoints WHERE position < $1", last)
    progress = await read_progress(kafka, "rewards.relay") if found == events else None
    return progress is not None and progress.position == last and not behind


async def annals(database: str, kafka: str, home: Path, *arguments: str) -> Any:
    """Runs the command, which must succeed; returns what it prints."""
    environment = {**os.environ, "REWARDS_DATABASE_URL": database, "ANNALS_KAFKA_BOOTSTRAP": kafka}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "annals", *arguments, "--json",
        env={**environment, "ANNALS_HOME": str(home)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode() + printed.decode()
    return json.loads(printed)


async def test_a_service_restored_from_a_backup_gets_back_all_that_it_ever_published(
    database: str, backup: Backup, kafka: str, tmp_path: Path
) -> None:
    await delete_topics(kafka)
    await ensure(kafka, [TopicSpec("chain.operations")])
    await claims(kafka, 1, 40)
    async with serving(create, database, kafka) as running:
        await eventually(lambda: has_all(running, kafka, EACH * 40))
    restored = await backup(database)
    async with serving(create, database, kafka) as running:
        await claims(kafka, 41, 100)
        await eventually(lambda: has_all(running, kafka, EACH * 100))
        lost = [row[0] for row in await running.pool.fetch(EVENTS)]

    done = await annals(restored, kafka, tmp_path, "log", "recover", "rewards", "--from-topic", "--yes")
    assert (done["events"], done["settled"], done["rebuild"]) == (EACH * 60, 60, [])
    async with serving(create, restored, kafka) as running:
        await claims(kafka, 101, 110)
        await eventually(lambda: has_all(running, kafka, EACH * 110))
        assert [row[0] for row in await running.pool.fetch(EVENTS)][: EACH * 100] == lost
        assert await running.pool.fetch("SELECT * FROM parked") == []
    assert all(topic["ok"] for topic in await annals(restored, kafka, tmp_path, "audit", "rewards", "--topic"))
    assert all(model["equal"] for model in await annals(restored, kafka, tmp_path, "audit", "rewards"))

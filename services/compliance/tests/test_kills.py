"""Logs anchored and copies collected through processes that are killed around every step: each is, and once."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

import eventlog
import messaging
import privacy
from compliance import domain, handlers, publish
from contracts import chain
from contracts.audit import log_id
from contracts.chain import Law
from contracts.testing import source
from eventlog import EventLog, EventTypes, Executor, Metadata, Seal
from eventlog.testing import nursery
from messaging import TopicSpec, ensure
from messaging.taken_in import taken_in
from messaging.testing import delete_topics, eventually, read_all, send, send_raw
from privacy import Copies, open_with, seal_for

sys.path.append(str(Path(__file__).parent))

from peer import listening, private, public
from said import TOPIC

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("compliance_worker.py")
NOW = datetime.now(UTC)
LOGS = ("rewards", "royalties")


async def counts(pool: asyncpg.Pool) -> dict[str, int]:
    return Counter(row["type"] for row in await pool.fetch("SELECT type FROM events"))


async def seal(kafka: str, service: str) -> Seal:
    """Has a service tell of the first seal of its log."""
    unhashed = Seal(1, 1, 7, 7, root=bytes(32), previous=eventlog.seals.GENESIS, sealed_at=NOW, hash=bytes(32))
    told = replace(unhashed, hash=unhashed.computed_hash())
    await send_raw(kafka, f"{service}.seals", service.encode(), told.to_json().encode(), [])
    return told


async def asked(kafka: str) -> list[dict[str, object]]:
    """What the chain service was asked for."""
    return [json.loads(record.value or b"") for record in await read_all(kafka, publish.COMMANDS.name)]


async def test_killed_around_every_step_each_log_is_anchored_once(
    pool: asyncpg.Pool, database: str, kafka: str
) -> None:
    await delete_topics(kafka)
    seals = [TopicSpec(f"{service}.seals", partitions=1) for service in LOGS]
    await ensure(kafka, [*publish.TOPICS, publish.COMMANDS, TopicSpec(TOPIC), *seals])
    for library in (eventlog, messaging):
        await pool.execute(library.install_sql())
    roots = {log_id(service): (await seal(kafka, service)).hash.hex() for service in LOGS}

    async def both_are_asked_for() -> bool:
        return len(await asked(kafka)) == len(LOGS)

    async def heard() -> bool:
        return await taken_in(pool, kafka, "compliance", [TOPIC])

    settings = {"anchor_seconds": 3_600, "anchored_logs": ",".join(LOGS)}
    plan = {"dsn": database, "kafka": kafka, "anchors": True, "settings": settings}
    async with nursery(WORKER, plan) as workers:
        await workers.killed("before AnchorAsked")
        assert await counts(pool) == {}, "nothing was asked for yet"
        await workers.killed("after AnchorAsked")
        await workers.killed("before commit")
        assert await asked(kafka) == [], "Kafka shows nothing of a transaction that was not committed"
        await workers.killed("after commit")
        last = await workers.start()
        await eventually(both_are_asked_for)
        await workers.stop(last)
        for number, command in enumerate(await asked(kafka)):  # the chain takes each, and it is told twice
            told = chain.RootAnchored(**command["args"], source=source(10, number))  # type: ignore[arg-type]  # JSON
            await send(kafka, *[(f"compliance-registry/anchor/{told.log_id}", told)] * 2)
        await workers.killed("before RootAnchored")
        await workers.killed("after RootAnchored")
        await workers.start()
        await eventually(heard)

    commands = await asked(kafka)
    assert {command["args"]["log_id"]: command["args"]["root"] for command in commands} == roots  # type: ignore[index]
    assert len({command["operation_id"] for command in commands}) == len(commands) == len(LOGS)
    assert await counts(pool) == {"AnchorAsked": len(LOGS), "RootAnchored": len(LOGS)}


async def test_killed_around_every_step_a_copy_is_collected_and_an_archive_ready_once(
    pool: asyncpg.Pool, database: str
) -> None:
    for library in (eventlog, privacy):
        await pool.execute(library.install_sql())
    executor, name = Executor(EventLog(pool, EventTypes(domain.EVENTS))), str(uuid4())
    receive = domain.ReceiveAccess(name, "ada", Law.GDPR, public(), NOW)
    await executor.execute(handlers.receive_access(receive, Metadata()))

    async def step(command: domain.AccessStep) -> None:
        await executor.execute([handlers.access_step("ada", command, Metadata())])

    await step(domain.VerifyIdentity(name, domain.Method.SIGNED_IN, NOW))
    await step(domain.StartAccess(name, ("ada",), ("test",), NOW + timedelta(days=1), NOW))

    async def advanced() -> bool:
        done = "SELECT EXISTS (SELECT FROM carried_out WHERE task = 'collecting' AND position > 0)"
        return bool(await pool.fetchval(done))

    async with listening() as peer:
        peer.box = seal_for(public(), name, "ada", b"all there is")
        found = sha256(peer.box).hexdigest()
        await step(domain.RecordGathering(name, "ada", "test", found, len(peer.box), 1, NOW))
        settings = {"erasing_services": "test", "peers": f"test={peer.url}", "peers_token": "token"}
        async with nursery(WORKER, {"dsn": database, "kafka": "", "anchors": False, "settings": settings}) as workers:
            for deed in ("keep", "CopyCollected", "advance collecting"):
                await workers.killed(f"before {deed}")
                await workers.killed(f"after {deed}")
            await workers.start()
            await eventually(advanced)

    [copy] = await Copies(pool).of(name)
    assert open_with(private(), copy) == b"all there is"
    recorded = await counts(pool)
    assert (recorded["CopyCollected"], recorded["ArchiveReady"]) == (1, 1)

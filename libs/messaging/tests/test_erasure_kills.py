"""An erasure in one service, killed around every step: the key is destroyed, and the order answered once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

import eventlog
import messaging
import privacy
from contracts.compliance import ErasureCarriedOut, ErasureOrdered
from eventlog.testing import NOW, nursery
from messaging import ensure, erasure
from messaging.testing import delete_topics, eventually, read_all, send
from privacy import DEVELOPMENT, Keks, KeyStore, Personal, Vault

pytestmark = [pytest.mark.timeout(240), pytest.mark.endurance]

WORKER = Path(__file__).with_name("erasing_worker.py")
DEEDS = ("SubjectErased", "erase", "ErasureCarriedOut", "advance")
STEPS = [f"{when} {deed}" for deed in DEEDS for when in ("before", "after")]


async def test_killed_around_every_step_an_order_is_carried_out_and_answered_once(
    pool: asyncpg.Pool, database: str, kafka: str
) -> None:
    await delete_topics(kafka)
    await ensure(kafka, erasure.TOPICS)
    for library in (eventlog, messaging, privacy):
        await pool.execute(library.install_sql())
    keys = KeyStore(pool, Keks.parse(DEVELOPMENT))
    vault = Vault(keys)
    sealed = await vault.seal([Personal(who, "email", SecretStr(who)) for who in ("u-1", "u-2")])
    order = ErasureOrdered(request_id="request-1", subject="u-1", ordered_at=NOW)
    await send(kafka, ("deletion/u-1", order), ("deletion/u-1", order))

    async def done() -> bool:
        return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM erasures_done WHERE position > 0)"))

    async def answered() -> bool:
        return bool(await read_all(kafka, erasure.ANSWERS.name))

    async with nursery(WORKER, {"dsn": database, "kafka": kafka}) as workers:
        for step in STEPS:
            await workers.killed(step)
        await workers.start()
        await eventually(done)
        await eventually(answered)
    opened = await Vault(keys).open(sealed)
    assert opened == [None, SecretStr("u-2")]
    assert await keys.erased(["u-1", "u-2"]) == {"u-1"}
    counts = Counter(row["type"] for row in await pool.fetch("SELECT type FROM events"))
    assert counts == {"SubjectErased": 1, "ErasureCarriedOut": 1}
    [answer] = await read_all(kafka, erasure.ANSWERS.name)
    told = ErasureCarriedOut.model_validate_json(answer.value)
    assert (told.subject, told.service, told.kept) == ("u-1", "erasing", {"blocks": "public-chain"})

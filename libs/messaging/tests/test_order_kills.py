"""What compliance orders of one service, killed around every step: it is carried out, and answered once."""

from __future__ import annotations

import base64
from collections import Counter
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

import eventlog
import messaging
import privacy
from contracts import Message
from contracts.compliance import ErasureCarriedOut, ErasureOrdered, ExportGathered, ExportOrdered
from eventlog.testing import NOW, nursery
from messaging import ensure, orders
from messaging.testing import delete_topics, eventually, read_all, send
from privacy import DEVELOPMENT, Copies, Keks, KeyStore, Personal, Vault, open_with

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("obeying_worker.py")
KEY = X25519PrivateKey.generate()


@pytest.fixture
async def keys(pool: asyncpg.Pool, kafka: str) -> KeyStore:
    await delete_topics(kafka)
    await ensure(kafka, orders.TOPICS)
    for library in (eventlog, messaging, privacy):
        await pool.execute(library.install_sql())
    return KeyStore(pool, Keks.parse(DEVELOPMENT))


async def killed_around(deeds: tuple[str, ...], order: Message, pool: asyncpg.Pool, database: str, kafka: str) -> bytes:
    """Gives an order twice to processes that die around every deed, then to one that lives; returns the one answer."""
    await send(kafka, ("order", order), ("order", order))

    async def done() -> bool:
        answered = await read_all(kafka, orders.ANSWERS.name)
        advanced = "SELECT EXISTS (SELECT FROM carried_out WHERE task = $1 AND position > 0)"
        return bool(answered) and bool(await pool.fetchval(advanced, deeds[-1].partition(" ")[2]))

    async with nursery(WORKER, {"dsn": database, "kafka": kafka}) as workers:
        for step in (f"{when} {deed}" for deed in deeds for when in ("before", "after")):
            await workers.killed(step)
        await workers.start()
        await eventually(done)
    [answer] = await read_all(kafka, orders.ANSWERS.name)
    return bytes(answer.value)


async def recorded(pool: asyncpg.Pool) -> dict[str, int]:
    return Counter(row["type"] for row in await pool.fetch("SELECT type FROM events"))


async def test_killed_around_every_step_an_erasure_is_carried_out_and_answered_once(
    keys: KeyStore, pool: asyncpg.Pool, database: str, kafka: str
) -> None:
    sealed = await Vault(keys).seal([Personal(who, "email", SecretStr(who)) for who in ("u-1", "u-2")])
    order = ErasureOrdered(request_id="request-1", subject="u-1", ordered_at=NOW)
    deeds = ("SubjectErased", "erase", "ErasureCarriedOut", "advance erasures")
    told = ErasureCarriedOut.model_validate_json(await killed_around(deeds, order, pool, database, kafka))
    assert (told.subject, told.service, told.kept) == ("u-1", "obeying", {"blocks": "public-chain"})
    assert await Vault(keys).open(sealed) == [None, SecretStr("u-2")]
    assert await keys.erased(["u-1", "u-2"]) == {"u-1"}
    assert await recorded(pool) == {"SubjectErased": 1, "ErasureCarriedOut": 1}


async def test_killed_around_every_step_a_copy_is_made_and_told_of_once(
    keys: KeyStore, pool: asyncpg.Pool, database: str, kafka: str
) -> None:
    expires_at = NOW + timedelta(days=36_500)
    public, private = (
        base64.b64encode(raw).decode() for raw in (KEY.public_key().public_bytes_raw(), KEY.private_bytes_raw())
    )
    order = ExportOrdered(
        request_id="request-1", subject="u-1", public_key=public, ordered_at=NOW, expires_at=expires_at
    )
    deeds = ("ExportAsked", "keep", "ExportGathered", "advance exports")
    told = ExportGathered.model_validate_json(await killed_around(deeds, order, pool, database, kafka))
    [copy] = await Copies(pool).of("request-1")
    assert (told.subject, told.service, told.content_hash) == ("u-1", "obeying", copy.content_hash)
    assert b'"u-1"' in open_with(private, copy)
    assert await recorded(pool) == {"ExportAsked": 1, "ExportGathered": 1}

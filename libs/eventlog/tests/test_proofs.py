"""Proofs of inclusion: made from a log, checked with nothing but themselves."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from forgery import HOLE, fill, seal_all

from eventlog import EventLog, InvalidProof, prove, verify_proof
from eventlog.seals import Seal
from eventlog.testing import as_superuser, credited


@pytest.fixture
async def seals(log: EventLog, pool: asyncpg.Pool) -> list[Seal]:
    await fill(log)
    return await seal_all(pool)


async def proof_of(pool: asyncpg.Pool, position: int, upto_seal: int | None = None) -> str:
    event_id = await pool.fetchval("SELECT event_id FROM events WHERE position = $1", position)
    async with pool.acquire() as conn:
        return (await prove(conn, event_id, upto_seal)).to_json()


async def test_every_event_can_be_proven_by_its_seal_and_by_any_later_one(
    pool: asyncpg.Pool, seals: list[Seal]
) -> None:
    for position in {*range(1, 72)} - {HOLE}:
        proof = verify_proof(await proof_of(pool, position, 5), trusted=seals[4].hash)
        assert proof.event.position == position
        assert len(proof.seals) == 5 - (position - 1) // 16
    assert verify_proof(await proof_of(pool, 40), trusted=seals[2].hash).seals == seals[2:3]


async def test_a_proof_shows_the_event_as_it_is_stored(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    shown = json.loads(await proof_of(pool, 1))["event"]
    row = await pool.fetchrow("SELECT * FROM events WHERE position = 1")
    assert shown == {
        "position": 1,
        "stream": "account/0",
        "version": 1,
        "event_id": str(row["event_id"]),
        "type": "Credited",
        "type_version": 2,
        "data": row["data"],
        "metadata": "{}",
        "occurred_at": "2026-01-02T03:04:05+00:00",
        "recorded_at": row["recorded_at"].isoformat(),
    }


async def test_a_time_beyond_all_calendars_can_be_proven_too(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    await as_superuser(pool, "UPDATE events SET occurred_at = 'infinity' WHERE position = 3")
    seals = await seal_all(pool)
    text = await proof_of(pool, 3)
    assert json.loads(text)["event"]["occurred_at"] == 2**63 - 1
    assert verify_proof(text, trusted=seals[0].hash)


async def test_an_event_that_is_not_there_or_not_sealed_yet_has_no_proof(
    log: EventLog, pool: asyncpg.Pool, seals: list[Seal]
) -> None:
    late = credited("late")
    await log.append([late])
    async with pool.acquire() as conn:
        with pytest.raises(LookupError, match="not in this log"):
            await prove(conn, uuid4())
        with pytest.raises(LookupError, match=f"event {late.event_id}, position 72: not sealed yet"):
            await prove(conn, late.event_id)
    with pytest.raises(LookupError, match="seal 9: not there; the last one is 5"):
        await proof_of(pool, 1, 9)


async def test_a_log_that_was_changed_proves_nothing(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(pool, "UPDATE events SET data = '{\"amount\": 1}' WHERE position = 40")
    with pytest.raises(InvalidProof, match="expected root"):
        await proof_of(pool, 41)


def changed(text: str, *where: Any, value: object) -> str:
    proof = json.loads(text)
    target = proof
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = value
    return json.dumps(proof)


CHANGES = [
    (("event", "data"), '{"amount": 41, "note": ""}', "expected root"),
    (("event", "stream"), "account/1", "expected root"),
    (("event", "version"), 99, "expected root"),
    (("event", "event_id"), str(uuid4()), "expected root"),
    (("event", "metadata"), "{} ", "expected root"),
    (("event", "type"), "Debited", "expected root"),
    (("event", "type_version"), 1, "expected root"),
    (("event", "occurred_at"), "2026-01-02T03:04:05.000001+00:00", "expected root"),
    (("event", "recorded_at"), 5, "expected root"),
    (("event", "position"), 41, "expected root"),
    (("event", "position"), 49, "expected a leaf from 0 to 15, got 16"),
    (("event", "position"), 2**70, "2199023255552|argument out of range|int too large|expected a leaf"),
    (("event", "type_version"), 2**40, "format"),
    (("event", "stream"), 7, "event.stream: Input should be a valid string"),
    (("event", "occurred_at"), "yesterday", "event.occurred_at: Value error"),
    (("event", "occurred_at"), "2026-01-02T03:04:05", "event.occurred_at: Value error"),
    (("event", "occurred_at"), 2**80, "event.occurred_at: Value error"),
    (("event", "occurred_at"), None, "event.occurred_at"),
    (("path", 1), "00" * 32, "expected root"),
    (("path", 1), "00", "path.1: Data should have at least 32 bytes"),
    (("path",), [], "up to the root, got 0 entries"),
    (("seals",), [], "seals: expected at least one, found none"),
    (("seals", 0, "root"), "00" * 32, "expected root"),
    (("seals", 0, "events"), 17, "seal 3: hash: expected"),
    (("seals", 0, "sealed_at"), "2020-01-01T00:00:00Z", "seal 3: hash: expected"),
    (("seals", 0, "hash"), "00" * 32, "seal 3: hash: expected"),
    (("seals", 1, "previous"), "00" * 32, "seal 4: previous: expected"),
    (("seals", 2, "number"), 6, "seal 6: number: expected 5, found 6"),
    (("format",), "something else", "format: Input should be 'annals-proof.v1'"),
]


async def test_a_proof_in_which_anything_was_changed_is_refused(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    text = await proof_of(pool, 40, 5)
    assert verify_proof(text, seals[4].hash)
    for where, value, message in CHANGES:
        with pytest.raises(InvalidProof, match=message):
            verify_proof(changed(text, *where, value=value))


async def test_seals_that_nobody_vouches_for_prove_nothing_to_who_trusts_another(
    pool: asyncpg.Pool, seals: list[Seal]
) -> None:
    text = await proof_of(pool, 40, 4)
    for trusted in (seals[2], seals[3]):
        verify_proof(text, trusted.hash)
    for stranger in (seals[1].hash, seals[4].hash, bytes(32)):
        with pytest.raises(InvalidProof, match=f"trusted hash {stranger.hex()}, found none of seals 3 to 4"):
            verify_proof(text, stranger)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{", '{"format": "annals-proof.v1"}', "\ud800"])
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(InvalidProof):
        verify_proof(text)

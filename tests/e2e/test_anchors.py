"""A superuser forges a log, seals it anew and rules over Kafka, too; the chain remembers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from typer.testing import CliRunner

import compliance.anchoring
from annals import trail
from annals.cli import app
from compliance.app import create
from contracts.testing import hash_of
from eventlog import verify
from eventlog.testing import as_superuser, reseal_from
from messaging.testing import eventually
from service.testing import serving

sys.path.append(str(Path(__file__).parent))

from small_town import Place, recorded


async def annals(*arguments: str) -> tuple[bool, Any]:
    """Runs the command, which has a loop of its own; whether all is good, and what it prints."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code == 0, json.loads(result.stdout)


async def test_a_log_that_was_forged_and_sealed_anew_differs_from_its_anchor(
    chain_of_claims: Place, database: str, kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = chain_of_claims
    monkeypatch.setattr(compliance.anchoring, "LOOK_SECONDS", 0.2)
    monkeypatch.setenv("COMPLIANCE_DATABASE_URL", database)
    monkeypatch.setenv("ANNALS_KAFKA_BOOTSTRAP", kafka)
    monkeypatch.setenv("CHAIN_NODE_URL", place.url)
    monkeypatch.setenv("CHAIN_CONTRACTS", place.contracts)
    anchoring = {"anchor_seconds": 3600, "anchored_logs": "compliance, none-such", "seal_seconds": 0.2}
    async with serving(create, database, kafka, **anchoring) as running:
        document = {"document_type": "terms", "version": 1, "content_hash": hash_of("terms"), "uri": "ipfs://terms"}
        async with running.client("olga", "officer") as olga:
            done = await olga.post("/documents", json=document, headers={"idempotency-key": str(uuid4())})
            assert done.status_code == 200, done.text
        await eventually(recorded(place.chain.pool, "TransactionBroadcast"))
        place.control("mine", blocks=25)
        await eventually(recorded(running.pool, "RootAnchored"))
        await running.shown()
        assert await recorded(running.pool, "AnchorAsked", 2)() is False, "a day has not gone by"

    verifying = ("verify", "compliance", "--no-topic", "--anchors")
    good, [report] = await annals(*verifying)
    assert (good, report["anchored"]) == (True, 1), report

    exported = tmp_path / "olga.jsonl"
    good, report = await annals("trail", "export", "--actor", "olga", "-o", str(exported))
    assert (good, report["entries"], report["unsealed"]) == (True, 1, 0)
    text = exported.read_text()
    anchor = bytes.fromhex(json.loads(text.splitlines()[-1])["seals"][0]["hash"])
    assert trail.verify(text, [anchor]).trusted
    assert not trail.verify(text, [bytes(32)]).trusted
    with pytest.raises(trail.InvalidTrail, match="actor: expected olga, got mallory"):
        trail.verify(text.replace('"actor": "olga"', '"actor": "mallory"', 1), [anchor])

    async with asyncpg.create_pool(database, min_size=1, max_size=2) as pool:
        forged = "UPDATE audit_events_v1.audit_events SET actor = 'mallory' WHERE actor = 'olga'"
        assert await pool.execute(forged) == "UPDATE 1"
        good, models = await annals("audit", "compliance")
        assert not good
        assert [one["first"] for one in models if not one["equal"]] == ["audit_events_v1"]

        await as_superuser(
            pool, "UPDATE events SET metadata = jsonb_set(metadata, '{actor}', '\"mallory\"') WHERE position = 1"
        )
        async with pool.acquire() as connection:
            assert not (await verify(connection)).ok, "the seals tell"
            await reseal_from(pool, 1)
            assert (await verify(connection)).ok, "log and seals agree again"
    good, [report] = await annals(*verifying)
    assert not good
    assert ["as anchored" in problem["sentence"] for problem in report["problems"]] == [True]

"""`annals compliance queue`: what officers see of all open requests, at the command line."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from annals.cli import app
from compliance.app import create
from messaging.testing import delete_topics
from service.testing import serving


async def annals(*arguments: str) -> str:
    """What the command prints; it has a loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["compliance", "queue", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_the_queue_shows_what_is_due_and_until_when(
    database: str, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await delete_topics(kafka)
    monkeypatch.setenv("COMPLIANCE_DATABASE_URL", database)
    monkeypatch.setenv("ANNALS_KAFKA_BOOTSTRAP", kafka)
    async with serving(create, database, kafka) as running:
        laws = ("ccpa", "gdpr")  # 45 days, and one month
        for subject, law in zip(("ada", "bob"), laws, strict=True):
            async with running.client(subject, "user") as client:
                body = {"request_id": str(uuid4()), "subject": subject, "law": law}
                answer = await client.post("/deletion-requests", json=body, headers={"idempotency-key": str(uuid4())})
                assert answer.status_code == 200, answer.text
        await running.shown()
        found = json.loads(await annals("--json"))
        assert [(one["kind"], one["subject"], one["law"]) for one in found] == [
            ("deletion", "bob", "gdpr"),
            ("deletion", "ada", "ccpa"),
        ]
        assert [one["subject"] for one in json.loads(await annals("--json", "--due-in", "40"))] == ["bob"]
        assert json.loads(await annals("--json", "--due-in", "3")) == []
        told = await annals()
        assert told.index("bob") < told.index("ada")
        assert "44 days" in told

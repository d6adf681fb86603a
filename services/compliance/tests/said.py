"""What a test says to the service, on the chain's topic and by API, and what it waits for."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx

from compliance.api.webhooks import sign
from compliance.domain import EVENTS
from compliance.settings import ComplianceSettings
from contracts import Message, audit, chain
from contracts.chain import DocumentType, Law
from contracts.testing import address, hash_of, source
from eventlog import EventLog, EventTypes, Executor, Intent
from messaging.testing import eventually
from privacy import SubjectErased, erasure, erasure_stream
from service.testing import Running
from tron.keys import Key
from tron.messages import message_digest

TERMS = DocumentType.TERMS
TOPIC = "chain.compliance-registry"
Keyed = tuple[str, Message]

NOBODYS = "11111111-2222-4333-8444-555555555555"
"""A request that nobody made."""


def text(version: int, document_type: DocumentType = TERMS) -> str:
    return hash_of(document_type.name, version)


def published(version: int, document_type: DocumentType = TERMS, content: str | None = None) -> Keyed:
    message = chain.DocumentPublished(
        document_type=document_type,
        version=version,
        content_hash=content or text(version, document_type),
        uri=f"ipfs://{version}",
        source=source(version),
    )
    return f"compliance-registry/document/{int(document_type)}", message


def accepted(who: int, version: int = 1, document_type: DocumentType = TERMS, content: str | None = None) -> Keyed:
    message = chain.DocumentAccepted(
        account=address(who),
        document_type=document_type,
        version=version,
        content_hash=content or text(version, document_type),
        source=source(1000 * version + who, who),
    )
    return f"compliance-registry/account/{address(who)}", message


def requested(number: int, who: int, at: datetime | None = None, law: Law = Law.GDPR) -> Keyed:
    place = source(5000 + number)
    if at is not None:
        place = replace(place, block_time=at)
    name = hash_of("request", number)
    message = chain.DeletionRequested(request_id=name, account=address(who), law=law, source=place)
    return f"compliance-registry/request/{name}", message


def completed(number: int) -> Keyed:
    name = hash_of("request", number)
    message = chain.DeletionCompleted(request_id=name, certificate_hash=hash_of("c", number), source=source(6000, 3))
    return f"compliance-registry/request/{name}", message


def denied(number: int, reason: int) -> Keyed:
    name = hash_of("request", number)
    message = chain.DeletionDenied(request_id=name, reason=reason, source=source(6001, 4))
    return f"compliance-registry/request/{name}", message


def anchored() -> Keyed:
    message = chain.RootAnchored(log_id=hash_of("log"), segment=1, root=hash_of("root"), source=source(6002))
    return f"compliance-registry/anchor/{message.log_id}", message


def acted(number: int, actor: str = "bob", role: Literal["admin", "officer"] | None = None) -> Keyed:
    """An act in another service, the `number`-th of its stream."""
    message = audit.Acted(
        service="rewards",
        event_id=UUID(int=number),
        position=1000 + number,
        stream="standing/ada",
        version=number,
        action="StandingReported",
        actor=actor,
        role=role,
        causation_id=f"{actor}/k-{number}",
        at=datetime(2026, 3, number, tzinfo=UTC),
        digest=hash_of("leaf", number),
        previous=hash_of("leaf", number - 1) if number > 1 else None,
    )
    return message.stream, message


async def post(client: httpx.AsyncClient, path: str, body: object = None, key: str | None = None) -> httpx.Response:
    return await client.post(path, json=body, headers={"idempotency-key": key or str(uuid4())})


async def get(client: httpx.AsyncClient, path: str, after: httpx.Response, **query: Any) -> Any:
    """What a GET shows once the effect of a command is there."""
    answer = await client.get(path, params=query, headers={"annals-after": after.json()["token"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def publication(version: int = 1, document_type: str = "terms", content: str | None = None) -> dict[str, Any]:
    hashed = content or text(version)
    return {"document_type": document_type, "version": version, "content_hash": hashed, "uri": "https://x.example/t"}


def acceptance(subject: str = "ada", version: int = 1, content: str | None = None) -> dict[str, Any]:
    hashed = content or text(version)
    return {"subject": subject, "document_type": "terms", "version": version, "content_hash": hashed}


def screening(subject: str, number: int = 1, *findings: str) -> dict[str, Any]:
    evidence = {"evidence": f"case/{number}", "evidence_hash": hash_of("evidence", number)}
    return {"screening_id": f"s-{number}", "subject": subject, "findings": findings, **evidence}


async def report(
    running: Running, body: dict[str, Any], age: int = 0, secret: str | None = None, sent: bytes | None = None
) -> httpx.Response:
    """Stands for the provider, who signs what it found; with another secret, an age or another body if told so."""
    settings = running.service.settings
    assert isinstance(settings, ComplianceSettings)
    assert settings.kyc_secret is not None
    key, text = (secret or settings.kyc_secret.get_secret_value()).encode(), json.dumps(body).encode()
    headers = {"annals-signature": sign(key, int(time.time()) - age, text), "content-type": "application/json"}
    async with running.client("provider", "service") as client:
        return await client.post("/kyc-screenings", content=sent or text, headers=headers)


async def link(client: httpx.AsyncClient, key: Key, subject: str, signing: Key | None = None) -> httpx.Response:
    """Asks for a challenge and answers it, with another key if told so."""
    claim = {"subject": subject, "address": key.address}
    challenge = (await post(client, "/wallets/challenges", claim)).json()
    assert subject in challenge["message"]
    assert key.address in challenge["message"]
    signature = (signing or key).sign(message_digest(challenge["message"])).hex()
    return await post(client, "/wallets", {**claim, "nonce": challenge["nonce"], "signature": signature})


async def shown(client: httpx.AsyncClient, path: str, number: int, **query: str) -> list[dict[str, Any]]:
    """The items of a list as soon as it has so many."""
    items: list[dict[str, Any]] = []

    async def enough() -> bool:
        nonlocal items
        items = (await client.get(path, params=query)).json()["items"]
        return len(items) >= number

    await eventually(enough)
    return items


async def parked(running: Running) -> list[tuple[str, str]]:
    pool = running.pool
    return [(row["reason"], row["error"]) for row in await pool.fetch("SELECT reason, error FROM parked ORDER BY id")]


def log_of(running: Running) -> EventLog:
    return EventLog(running.pool, EventTypes(EVENTS))


async def erase(running: Running, subject: str) -> None:
    """Has a subject erased here, and waits until that is carried out."""
    fact = SubjectErased(str(uuid4()), subject, datetime.now(UTC))
    stream = erasure_stream(fact.request_id, subject)
    await Executor(log_of(running)).execute([Intent(stream, erasure, fact, fact.ordered_at)])
    done = "SELECT EXISTS (SELECT FROM events WHERE type = 'ErasureCarriedOut' AND stream = $1)"
    await eventually(lambda: running.pool.fetchval(done, stream))

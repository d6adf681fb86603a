"""What a test says to the service, on the chain's topic and by API, and what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx

from contracts import Message, audit, chain
from contracts.chain import DocumentType, Law
from contracts.testing import address, hash_of, source
from messaging.testing import eventually
from service.testing import Running

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
        place = place.model_copy(update={"block_time": at})
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

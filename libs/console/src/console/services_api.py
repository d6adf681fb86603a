"""The services' own APIs, asked as whoever looks: with their token and purpose, so that the services' rules hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from annals import http
from annals.services import installed
from console.sessions import Operator

SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said: JSON, or why there is none."""

    found: Any = None
    problem: str | None = None


class ServicesApi:
    """One client for all services; open it around its use."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient

    async def __aenter__(self) -> ServicesApi:
        self._client = http.client(timeout=SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, operator: Operator, service: str, path: str, **asked: str) -> Answer:
        """What a route shows; parameters that are empty are left out."""
        return await self._ask(operator, service, "GET", path, params={k: v for k, v in asked.items() if v})

    async def put_on_record(self, operator: Operator, kind: str, detail: Mapping[str, str]) -> Answer:
        """An act in the audit trail, with its actor."""
        headers = {"idempotency-key": str(uuid4())}
        body = {"kind": kind, "detail": dict(detail)}
        return await self._ask(operator, "compliance", "POST", "/audit-events", json=body, headers=headers)

    async def _ask(self, operator: Operator, service: str, method: str, path: str, **options: Any) -> Answer:
        known = installed().get(service)
        if known is None:
            return Answer(problem=f"the service {service} is not installed here")
        settings = known.settings()
        headers = {"authorization": f"Bearer {operator.token}", "annals-purpose": str(operator.caller.purpose)}
        options["headers"] = headers | options.get("headers", {})
        try:
            answer = await self._client.request(
                method, f"http://{settings.http_host}:{settings.http_port}{path}", **options
            )
        except httpx.TransportError as error:
            return Answer(problem=f"{service} does not answer: {type(error).__name__}")
        return Answer(answer.json()) if answer.is_success else Answer(problem=f"{service}: {_reason(answer)}")


def _reason(answer: httpx.Response) -> str:
    """What a problem document says."""
    if "problem+json" not in answer.headers.get("content-type", ""):
        return f"status {answer.status_code}"
    document = answer.json()
    return f"{document['title']} {document.get('detail') or ''}".strip()

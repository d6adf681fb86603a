"""Every role, and every token that is no good, on every route of every service: exactly what is declared is let in.

The services are wired as they run, on a migrated database, and asked within the test's process. A request is let in if
it is answered with neither 401 nor 403: most have no body, so that what follows is that the request is not valid.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from wiring import PRIVATE, PUBLIC, SERVICES, make_read_models, wired

from service.access import ROLES, Access, declared
from service.migrations import find_migrations, migrate
from service.tokens import generate_keys, mint

SUBJECT = "ada"
SAMPLES = {
    "document_type": "terms",
    "kind": "listening",
    "user": SUBJECT,
    "subject": SUBJECT,
    "party": SUBJECT,
    "address": SUBJECT,
    "account": f"earnings:{SUBJECT}",
    "period": "202501",
    "use": "marketing",
}
"""Parameters that decide about access, or are looked at before it."""
OWN_LISTS = {
    "/acceptances",
    "/access-requests",
    "/deletion-requests",
    "/rectification-requests",
    "/artists/{address}/earnings",
    "/balances/{account}",
    "/parties/{party}/moves",
    "/parties/{party}/statement",
    "/parties/{party}/statements",
}
"""Routes whose address says whose records they show by another name than user or subject."""
PROBLEM = {"type", "title", "status", "detail", "instance", "trace_id", "roles"}


@asynccontextmanager
async def opened(name: str, database: str) -> AsyncIterator[FastAPI]:
    """The application on its own migrated database with its read models, without workers."""
    await migrate(name, find_migrations(name), database)
    async with wired(name, database_url=SecretStr(database)).opened() as service:
        await make_read_models(service)
        yield service.api


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    kind: str
    body: bytes

    @property
    def problem(self) -> str:
        """The kind of problem, after a look at the document: it says what is wrong, and nothing else."""
        document = json.loads(self.body)
        assert self.kind == "application/problem+json"
        assert document.keys() <= PROBLEM, document
        assert document["status"] == self.status
        return str(document["type"]).removeprefix("urn:annals:problem:")


async def ask(api: FastAPI, access: Access, token: str | None, purpose: str | None = None) -> Answer:
    """Asks a route; of an answer that is no problem only the beginning, for it may be a stream without an end."""
    headers = {"idempotency-key": "again", "authorization": token and f"Bearer {token}", "annals-purpose": purpose}
    path = re.sub(r"{(\w+)(:path)?}", lambda name: SAMPLES.get(name[1], "x"), access.path)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": access.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": f"subject={SUBJECT}".encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value is not None],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    begun: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])
    body = b""

    async def receive() -> Any:
        return next(requests, None) or await asyncio.get_running_loop().create_future()  # nobody hangs up

    async def send(message: Any) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            begun.set_result(message)
        body += message.get("body", b"")

    answering = asyncio.create_task(api(scope, receive, send))
    await asyncio.wait({answering, begun}, return_when=asyncio.FIRST_COMPLETED)
    start = begun.result()
    if start["status"] < 400:
        answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    kind = dict(start["headers"]).get(b"content-type", b"").decode()
    return Answer(start["status"], kind, body)


@pytest.mark.parametrize("name", SERVICES)
async def test_every_route_lets_in_exactly_the_roles_that_it_declares(name: str, database: str) -> None:
    tokens = {role: mint(PRIVATE, SUBJECT, [role]) for role in (*ROLES, "tourist", "Admin")}
    async with opened(name, database) as api:
        routes = declared(api)
        assert routes
        for access in routes:
            for role, token in tokens.items():
                where, may = f"{role}: {access.method} {access.path}", access.of(role)
                answer = await ask(api, access, token, "audit")
                if not may:
                    assert (answer.status, answer.problem) == (403, "forbidden"), where
                    continue
                assert answer.status not in (401, 403), f"{where}: {answer}"
                if may == "purpose":
                    answer = await ask(api, access, token)
                    assert (answer.status, answer.problem) == (403, "purpose-required"), where
                if may == "own" and access.method == "GET" and names_whose(access):
                    answer = await ask(api, access, mint(PRIVATE, "eve", [role]))
                    assert (answer.status, answer.problem) == (403, "not-yourself"), where


def names_whose(access: Access) -> bool:
    """Whether the address says whose records it shows; where only the row does, the service's own tests look at it."""
    return "{user}" in access.path or "{subject}" in access.path or access.path in OWN_LISTS


def forgeries() -> Iterator[tuple[str, str | None]]:
    """Tokens that look right, of somebody who has every role."""
    everything: dict[str, Any] = {"sub": SUBJECT, "roles": ROLES}
    good = mint(PRIVATE, **{"subject": SUBJECT, "roles": ROLES})
    other, other_public = generate_keys()
    claims = everything | {"iss": "annals", "aud": "annals", "exp": int(time.time()) + 600}
    head, payload, signature = good.split(".")
    yield "no token", None
    yield "expired", mint(PRIVATE, SUBJECT, ROLES, lifetime=timedelta(hours=-1))
    yield "not yet valid", signed(claims | {"nbf": int(time.time()) + 600})
    yield "of another environment", mint(other, SUBJECT, ROLES)
    yield "from another issuer", mint(PRIVATE, SUBJECT, ROLES, issuer="annals-staging")
    yield "for another audience", mint(PRIVATE, SUBJECT, ROLES, audience="annals-staging")
    yield "not signed", jwt.encode(claims, "", algorithm="none")
    yield "signed with the public key", hs256(claims, PUBLIC.encode())
    yield "with a key of its own", signed(claims, other, {"kid": "1", "jwk": {"kty": "OKP", "x": other_public}})
    yield "with the kid of a file", signed(claims, other, {"kid": "../../../dev/null"})
    yield "with other claims", f"{head}.{encoded(claims | {'sub': 'root'})}.{signature}"
    yield "without its signature", f"{head}.{payload}."
    yield "without roles", signed({name: claim for name, claim in claims.items() if name != "roles"})


def signed(claims: dict[str, Any], key: str = PRIVATE, headers: dict[str, Any] | None = None) -> str:
    return jwt.encode(claims, key, algorithm="EdDSA", headers=headers)


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def hs256(claims: dict[str, Any], secret: bytes) -> str:
    """By hand, for PyJWT refuses to use a public key as a secret."""
    message = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims)}"
    digest = hmac.new(secret, message.encode(), hashlib.sha256).digest()
    return f"{message}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize("name", SERVICES)
async def test_no_route_answers_a_token_that_is_not_good(name: str) -> None:
    api = wired(name).api  # whatever would reach for a server fails: none is there
    for access in declared(api):
        for what, token in forgeries():
            answer = await ask(api, access, token, "audit")
            assert (answer.status, answer.problem) == (401, "unauthorized"), f"{what}: {access.method} {access.path}"


async def test_a_repeated_command_changes_nothing_and_a_key_is_its_callers_own(database: str) -> None:
    async with opened("compliance", database) as api:

        async def report(subject: str, kind: str) -> tuple[int, Any]:
            token = mint(PRIVATE, subject, ["service"])
            headers = {"authorization": f"Bearer {token}", "idempotency-key": "again"}
            transport = httpx.ASGITransport(api)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
                answer = await client.post("/audit-events", json={"kind": kind})
            return answer.status_code, answer.json().get("events")

        assert await report("shop", "shop.opened") == (200, 1)
        assert await report("shop", "shop.opened") == (200, 0)
        assert await report("shop", "shop.closed") == (409, None)
        assert await report("club", "shop.closed") == (200, 1)

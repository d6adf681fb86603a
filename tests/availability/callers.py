"""Callers of all services, through the gateway: so many requests a second, whatever becomes of those before."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx

from annals.directory import Directory
from local_stack.nginx import certificate
from local_stack.paths import local
from service.tokens import mint

GIVE_UP_SECONDS = 120
KEPT = httpx.Limits(max_connections=50, max_keepalive_connections=50, keepalive_expiry=30)
"""Handshakes are what a busy machine can't afford: more requests than connections wait for one."""
READS = (
    "/api/blockchain/status",
    "/api/rewards/pools",
    "/api/royalties/terms",
    "/api/compliance/documents",
    "/api/blockchain/contracts",
    "/api/rewards/rules",
    "/api/royalties/assets",
    "/api/users/u-1/stats",
)


@dataclass
class Outcome:
    """What became of all requests."""

    name: str = field(default_factory=lambda: uuid4().hex[:8])
    """That of the track that is voted for, and part of those of voters."""
    succeeded: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    voted: int = 0
    """Votes that were acknowledged."""

    @property
    def requests(self) -> int:
        return self.succeeded + self.failures.total()

    @property
    def availability(self) -> float:
        return self.succeeded / self.requests

    def slowest(self, share: float) -> float:
        """The seconds within which this share of the requests was answered."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


def client(directory: Directory, subject: str = "load", *roles: str) -> httpx.AsyncClient:
    """A client of the gateway, which trusts its certificate."""
    assert directory.gateway is not None
    context = ssl.create_default_context(cafile=certificate(local() / directory.name))
    token = mint(directory.private_key, subject, roles or ("admin", "service"))
    headers = {"authorization": f"Bearer {token}", "annals-purpose": "review"}
    return httpx.AsyncClient(
        base_url=directory.gateway, headers=headers, verify=context, timeout=GIVE_UP_SECONDS, limits=KEPT
    )


@asynccontextmanager
async def calling(directory: Directory, per_second: float) -> AsyncIterator[Outcome]:
    """Calls while the block runs; at its end each request has been answered, or has failed."""
    outcome, begun, enough = Outcome(), monotonic(), asyncio.Event()
    async with client(directory) as caller, asyncio.TaskGroup() as together:

        async def call_on() -> None:
            for number in count():
                if enough.is_set():
                    return
                together.create_task(_call(caller, number, outcome))
                await asyncio.sleep(max(0.0, begun + (number + 1) / per_second - monotonic()))

        together.create_task(call_on())
        try:
            yield outcome
        finally:
            enough.set()


async def _call(caller: httpx.AsyncClient, number: int, outcome: Outcome) -> None:
    method, path, body = _request(outcome.name, number)
    headers = {} if method == "GET" else {"idempotency-key": str(uuid4())}
    begun = monotonic()
    try:
        answer = await caller.request(method, path, json=body, headers=headers)
    except httpx.TransportError as error:
        outcome.failures[f"{type(error).__name__} ({error})  {method} {path}"] += 1
        return
    outcome.seconds.append(monotonic() - begun)
    if not answer.is_success:
        outcome.failures[f"{answer.status_code}  {method} {path}: {answer.text[:120]}"] += 1
        return
    outcome.succeeded += 1
    outcome.voted += path.endswith("/activities")


def _request(name: str, number: int) -> tuple[str, str, Any]:
    """Every third is a command, to one service after the other."""
    if number % 3:
        return "GET", READS[number % len(READS)], None
    match number // 3 % 3:
        case 0:
            now = datetime.now(UTC).isoformat()
            vote = {
                "kind": "vote",
                "user": f"{name}-{number}",
                "activity_id": "v",
                "at": now,
                "track_id": name,
                "like": True,
            }
            return "POST", "/api/rewards/activities", {"activities": [vote]}
        case 1:
            return "POST", "/api/royalties/agreements", {"agreement": f"{name}-{number}", "controller": "u-1"}
        case _:
            contact = {"name": "Ada", "email": "ada@example.org", "country": "NZ"}
            return "PUT", f"/api/compliance/subjects/{name}-{number}/contact", contact


async def all_votes_shown(directory: Directory, outcome: Outcome) -> None:
    """Waits until each vote that was acknowledged is counted once. Raises AssertionError.

    A vote whose request failed may have been counted or not.
    """
    failed = sum(times for kind, times in outcome.failures.items() if "/activities" in kind)
    async with client(directory) as reader, asyncio.timeout(GIVE_UP_SECONDS):
        while True:
            shown = (await reader.get(f"/api/rewards/tracks/{outcome.name}/votes")).json()["likes"]
            if shown >= outcome.voted:
                break
            await asyncio.sleep(0.2)
    assert outcome.voted <= shown <= outcome.voted + failed, f"{outcome.voted} votes, {failed} failed, {shown} shown"

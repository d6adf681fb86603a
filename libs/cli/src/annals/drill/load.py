"""The load of the drill: clients that send a service one command each, until it can answer no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, Self

import httpx

from local_stack.process import LocalStackError
from service import Token

CLIENTS = 4


def listen(number: int) -> dict[str, Any]:
    """A report of one listen."""
    heard = {
        "kind": "listen", "activity_id": f"drill-{number}", "user": f"user-{number % 100}",
        "track_id": f"track-{number % 50}", "at": datetime.now(UTC).isoformat(),
        "listened_seconds": 200, "track_seconds": 300,
    }  # fmt: skip
    return {"activities": [heard]}


COMMANDS: Mapping[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "compliance": ("/legal-holds", lambda number: {"subject": f"drill-{number}", "reason": "tax"}),
    "rewards": ("/activities", listen),
    "royalties": ("/agreements", lambda number: {"agreement": f"drill-{number}", "controller": "drill"}),
}
"""What each service is asked: a route, and the `number`-th body. The root of all needs a chain, and is left out."""


class Load:
    """`async with Load(client, "rewards") as load:` goes on until it is away; before `ends_badly` that is an error."""

    def __init__(self, client: httpx.AsyncClient, service: str) -> None:
        self._client = client
        self._path, self._body = COMMANDS[service]
        self._numbers = count()
        self._ends_badly = False
        self._clients: list[asyncio.Task[None]] = []
        self.answered: dict[int, float] = {}
        """The position of the last event of each answered command, with the moment of the answer."""

    async def __aenter__(self) -> Self:
        self._clients = [asyncio.create_task(self._ask()) for _ in range(CLIENTS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._ends_badly:
            for client in self._clients:
                client.cancel()
        found = await asyncio.gather(*self._clients, return_exceptions=True)
        await self._client.aclose()
        if errors := [error for error in found if isinstance(error, Exception)]:
            raise errors[0]

    async def for_seconds(self, seconds: float) -> None:
        """Waits so long, and until something was answered. Raises what a client met."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends or not self.answered:
            for client in self._clients:
                if client.done():
                    client.result()
            await asyncio.sleep(0.1)

    def ends_badly(self) -> float:
        """From now on the service may be away; returns the moment."""
        self._ends_badly = True
        return time.time()

    async def _ask(self) -> None:
        while True:
            number = next(self._numbers)
            key = {"idempotency-key": f"drill-{number}"}
            try:
                answer = await self._client.post(self._path, json=self._body(number), headers=key)
                if answer.status_code != 200:
                    raise LocalStackError(f"POST {self._path}: expected 200, got {answer.status_code}: {answer.text}")
            except (httpx.TransportError, LocalStackError):
                if self._ends_badly:
                    return
                raise
            if token := answer.json()["token"]:
                self.answered[Token.parse(token).position] = time.time()

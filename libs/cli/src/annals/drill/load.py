"""The load of the drill: clients that report listens, one command each, until the service can answer no more."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from itertools import count
from typing import Self

import httpx

from local_stack.process import LocalStackError
from service import Token

CLIENTS = 4


class Load:
    """`async with Load(client) as load:` goes on until the service is away; before `ends_badly` that is an error."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._numbers = count()
        self._ends_badly = False
        self._clients: list[asyncio.Task[None]] = []
        self.answered: dict[int, float] = {}
        """The position of the last event of each answered command, with the moment of the answer."""

    async def __aenter__(self) -> Self:
        self._clients = [asyncio.create_task(self._listen()) for _ in range(CLIENTS)]
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

    async def _listen(self) -> None:
        while True:
            number = next(self._numbers)
            heard = {
                "kind": "listen", "activity_id": f"drill-{number}", "user": f"user-{number % 100}",
                "track_id": f"track-{number % 50}", "at": datetime.now(UTC).isoformat(),
                "listened_seconds": 200, "track_seconds": 300,
            }  # fmt: skip
            key = {"idempotency-key": f"drill-{number}"}
            try:
                answer = await self._client.post("/activities", json={"activities": [heard]}, headers=key)
                if answer.status_code != 200:
                    raise LocalStackError(f"POST /activities: expected 200, got {answer.status_code}: {answer.text}")
            except (httpx.TransportError, LocalStackError):
                if self._ends_badly:
                    return
                raise
            if token := answer.json()["token"]:
                self.answered[Token.parse(token).position] = time.time()

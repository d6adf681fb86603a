"""What the service shows, for tests that ask it by HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from messaging.testing import eventually
from service.testing import Running


async def everything_shown(client: httpx.AsyncClient, running: Running) -> dict[str, Any]:
    """Waits until the read models show the whole chain; returns the status."""
    shown: dict[str, Any] = {}

    async def all_read() -> bool:
        shown.update((await client.get("/status")).json())
        return shown["behind_solid_blocks"] == 0

    await running.shown()  # they are made
    await eventually(all_read)
    await running.shown()
    return shown


async def pages(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items: list[dict[str, Any]] = []
    while True:
        answer = (await client.get(path, params=params)).json()
        items += answer["items"]
        if answer["next"] is None:
            return items
        params["cursor"] = answer["next"]

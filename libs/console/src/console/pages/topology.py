"""What runs, how fast, and how far behind."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from console.observer import Look, Observer
from console.pages.live import live
from console.rendering import fragment, page
from console.sessions import Looking
from console.topology import pictures
from service import Router


def routes(observer: Observer) -> Router:
    router = Router(include_in_schema=False)

    async def drawn(look: Look) -> str:
        return fragment("live/topology.html", pictures=pictures(look), look=look)

    @router.get("/")
    async def topology(request: Request, operator: Looking) -> Response:
        return page(request, operator, "topology", drawn=await drawn(await observer.look()))

    @router.get("/live/topology")
    async def follow(operator: Looking) -> Response:
        return live(observer, operator, drawn)

    return router

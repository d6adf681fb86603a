"""What waits for people: erasures that are due, claims and their payments. The services decide who sees it."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi.responses import Response

from console.rendering import page
from console.services_api import ServicesApi
from console.sessions import Looking
from service import Router


def routes(services: ServicesApi) -> Router:
    router = Router(include_in_schema=False)

    @router.get("/queues")
    async def queues(
        request: Request, operator: Looking, closed: bool = False, erasures_after: str = "", claims_after: str = ""
    ) -> Response:
        erasures, claims = await asyncio.gather(
            services.get(
                operator,
                "compliance",
                "/deletion-requests",
                open="" if closed else "true",
                limit="25",
                cursor=erasures_after,
            ),
            services.get(operator, "rewards", "/claims", limit="25", cursor=claims_after),
        )
        return page(request, operator, "queues", closed=closed, erasures=erasures, claims=claims)

    return router

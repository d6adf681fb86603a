"""Statements of parties: each line with the transaction of the chain that it comes from."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.responses import Response

from console.rendering import page
from console.services_api import Answer, ServicesApi
from console.sessions import Looking
from service import Router

Text = Annotated[str, Query(max_length=200)]


def routes(services: ServicesApi) -> Router:
    router = Router(include_in_schema=False)

    @router.get("/statements")
    async def statements(
        request: Request,
        operator: Looking,
        party: Text = "",
        asset: Text = "TRX",
        since: Text = "",
        until: Text = "",
        after: Text = "",
    ) -> Response:
        asked = {"asset": asset, "from": since, "to": until, "cursor": after, "limit": "50"}
        path = f"/parties/{quote(party, safe='')}/statement"
        statement, assets = await asyncio.gather(
            services.get(operator, "royalties", path, **asked) if party else _nothing(),
            services.get(operator, "royalties", "/assets"),
        )
        decimals = {found["asset"]: found["scale"] for found in assets.found or []}
        return page(
            request, operator, "statements", party=party.strip(), asset=asset, since=since, until=until,
            statement=statement, assets=sorted(decimals) or ["TRX"], scale=decimals.get(asset, 0),
        )  # fmt: skip

    return router


async def _nothing() -> Answer:
    return Answer()

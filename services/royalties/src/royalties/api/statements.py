"""Statements of parties, as JSON in pages or as CSV."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse

from contracts.values import Address
from royalties import statements
from royalties.api.common import Moment, User
from royalties.statements import Period, Statement
from service import Paging, Problem, Queries


def routes(reads: Queries) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/statements/{address}",
        summary="A party's statement, as JSON or CSV",
        response_model=Statement,
        responses={200: {"content": {"text/csv": {}}}},
    )
    async def statement(
        address: Address,
        caller: User,
        paging: Paging,
        since: Annotated[Moment | None, Query(alias="from", description="A time, or a date (UTC): inclusive.")] = None,
        until: Annotated[Moment | None, Query(alias="to", description="A time, or a date (UTC): exclusive.")] = None,
        asset: Literal["TRX"] = "TRX",
        accept: Annotated[str, Header(description="text/csv gives all lines as CSV.")] = "application/json",
    ) -> Statement | Response:
        if since is not None and until is not None and until <= since:
            raise Problem(422, "empty-period", "The period has no moment in it.", "Expected `from` before `to`.")
        period = Period(party=address, asset=asset, since=since, until=until)
        if _prefers_csv(accept):
            name = f'attachment; filename="statement-{address}.csv"'
            headers = {"content-disposition": name, "vary": "accept"}
            return StreamingResponse(statements.as_csv(reads, period), media_type="text/csv", headers=headers)
        return await statements.page(reads, period, paging)

    return router


def _prefers_csv(accept: str) -> bool:
    return any(part.partition(";")[0].strip().lower() == "text/csv" for part in accept.split(","))

"""Statements of parties: in pages, whole, as CSV or PDF; as of a time of the facts, and as of what was known then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from contracts.sales import AssetName
from contracts.values import Hash, SignedAmount, SubjectId, Uint256
from eventlog import EventLog, Watermark
from royalties import statements
from royalties.api.common import InAsset, Moment, Owner, Position, PostingNumber, known, preferred
from royalties.domain import TRX, AccountClass
from royalties.statements import Scope
from service import PageRequest, Paging, Problem, Queries, Router, Tagged, may_see_named


class Line(BaseModel):
    """A posting to an account of the party. It comes from the chain, or from a caller under a reference of its own."""

    position: int = Field(description="Of the event in the log; with `posting` it identifies the line.")
    posting: int
    at: datetime
    kind: str = Field(
        description="royalty-primary, royalty-secondary, royalty-direct, carry, payout; sale, proceeds-payout"
    )
    account_class: AccountClass
    amount: SignedAmount = Field(description="What the party is owed grows by it; below zero, it shrinks.")
    balance: SignedAmount = Field(description="What the party is owed after this line.")
    track_id: Uint256 | None = None
    token_id: Uint256 | None = None
    payment_id: Uint256 | None = None
    split_version: int | None = None
    path: str | None = Field(None, description="Of a group's part: agreements with their versions, song/1/band/2.")
    block_number: int | None = None
    log_index: int | None = None
    tx_id: Hash | None = None
    caller: str | None = None
    reference: str | None = None


class Statement(InAsset):
    """What a party was owed before, what changed it, and what it was owed after. `count` is that of all lines."""

    format: str
    party: SubjectId
    since: datetime | None = Field(alias="from")
    until: datetime | None = Field(alias="to")
    position: int = Field(description="Of the last line in the log: what was recorded later isn't here.")
    opening_balance: SignedAmount
    lines: list[Line]
    closing_balance: SignedAmount
    count: int
    next: str | None = Field(None, description="Pass as `cursor` for the next lines of the same statement.")


class Asked(BaseModel):
    """The period, and what was known when."""

    since: datetime | None
    until: datetime | None
    known_at: datetime | None


def _asked(
    since: Annotated[Moment | None, Query(alias="from", description="A time, or a date (UTC): inclusive.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="A time, or a date (UTC): exclusive.")] = None,
    known_at: Annotated[Moment | None, Query(description="Only with what had been recorded by then.")] = None,
) -> Asked:
    if since is not None and until is not None and until <= since:
        raise Problem(422, "empty-period", "The period has no moment in it.", "Expected `from` before `to`.")
    return Asked(since=since, until=until, known_at=known_at)


PDF, CSV = "application/pdf", "text/csv"
Accept = Annotated[str, Header(description="text/csv gives all lines as CSV, application/pdf the statement on paper.")]
FILES: dict[int | str, dict[str, Any]] = {200: {"content": {CSV: {}, PDF: {}}}}


def routes(reads: Queries, log: EventLog, watermark: Watermark) -> Router:
    router = Router(route_class=Tagged)

    @router.get(
        "/parties/{party}/statement",
        summary="A party's statement as of now or then, as JSON, CSV or PDF",
        response_model=Statement,
        responses=FILES,
    )
    async def statement(
        party: SubjectId,
        caller: Owner,
        paging: Paging,
        asked: Annotated[Asked, Depends(_asked)],
        asset: AssetName = TRX,
        whole: Annotated[bool, Query(description="All lines at once, in the form that is hashed.")] = False,
        accept: Accept = "application/json",
    ) -> Statement | Response:
        await may_see_named(caller, party, reads)
        position = await known(log, watermark, asked.known_at)
        scope = Scope(party, asset, asked.since, asked.until, position)
        form = preferred(accept, PDF, CSV)
        if not whole and form is None:
            return await _page(reads, scope, paging)
        bounds = await _bounds(reads, scope)
        scope = replace(scope, position=bounds.position)
        document = statements.head(scope, bounds)
        if form == CSV:
            return file(statements.as_csv(reads, scope, document), party, CSV)
        if form == PDF:
            return file(statements.as_pdf(reads, scope, document), party, PDF)
        return StreamingResponse(statements.as_json(reads, scope, document), media_type="application/json")

    return router


def file(contents: AsyncIterator[str | bytes], name: str, form: str) -> StreamingResponse:
    named = f'attachment; filename="statement-{name}.{form.partition("/")[2]}"'
    return StreamingResponse(contents, media_type=form, headers={"content-disposition": named, "vary": "accept"})


async def _page(reads: Queries, scope: Scope, paging: PageRequest) -> Statement:
    """A page of the statement; the balances are those of the whole period."""
    after = paging.after(AwareDatetime, Position, PostingNumber)
    bounds = await _bounds(reads, scope, after)
    scope = replace(scope, position=bounds.position)
    rows = paging.page(await statements.batch(reads, scope, after, paging.limit + 1), statements.key_of)
    lines = statements.fields(rows.items, bounds.reached)
    return Statement.model_validate(statements.head(scope, bounds) | {"lines": lines, "next": rows.next})


async def _bounds(reads: Queries, scope: Scope, after: statements.Key | None = None) -> statements.Bounds:
    bounds = await statements.bounds(reads, scope, after)
    if bounds.scale is None:
        raise Problem(422, "unknown-asset", "There is no such asset.", f"asset: {scope.asset} is not registered")
    return bounds

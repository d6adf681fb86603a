"""Periods that are closed, the statements issued for them, and the proof that each is under its period's root."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from contracts.values import Hash, SignedAmount, SubjectId
from royalties import statements
from royalties.api.common import InAsset, Officer, Owner, User, named, preferred
from royalties.api.statements import CSV, FILES, PDF, Accept, file
from royalties.domain.periods import period_named
from royalties.projections.closing import Closings
from royalties.statements import issued
from royalties.statements.closing import Closing
from service import (
    After,
    IdempotencyKey,
    Page,
    Paging,
    Queries,
    Recorded,
    Router,
    Tagged,
    may_see_named,
    metadata_of,
    not_found,
    sees_named,
    sees_own,
)
from service.queries import Row

Named = Annotated[str, InPath(description="A month, a quarter or a year: 2026-01, 2026-Q1, 2026")]
Number = Annotated[str, InPath(pattern=r"^[1-9]\d{3}-\d{6,9}$", examples=["2026-000001"])]


class ClosedPeriod(BaseModel):
    """A revision holds the statements that were due when it was made: all, or those that late facts had changed."""

    period: str
    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    revision: int
    statements: int
    root: Hash = Field(description="What `annals verify-statement` wants to know; published on royalties.events, too.")
    position: int = Field(description="Of the log: what was recorded after it isn't in these statements.")
    segment: int | None = Field(
        description="ComplianceRegistry has the root under this segment of the log of statements; null: nobody asked."
    )
    closed_at: datetime


class IssuedStatement(InAsset):
    number: str
    period: str
    revision: int
    party: SubjectId
    opening_balance: SignedAmount = Field(validation_alias="opening")
    closing_balance: SignedAmount = Field(validation_alias="closing")
    count: int
    sha256: Hash
    replaces: str | None
    issued_at: datetime


def routes(reads: Queries, closing: Closing) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/periods/{period}/close", summary="Issue the statements of a period that are due")
    async def close(period: Named, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await closing.close(named(period), datetime.now(UTC), metadata_of(caller, key))

    @router.get("/periods", summary="Closed periods with their newest revisions, newest first")
    async def periods(caller: User, paging: Paging) -> Page[ClosedPeriod]:
        (last,) = paging.after(str) or (None,)
        rows = await reads.all(issued.periods(last, paging.limit + 1))
        return paging.page([_closed(row) for row in rows], lambda closed: (closed.period,))

    @router.get("/periods/{period}", summary="The revisions of a closed period with their roots, oldest first")
    async def revisions(period: Named, caller: User, after: After = None) -> list[ClosedPeriod]:
        await reads.caught_up(after, Closings)
        if not (rows := await reads.all(issued.revisions(named(period).name))):
            raise not_found("closed period", period)
        return [_closed(row) for row in rows]

    @router.get("/parties/{party}/statements", summary="The statements issued to a party, newest first")
    async def of_party(party: SubjectId, caller: Owner, paging: Paging) -> Page[IssuedStatement]:
        await may_see_named(caller, party, reads)
        (last,) = paging.after(str) or (None,)
        rows = await reads.all(issued.of_party(party, last, paging.limit + 1))
        return paging.page([IssuedStatement(**row) for row in rows], lambda one: (one.number,))

    @router.get(
        "/statements/{number}",
        summary="An issued statement with the proof of it, as JSON; on paper as PDF; its lines as CSV",
        response_class=Response,
        responses=FILES,
    )
    async def statement(number: Number, caller: Owner, accept: Accept = "application/json") -> Response:
        await sees_own(caller, reads)
        row = await reads.one(issued.by_number(number), "statement", number)
        if not await sees_named(caller, row["party"], reads):
            raise not_found("statement", number)
        found = await issued.found(reads, row)
        form = preferred(accept, PDF, CSV)
        if form == CSV:
            return file(statements.as_csv(reads, found.scope, found.document), number, CSV)
        if form == PDF:
            closed = await reads.first(issued.revision(row["period"], row["revision"]))
            return file(statements.as_pdf(reads, found.scope, found.document, row, closed), number, PDF)
        return StreamingResponse(issued.proven(reads, row, found), media_type="application/json")

    return router


def _closed(row: Row) -> ClosedPeriod:
    span = period_named(row["period"])
    return ClosedPeriod(since=span.since, until=span.until, **row)

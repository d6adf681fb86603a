"""Sales off the chain: reported by POST in batches, taken back, shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field

from contracts import sales as told
from contracts.values import SignedAmount, SubjectId, Uint256
from royalties import domain, projections, reports
from royalties.api.common import InAsset, Position, Reporter, User, refusals
from royalties.domain.books import PLATFORM_FEE, parts_of
from royalties.projections.agreements import scale_of
from royalties.projections.platform_sales import platform_sales, sale_changes
from royalties.recorder import Posted, Recorder, Reported, Told
from service import (
    After,
    Caller,
    IdempotencyKey,
    Page,
    Paging,
    Problem,
    Queries,
    Recorded,
    Router,
    Strict,
    Tagged,
    Token,
    metadata_of,
)

MOST = 500
AHEAD = timedelta(minutes=5)  # by which others' clocks may be ahead


class NewSale(told.SaleFacts, Strict):
    pass


class NewRefund(told.RefundFacts, Strict):
    pass


class NewSales(Strict):
    """Each is named by its `sale_id`: reporting it again changes nothing and gives the first result."""

    sales: list[NewSale] = Field(min_length=1, max_length=MOST)


class NewRefunds(Strict):
    refunds: list[NewRefund] = Field(min_length=1, max_length=MOST)


class NewReversal(Strict):
    reversal_id: SubjectId
    of: SubjectId = Field(description="The sale or the refund that was recorded by mistake.")
    caller: SubjectId = Field(description="Who has reported that.")
    reason: told.Reason


class Part(BaseModel):
    recipient: str
    amount: SignedAmount


class Result(BaseModel):
    id: str
    split_version: int
    fee: SignedAmount
    parts: list[Part] = Field(description="What each party's earnings changed by.")


class PostedResults(Recorded):
    results: list[Result] = Field(description="In the order of the request.")


class PlatformSale(InAsset):
    caller: str
    sale_id: str
    position: int
    occurred_at: datetime
    agreement: str
    split_version: int
    kind: domain.SaleKind
    amount: SignedAmount
    left: SignedAmount = Field(description="What refunds and corrections have left of it.")
    fee: SignedAmount = Field(description="Of the whole amount.")
    fee_bps: int
    terms_version: int
    royalty: SignedAmount | None
    source: str
    track_id: Uint256 | None
    buyer: str | None
    seller: str | None


class Change(BaseModel):
    caller: str
    id: str
    occurred_at: datetime
    refunded: SignedAmount | None = Field(description="Of a refund.")
    left: SignedAmount
    reason: str
    author: str | None = Field(description="Of a correction.")
    of: str | None = Field(description="What a correction undid.")


class SaleStory(PlatformSale):
    changes: list[Change] = Field(description="Refunds and corrections, oldest first.")


def routes(recorder: Recorder, service: str, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    async def record(facts: list[tuple[Told, datetime]], caller: Caller, key: str) -> PostedResults:
        """All of them, or none."""
        metadata, latest = metadata_of(caller, key), datetime.now(UTC) + AHEAD
        if ahead := [fact.reference.id for fact, at in facts if at > latest]:
            raise Problem(422, "in-the-future", "It has not happened yet.", ", ".join(ahead))
        with refusals():
            outcome = await recorder.record([Reported(fact, at, metadata) for fact, at in facts])
        results = [_result(posted) for posted in outcome.results if not isinstance(posted, domain.Refused)]
        if outcome.appended is None:
            return PostedResults(events=0, results=results)
        events = [event for one in outcome.execution.events for event in one]
        token = Token(log=service, stream=events[-1].stream, position=outcome.appended.position)
        return PostedResults(events=len(events), token=token.encode(), results=results)

    @router.post("/sales", summary="Report sales off the chain, and tips")
    async def post_sales(body: NewSales, caller: Reporter, key: IdempotencyKey) -> PostedResults:
        sold = [reports.sale(one, caller.subject) for one in body.sales]
        return await record([(sale, sale.occurred_at) for sale in sold], caller, key)

    @router.post("/refunds", summary="Report what buyers got back")
    async def post_refunds(body: NewRefunds, caller: Reporter, key: IdempotencyKey) -> PostedResults:
        returned = [reports.refund(one, caller.subject) for one in body.refunds]
        return await record([(refund, refund.occurred_at) for refund in returned], caller, key)

    @router.post("/reversals", summary="Undo a sale or a refund that was recorded by mistake")
    async def post_reversal(body: NewReversal, caller: Reporter, key: IdempotencyKey) -> PostedResults:
        reference, of = domain.Reference(caller.subject, body.reversal_id), domain.Reference(body.caller, body.of)
        reversal = domain.Reversal(reference, of, body.reason, caller.subject)
        return await record([(reversal, datetime.now(UTC))], caller, key)

    @router.get("/platform-sales", summary="Sales off the chain, newest first")
    async def get_sales(
        caller: User,
        paging: Paging,
        after: After,
        agreement: SubjectId | None = None,
        kind: Literal["purchase", "tip", "primary", "secondary"] | None = None,
    ) -> Page[PlatformSale]:
        await reads.caught_up(after, projections.PlatformSales)
        table = projections.PlatformSales.live(platform_sales)
        query = sa.select(table, scale_of(table.c.asset)).order_by(table.c.position.desc()).limit(paging.limit + 1)
        for column, wanted in ((table.c.agreement, agreement), (table.c.kind, kind)):
            query = query if wanted is None else query.where(column == wanted)
        if (seen := paging.after(Position)) is not None:
            query = query.where(table.c.position < seen[0])
        rows = await reads.all(query)
        return paging.page([PlatformSale(**row) for row in rows], lambda sale: (sale.position,))

    @router.get("/platform-sales/{reporter}/{sale_id}", summary="A sale off the chain, and what was taken back of it")
    async def get_sale(reporter: SubjectId, sale_id: SubjectId, caller: User, after: After) -> SaleStory:
        await reads.caught_up(after, projections.PlatformSales)
        sale, change = (projections.PlatformSales.live(table) for table in (platform_sales, sale_changes))
        mine = sa.select(sale, scale_of(sale.c.asset)).where(sale.c.caller == reporter, sale.c.sale_id == sale_id)
        found = await reads.one(mine, "sale", f"{reporter}/{sale_id}")
        changes = sa.select(change).where(change.c.sale_caller == reporter, change.c.sale_id == sale_id)
        rows = await reads.all(changes.order_by(change.c.position))
        return SaleStory(**found, changes=[Change(**row) for row in rows])

    return router


def _result(posted: Posted) -> Result:
    return Result(
        id=posted.reference.id,
        split_version=posted.version,
        fee=-dict(posted.entries).get(PLATFORM_FEE, 0),
        parts=[Part(recipient=who, amount=amount) for who, amount in parts_of(posted.entries)],
    )

"""What collaborators have earned, and what is owed to them."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from contracts.sales import AssetName
from contracts.values import SignedAmount, SubjectId, Uint256
from royalties import queries
from royalties.api.common import InAsset, Owner, User, balance_of, named
from royalties.domain import TRX, AccountClass, Side
from service import Page, Paging, Queries, Router, Tagged, may_see_named
from service.queries import Row


class Earned(InAsset):
    """What was earned, in one respect."""

    month: str | None = Field(None, examples=["2026-01"])
    track_id: Uint256 | None = None
    kind: str | None = Field(None, description="primary, secondary, direct, purchase, tip; carry: from rounding")
    amount: SignedAmount
    times: int


class Earner(InAsset):
    recipient: SubjectId
    amount: SignedAmount
    times: int


class Income(InAsset):
    month: str = Field(examples=["2026-01"])
    kind: str = Field(description="As the lines of statements call it: payment, purchase-sale, tip-refund, …")
    amount: SignedAmount = Field(description="Below zero where more was taken back than came in.")
    times: int


class Owed(InAsset):
    earned: SignedAmount
    paid_out: SignedAmount
    owed: SignedAmount = Field(
        description="Below zero: the account also took out platform fees, or credits are on the way."
    )


class Earnings(BaseModel):
    address: SubjectId = Field(description="Of the chain; or the id of a collaborator off the chain.")
    total: list[Owed] = Field(description="Of all time, whatever is asked for.")
    by_month: list[Earned]
    by_track: list[Earned]
    by_kind: list[Earned]


def _wanted(
    asset: AssetName | None = None,
    period: Annotated[str | None, Query(description="A month, a quarter or a year: 2026-01, 2026-Q1, 2026")] = None,
    track_id: Uint256 | None = None,
    kind: Annotated[str | None, Query(pattern=r"^[a-z]{1,20}$", description="As `by_kind` has it.")] = None,
) -> queries.EarningsFilter:
    return queries.EarningsFilter(asset, None if period is None else named(period), track_id, kind)


def routes(reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.get("/artists/{address}/earnings", summary="What a collaborator has earned, and from what")
    async def earnings(
        address: SubjectId, caller: Owner, wanted: Annotated[queries.EarningsFilter, Depends(_wanted)]
    ) -> Earnings:
        """By month, track and kind, of what is asked for: an asset, a period, a track, a kind, or all of these."""
        await may_see_named(caller, address, reads)
        rows = await reads.all(queries.earnings(address, wanted))
        by = {
            dimension: [_earned(row) for row in rows if row["dimension"] == dimension]
            for dimension in ("month", "track", "kind")
        }
        total = [_owed(row) for row in await reads.all(queries.balance(f"{AccountClass.EARNINGS}:{address}"))]
        return Earnings(address=address, total=total, by_month=by["month"], by_track=by["track"], by_kind=by["kind"])

    @router.get("/earnings/top", summary="Who earned most in a month, quarter or year")
    async def top(period: str, caller: User, paging: Paging, asset: AssetName = TRX) -> Page[Earner]:
        seen = paging.after(int, str)
        rows = await reads.all(queries.top_earners(asset, named(period), seen, paging.limit + 1))
        return paging.page([Earner(**row) for row in rows], lambda one: (one.amount, one.recipient))

    @router.get("/platform-income", summary="The platform's fees by month, asset and kind, oldest first")
    async def income(caller: User, paging: Paging) -> Page[Income]:
        seen = paging.after(date, str, str)
        rows = paging.page(await reads.all(queries.platform_income_by_month(seen, paging.limit + 1)), _income_key)
        items = [Income.model_validate({**row, "month": f"{row['month']:%Y-%m}"}) for row in rows.items]
        return Page(items=items, next=rows.next)

    return router


def _income_key(row: Row) -> tuple[date, str, str]:
    return (row["month"], row["asset"], row["kind"])


def _earned(row: Row) -> Earned:
    month = row["month"]
    track = row["track_id"] or None  # NO_TRACK
    shown = {"amount": int(row["amount"]), "month": month and f"{month:%Y-%m}", "track_id": track}
    return Earned.model_validate({**row, **shown})


def _owed(row: Row) -> Owed:
    return Owed(
        asset=row["asset"],
        scale=row["scale"],
        earned=row["credits"],
        paid_out=row["debits"],
        owed=balance_of(row, Side.CREDIT),
    )

"""What collaborators have earned, and what is owed to them."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from contracts.values import Address, SignedAmount, Uint256
from royalties import queries
from royalties.api.common import InAsset, User, balance_of
from royalties.domain import AccountClass, Side
from service import Queries
from service.queries import Row


class Earned(InAsset):
    """What was earned, in one respect."""

    month: str | None = Field(None, examples=["2026-01"])
    track_id: Uint256 | None = None
    kind: str | None = Field(None, description="primary, secondary, direct; carry: what rounding down had left")
    amount: SignedAmount
    times: int


class Owed(InAsset):
    earned: SignedAmount
    paid_out: SignedAmount
    owed: SignedAmount = Field(
        description="Below zero: the account also took out platform fees, or credits are on the way."
    )


class Earnings(BaseModel):
    address: Address
    total: list[Owed]
    by_month: list[Earned]
    by_track: list[Earned]
    by_kind: list[Earned]


def routes(reads: Queries) -> APIRouter:
    router = APIRouter()

    @router.get("/artists/{address}/earnings", summary="What a collaborator has earned, and from what")
    async def earnings(address: Address, caller: User) -> Earnings:
        rows = await reads.all(queries.earnings(address))
        by = {
            dimension: [_earned(row) for row in rows if row["dimension"] == dimension]
            for dimension in ("month", "track", "kind")
        }
        total = [_owed(row) for row in await reads.all(queries.balance(f"{AccountClass.EARNINGS}:{address}"))]
        return Earnings(address=address, total=total, by_month=by["month"], by_track=by["track"], by_kind=by["kind"])

    return router


def _earned(row: Row) -> Earned:
    month = row["month"]
    return Earned.model_validate({**row, "amount": int(row["amount"]), "month": month and f"{month:%Y-%m}"})


def _owed(row: Row) -> Owed:
    return Owed(asset=row["asset"], earned=row["credits"], paid_out=row["debits"], owed=balance_of(row, Side.CREDIT))

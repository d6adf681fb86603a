"""Revenue pools: what came in, what of it is shared."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from contracts.values import Address, Amount, SignedAmount
from royalties import domain, projections
from royalties.api.common import InAsset, Officer, Reason, balance_of, refusals
from royalties.distributing import intents, queries
from royalties.domain import SCALES, Reference, Side
from royalties.domain.books import pool_account
from royalties.domain.distributions import AllocateRevenue, CoinValued
from royalties.queries import balance
from royalties.recorder import asset_stream
from service import After, Commands, IdempotencyKey, Problem, Queries, Recorded, Router, Strict, Tagged, metadata_of

PoolName = Annotated[
    Literal["platform"] | Address, Path(description="`platform`, or the address of the artist whose tracks count.")
]
Shareable = Annotated[
    Literal["TRX", "DCMX"] | Address, Field(description="A TRC-20 token, which has to be registered, by its address.")
]
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"


class Allocation(Strict):
    """Revenue to be shared. The Idempotency-Key names it: the same again changes nothing."""

    asset: Shareable
    amount: Amount
    origin: Literal["treasury", "platform-fee"] = Field(
        description="treasury: it was put into the paying wallet; platform-fee: the platform gives of its fees"
    )
    reason: Reason


class CoinValue(Strict):
    """What all coins of the pool's creator were worth at the end of a month."""

    month: str = Field(pattern=MONTH, examples=["2026-09"])
    asset: Literal["TRX", "USD"]
    market_cap: Amount


class Free(InAsset):
    free: SignedAmount = Field(description="Neither shared nor set aside.")


class Month(InAsset):
    """Revenue is track_sales + tips, less refunds. What stands beside it is shown, and counts for nothing."""

    month: str = Field(examples=["2026-09"])
    track_sales: SignedAmount = 0
    tips: SignedAmount = Field(0, description="Also what was paid to a track's split directly.")
    revenue: SignedAmount = 0
    resale_royalties: SignedAmount = Field(0, description="Beside the revenue.")
    coin_value: Amount | None = Field(None, description="A tenth of the coin's market value, beside the revenue.")
    allocated: Amount = Field(0, description="Put into the pool, to be shared.")
    distributed: SignedAmount = Field(0, description="Set aside for distributions, less what came back.")


class PoolState(BaseModel):
    pool: str
    free: list[Free]
    months: list[Month]


FIELDS = {
    "primary": "track_sales",
    "purchase": "track_sales",
    "direct": "tips",
    "tip": "tips",
    "secondary": "resale_royalties",
}


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/pools/{pool}/revenue", summary="Put revenue into a pool, to be shared")
    async def allocate(pool: PoolName, body: Allocation, caller: Officer, key: IdempotencyKey) -> Recorded:
        reference = Reference(caller.subject, key.removeprefix(f"{caller.subject}/"))
        await _check_known(commands, body.asset)
        command = AllocateRevenue(pool, reference, body.asset, body.amount, body.origin, body.reason, caller.subject)
        with refusals():
            return await commands.execute([intents.allocate(command, datetime.now(UTC), metadata_of(caller, key))])

    @router.post("/pools/{pool}/coin-value", summary="Tell what the coin of the pool's creator is worth")
    async def value(pool: PoolName, body: CoinValue, caller: Officer, key: IdempotencyKey) -> Recorded:
        command = CoinValued(pool, date.fromisoformat(f"{body.month}-01"), body.asset, body.market_cap)
        with refusals():
            return await commands.execute([intents.allocate(command, datetime.now(UTC), metadata_of(caller, key))])

    @router.get("/pools/{pool}", summary="What a pool has to share, and its revenue by month")
    async def show(pool: PoolName, caller: Officer, after: After) -> PoolState:
        await reads.caught_up(after, projections.RevenuePools, projections.Ledger)
        free = [
            Free(asset=row["asset"], scale=row["scale"], free=balance_of(row, Side.CREDIT))
            for row in await reads.all(balance(pool_account(pool)))
        ]
        came, moved = await reads.all(queries.revenue(pool)), await reads.all(queries.pool_months(pool))
        return PoolState(pool=pool, free=free, months=_months(came, moved))

    return router


async def _check_known(commands: Commands, asset: str) -> None:
    """Raises Problem 422."""
    if asset not in SCALES and await commands.state(asset_stream(asset), domain.asset) is None:
        title = "The asset has to be registered first."
        raise Problem(422, "asset-unknown", title, f"{asset}: expected TRX, DCMX or a token that is registered")


def _months(came: list[dict[str, Any]], moved: list[dict[str, Any]]) -> list[Month]:
    months: dict[tuple[date, str], dict[str, Any]] = {}
    for row in came:
        month = months.setdefault((row["month"], row["asset"]), {"scale": row["scale"]})
        field = FIELDS[row["kind"]]
        month[field] = month.get(field, 0) + int(row["amount"])
    for row in moved:
        distributed = row["set_aside"] - row["returned"]
        put = {name: row[name] for name in ("scale", "coin_value", "allocated")} | {"distributed": distributed}
        months.setdefault((row["month"], row["asset"]), {}).update(put)
    return [_month(*key, months[key]) for key in sorted(months)]


def _month(first: date, asset: str, sums: dict[str, Any]) -> Month:
    revenue = sums.get("track_sales", 0) + sums.get("tips", 0)
    return Month(month=f"{first:%Y-%m}", asset=asset, revenue=revenue, **sums)

"""When the books were held against the contracts, and what differed."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from contracts.values import SignedAmount
from royalties import queries
from royalties.api.common import BlockNumber, InAsset, User
from service import Page, Paging, Queries, Router, Tagged


class FoundDifference(InAsset):
    account: str = Field(description="earnings:T…, seller:T…, carry:<track>, custody:<contract>")
    found_block: int = Field(description="As of this block.")
    booked: SignedAmount = Field(validation_alias="booked_sun", description="By the books.")
    held: SignedAmount = Field(validation_alias="held_sun", description="By the contract.")
    agreed_block: int | None = Field(description="The last block as of which both were seen to be the same.")
    settled_block: int | None = Field(description="Since when they are again, or differ otherwise; null: not yet.")


class Reconciliation(BaseModel):
    """A comparison of all accounts of the books with what the contracts hold. `found`: what the one before had not."""

    block_number: int
    at: datetime
    accounts: int
    differing: int = Field(description="How many accounts differed, those found before too.")
    found: list[FoundDifference]


def routes(reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.get("/reconciliations", summary="When the books were held against the contracts, newest first")
    async def reconciliations(caller: User, paging: Paging) -> Page[Reconciliation]:
        (before,) = paging.after(BlockNumber) or (None,)
        rows = await reads.all(queries.reconciliations(before, paging.limit + 1))
        return paging.page([Reconciliation(**row) for row in rows], lambda one: (one.block_number,))

    return router

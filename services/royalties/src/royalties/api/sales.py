"""Sales, and each track's payments and splits."""

from __future__ import annotations

from pydantic import BaseModel, Field

from contracts.values import Address, SignedAmount, Uint256
from royalties import queries
from royalties.api.common import InAsset, OnChain, User, after, place
from service import Page, Paging, Queries, Router, Tagged


class Sale(InAsset, OnChain):
    token_id: Uint256
    track_id: Uint256
    kind: str
    seller: Address
    buyer: Address
    price: SignedAmount = Field(validation_alias="price_sun")
    forwarded: SignedAmount = Field(validation_alias="forwarded_sun", description="What went on to RoyaltyDistributor.")
    payment_id: Uint256 | None = Field(description="The payment that this led to; null if there is none (yet).")


class Part(InAsset):
    recipient: Address
    amount: SignedAmount
    log_index: int


class TrackPayment(InAsset, OnChain):
    track_id: Uint256
    payment_id: Uint256
    payer: Address
    kind: str
    amount: SignedAmount = Field(validation_alias="amount_sun")
    fee: SignedAmount = Field(validation_alias="fee_sun")
    credited: SignedAmount = Field(validation_alias="credited_sun", description="The sum of the parts.")
    split_version: int
    parts: list[Part]


class Share(BaseModel):
    recipient: Address
    ppm: int = Field(description="Parts per million.")


class Split(OnChain):
    version: int
    shares: list[Share]


class TrackSplits(BaseModel):
    """A track and every version of its split. Before version 1 the controller is paid alone."""

    track_id: Uint256
    title: str | None
    artist_name: str | None
    artist: Address | None
    royalty_bps: int | None
    controller: Address | None
    splits: list[Split]


class Difference(InAsset, OnChain):
    track_id: Uint256
    split_version: int
    payment_id: Uint256 | None = Field(description="null: found when the split's carry was settled.")
    recipient: Address
    expected: SignedAmount = Field(validation_alias="expected_sun")
    credited: SignedAmount = Field(validation_alias="credited_sun")


class PlatformFee(OnChain):
    old_bps: int
    new_bps: int


def routes(reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.get("/sales", summary="Sales, newest first")
    async def sales(caller: User, paging: Paging, track_id: Uint256 | None = None) -> Page[Sale]:
        rows = await reads.all(queries.sales(after(paging), paging.limit + 1, track_id=track_id))
        return paging.page([Sale(**row) for row in rows], place)

    @router.get("/sales/{token_id}", summary="A token's sales, newest first")
    async def sales_of(token_id: Uint256, caller: User, paging: Paging) -> Page[Sale]:
        rows = await reads.all(queries.sales(after(paging), paging.limit + 1, token_id=token_id))
        return paging.page([Sale(**row) for row in rows], place)

    @router.get("/tracks/{track_id}/splits", summary="A track and every version of its split")
    async def splits(track_id: Uint256, caller: User) -> TrackSplits:
        track = await reads.one(queries.track(track_id), "track", str(track_id))
        versions = [Split(**row) for row in await reads.all(queries.splits_of(track_id))]
        return TrackSplits.model_validate({**track, "splits": versions})

    @router.get("/tracks/{track_id}/payments", summary="A track's payments and their parts, newest first")
    async def payments(track_id: Uint256, caller: User, paging: Paging) -> Page[TrackPayment]:
        rows = await reads.all(queries.payments(track_id, after(paging), paging.limit + 1))
        return paging.page([TrackPayment(**row) for row in rows], place)

    @router.get("/differences", summary="Where the chain credited something else than the split says")
    async def differences(caller: User, paging: Paging) -> Page[Difference]:
        rows = await reads.all(queries.differences(after(paging), paging.limit + 1))
        return paging.page([Difference(**row) for row in rows], place)

    @router.get("/platform-fees", summary="The platform's fee and since when, oldest first")
    async def platform_fees(caller: User) -> list[PlatformFee]:
        return [PlatformFee(**row) for row in await reads.all(queries.fees())]

    return router

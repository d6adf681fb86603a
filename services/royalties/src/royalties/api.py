"""The HTTP side: every GET reads a read model. There is nothing to command yet: the chain decides."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from contracts.values import Address, SignedAmount, Uint256
from royalties import queries, statements
from royalties.domain import AccountClass, Side, class_of
from royalties.statements import InAsset, OnChain, Period, Statement
from service import Caller, Page, PageRequest, Paging, Problem, Queries, not_found, require
from service.queries import Row

User = Annotated[Caller, Depends(require("user", "service", "admin"))]
BlockNumber = Annotated[int, Field(ge=0, lt=2**63)]
LogIndex = Annotated[int, Field(ge=0, lt=2**31)]


def _midnight(value: Any) -> Any:
    """A date stands for its first moment in UTC."""
    return f"{value}T00:00:00Z" if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_midnight),
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
]


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


class Balance(InAsset):
    account: str
    normal_side: Side
    debits: SignedAmount
    credits: SignedAmount
    balance: SignedAmount = Field(description="On the account's normal side.")


class TrialLine(InAsset):
    account_class: AccountClass
    normal_side: Side
    debits: SignedAmount
    credits: SignedAmount
    balance: SignedAmount


class TrialBalance(BaseModel):
    """All accounts by class. Balanced: for each asset, debits and credits are the same in total."""

    lines: list[TrialLine]
    balanced: bool


def routes(reads: Queries) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["royalties"])

    @router.get("/artists/{address}/earnings", summary="What a collaborator has earned, and from what")
    async def earnings(address: Address, caller: User) -> Earnings:
        rows = await reads.all(queries.earnings(address))
        by = {
            dimension: [_earned(row) for row in rows if row["dimension"] == dimension]
            for dimension in ("month", "track", "kind")
        }
        total = [_owed(row) for row in await reads.all(queries.balance(f"{AccountClass.EARNINGS}:{address}"))]
        return Earnings(address=address, total=total, by_month=by["month"], by_track=by["track"], by_kind=by["kind"])

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
        return await statements.page(reads, period, paging, _after(paging))

    @router.get("/sales", summary="Sales, newest first")
    async def sales(caller: User, paging: Paging, track_id: Uint256 | None = None) -> Page[Sale]:
        rows = await reads.all(queries.sales(_after(paging), paging.limit + 1, track_id=track_id))
        return paging.page([Sale(**row) for row in rows], _place)

    @router.get("/sales/{token_id}", summary="A token's sales, newest first")
    async def sales_of(token_id: Uint256, caller: User, paging: Paging) -> Page[Sale]:
        rows = await reads.all(queries.sales(_after(paging), paging.limit + 1, token_id=token_id))
        return paging.page([Sale(**row) for row in rows], _place)

    @router.get("/tracks/{track_id}/splits", summary="A track and every version of its split")
    async def splits(track_id: Uint256, caller: User) -> TrackSplits:
        track = await reads.one(queries.track(track_id), "track", str(track_id))
        versions = [Split(**row) for row in await reads.all(queries.splits_of(track_id))]
        return TrackSplits.model_validate({**track, "splits": versions})

    @router.get("/tracks/{track_id}/payments", summary="A track's payments and their parts, newest first")
    async def payments(track_id: Uint256, caller: User, paging: Paging) -> Page[TrackPayment]:
        rows = await reads.all(queries.payments(track_id, _after(paging), paging.limit + 1))
        return paging.page([TrackPayment(**row) for row in rows], _place)

    @router.get("/differences", summary="Where the chain credited something else than the split says")
    async def differences(caller: User, paging: Paging) -> Page[Difference]:
        rows = await reads.all(queries.differences(_after(paging), paging.limit + 1))
        return paging.page([Difference(**row) for row in rows], _place)

    @router.get("/platform-fees", summary="The platform's fee and since when, oldest first")
    async def platform_fees(caller: User) -> list[PlatformFee]:
        return [PlatformFee(**row) for row in await reads.all(queries.fees())]

    @router.get("/balances/{account:path}", summary="The balance of an account of the books")
    async def balance(account: str, caller: User) -> list[Balance]:
        if not (rows := await reads.all(queries.balance(account))):
            raise not_found("account", account)
        side = class_of(account).normal_side
        return [Balance(normal_side=side, balance=_balance(row, side), **row) for row in rows]

    @router.get("/trial-balance", summary="Whether the books balance")
    async def trial_balance(caller: User) -> TrialBalance:
        lines = [_trial_line(row) for row in await reads.all(queries.trial_balance())]
        difference = {line.asset: 0 for line in lines}
        for line in lines:
            difference[line.asset] += line.debits - line.credits
        return TrialBalance(lines=lines, balanced=not any(difference.values()))

    return router


def _after(paging: PageRequest) -> queries.Place | None:
    after = paging.after(BlockNumber, LogIndex)
    return None if after is None else (after[0], after[1])


def _place(row: OnChain) -> queries.Place:
    return (row.block_number, row.log_index)


def _earned(row: Row) -> Earned:
    month = row["month"]
    return Earned.model_validate({**row, "amount": int(row["amount"]), "month": month and f"{month:%Y-%m}"})


def _owed(row: Row) -> Owed:
    return Owed(asset=row["asset"], earned=row["credits"], paid_out=row["debits"], owed=_balance(row, Side.CREDIT))


def _balance(row: Row, side: Side) -> int:
    difference = int(row["debits"]) - int(row["credits"])
    return difference if side is Side.DEBIT else -difference


def _trial_line(row: Row) -> TrialLine:
    account_class = AccountClass(row["account_class"])
    side = account_class.normal_side
    return TrialLine(
        asset=row["asset"],
        account_class=account_class,
        normal_side=side,
        debits=int(row["debits"]),
        credits=int(row["credits"]),
        balance=_balance(row, side),
    )


def _prefers_csv(accept: str) -> bool:
    return any(part.partition(";")[0].strip().lower() == "text/csv" for part in accept.split(","))

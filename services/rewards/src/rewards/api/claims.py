"""Claims, totals and pools."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from contracts.values import Amount, SignedAmount
from rewards import projections, queries
from rewards.api.common import SubjectId, User
from service import After, Page, Paging, Queries


class Claim(BaseModel):
    claim_id: str
    pool: str
    claimant: str
    amount: Amount
    day: int
    paid_at: datetime
    block_number: int
    tx_id: str
    log_index: int


class Total(BaseModel):
    subject: str
    pool: str
    earned: Amount
    times_earned: int
    held: Amount
    corrected: SignedAmount
    times_refused: int
    paid: Amount
    times_paid: int


class PoolStatus(BaseModel):
    pool: str
    active: bool
    daily_limit: Amount
    funded: Amount
    paid: Amount
    swept: Amount
    balance: SignedAmount = Field(description="below zero while a claim was seen before the funding that paid it")
    claims: int
    last_tx_id: str | None


def routes(reads: Queries) -> APIRouter:
    router = APIRouter()

    @router.get("/claims", summary="Paid claims, newest first")
    async def list_claims(caller: User, paging: Paging, claimant: SubjectId | None = None) -> Page[Claim]:
        rows = await reads.all(queries.claims(claimant, paging.after(int, int), paging.limit + 1))
        claims = [Claim(**row) for row in rows]
        return paging.page(claims, lambda claim: (claim.block_number, claim.log_index))

    @router.get("/claims/{claim_id}", summary="A claim and the transaction that paid it")
    async def get_claim(claim_id: str, caller: User) -> Claim:
        return Claim(**await reads.one(queries.claim(claim_id), "claim", claim_id))

    @router.get("/totals/{subject}", summary="What a user or address has earned and been paid")
    async def totals(subject: SubjectId, caller: User, after: After) -> list[Total]:
        await reads.caught_up(after, projections.RewardTotals)
        return [Total(**row) for row in await reads.all(queries.totals(subject))]

    @router.get("/pools", summary="The state of every pool")
    async def pools(caller: User) -> list[PoolStatus]:
        return [PoolStatus(**row) for row in await reads.all(queries.pool_status())]

    return router

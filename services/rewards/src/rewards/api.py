"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from contracts.values import Amount, SignedAmount
from rewards import domain, handlers, projections, queries
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Problem,
    Queries,
    Recorded,
    metadata_of,
    require,
)


def _time(value: object) -> datetime:
    if not isinstance(value, str):  # pydantic would take a number for the seconds, or milliseconds, since 1970
        raise ValueError("expected a time in ISO 8601")
    return datetime.fromisoformat(value)


SubjectId = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")]
Moment = Annotated[AwareDatetime, BeforeValidator(_time)]
User = Annotated[Caller, Depends(require("user", "service", "admin"))]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(Strict):
    """A listen as a player reports it. `listen_id` names it: reporting it again changes nothing."""

    listen_id: SubjectId
    user: SubjectId
    track_id: SubjectId
    listened_seconds: int = Field(ge=0, le=86_400, strict=True)
    track_seconds: int = Field(ge=1, le=86_400, strict=True)
    ended_at: Moment


class Listens(Strict):
    listens: list[Listen] = Field(min_length=1, max_length=500)


class Vote(Strict):
    user: SubjectId
    track_id: SubjectId
    like: bool = Field(strict=True)


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


class ListeningReward(BaseModel):
    listen_id: str
    user: str
    track_id: str
    listened_seconds: int
    ended_at: datetime
    amount: Amount
    reason: str | None
    rule_version: int


class Total(BaseModel):
    subject: str
    pool: str
    earned: Amount
    times_earned: int
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


class TrackVotes(BaseModel):
    track_id: str
    likes: int
    dislikes: int


def routes(commands: Commands, reads: Queries) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["rewards"])

    @router.post("/listens", summary="Report listens")
    async def report_listens(body: Listens, caller: User, key: IdempotencyKey) -> Recorded:
        _may_act_for(caller, {listen.user for listen in body.listens})
        now, metadata = datetime.now(UTC), metadata_of(caller, key)
        heard = [domain.RecordListen(**listen.model_dump(), reported_at=now) for listen in body.listens]
        return await commands.execute([handlers.listen(listen, metadata) for listen in heard])

    @router.post("/votes", summary="Like or dislike a track")
    async def cast_vote(body: Vote, caller: User, key: IdempotencyKey) -> Recorded:
        _may_act_for(caller, {body.user})
        command = domain.CastVote(body.user, body.track_id, body.like)
        return await commands.execute([handlers.vote(command, datetime.now(UTC), metadata_of(caller, key))])

    @router.get("/claims", summary="Paid claims, newest first")
    async def list_claims(caller: User, paging: Paging, claimant: SubjectId | None = None) -> Page[Claim]:
        rows = await reads.all(queries.claims(claimant, paging.after(int, int), paging.limit + 1))
        claims = [Claim(**row) for row in rows]
        return paging.page(claims, lambda claim: (claim.block_number, claim.log_index))

    @router.get("/claims/{claim_id}", summary="A claim and the transaction that paid it")
    async def get_claim(claim_id: str, caller: User) -> Claim:
        return Claim(**await reads.one(queries.claim(claim_id), "claim", claim_id))

    @router.get("/users/{user}/listening-rewards", summary="A user's listens and what they earned")
    async def listening_rewards(user: SubjectId, caller: User, paging: Paging, after: After) -> Page[ListeningReward]:
        await reads.caught_up(after, projections.ListeningRewards)
        rows = await reads.all(queries.listens(user, paging.after(AwareDatetime, str), paging.limit + 1))
        listens = [ListeningReward(**row) for row in rows]
        return paging.page(listens, lambda listen: (listen.ended_at, listen.listen_id))

    @router.get("/totals/{subject}", summary="What a user or address has earned and been paid")
    async def totals(subject: SubjectId, caller: User, after: After) -> list[Total]:
        await reads.caught_up(after, projections.RewardTotals)
        return [Total(**row) for row in await reads.all(queries.totals(subject))]

    @router.get("/pools", summary="The state of every pool")
    async def pools(caller: User) -> list[PoolStatus]:
        return [PoolStatus(**row) for row in await reads.all(queries.pool_status())]

    @router.get("/tracks/{track_id}/votes", summary="Likes and dislikes of a track")
    async def votes(track_id: SubjectId, caller: User, after: After) -> TrackVotes:
        await reads.caught_up(after, projections.Votes)
        votes = await reads.first(queries.votes_of(track_id))
        return TrackVotes(**votes or {"track_id": track_id, "likes": 0, "dislikes": 0})

    return router


def _may_act_for(caller: Caller, users: set[str]) -> None:
    if not caller.roles & {"service", "admin"} and users != {caller.subject}:
        raise Problem(403, "not-yourself", "A user may act for itself only.")

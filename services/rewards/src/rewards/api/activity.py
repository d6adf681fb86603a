"""What users do: reported by POST, shown with what it earned."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from contracts.values import Amount
from rewards import domain, handlers, projections, queries
from rewards.api.common import Moment, Strict, SubjectId, User, may_act_for
from service import After, Commands, IdempotencyKey, Page, Paging, Queries, Recorded, metadata_of


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


class ListeningReward(BaseModel):
    listen_id: str
    user: str
    track_id: str
    listened_seconds: int
    ended_at: datetime
    amount: Amount
    reason: str | None
    rule_version: int


class TrackVotes(BaseModel):
    track_id: str
    likes: int
    dislikes: int


def routes(commands: Commands, reads: Queries) -> APIRouter:
    router = APIRouter()

    @router.post("/listens", summary="Report listens")
    async def report_listens(body: Listens, caller: User, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, {listen.user for listen in body.listens})
        now, metadata = datetime.now(UTC), metadata_of(caller, key)
        heard = [domain.RecordListen(**listen.model_dump(), reported_at=now) for listen in body.listens]
        return await commands.execute([handlers.listen(listen, metadata) for listen in heard])

    @router.post("/votes", summary="Like or dislike a track")
    async def cast_vote(body: Vote, caller: User, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, {body.user})
        command = domain.CastVote(body.user, body.track_id, body.like)
        return await commands.execute([handlers.vote(command, datetime.now(UTC), metadata_of(caller, key))])

    @router.get("/users/{user}/listening-rewards", summary="A user's listens and what they earned")
    async def listening_rewards(user: SubjectId, caller: User, paging: Paging, after: After) -> Page[ListeningReward]:
        await reads.caught_up(after, projections.ListeningRewards)
        rows = await reads.all(queries.listens(user, paging.after(AwareDatetime, str), paging.limit + 1))
        listens = [ListeningReward(**row) for row in rows]
        return paging.page(listens, lambda listen: (listen.ended_at, listen.listen_id))

    @router.get("/tracks/{track_id}/votes", summary="Likes and dislikes of a track")
    async def votes(track_id: SubjectId, caller: User, after: After) -> TrackVotes:
        await reads.caught_up(after, projections.Votes)
        votes = await reads.first(queries.votes_of(track_id))
        return TrackVotes(**votes or {"track_id": track_id, "likes": 0, "dislikes": 0})

    return router

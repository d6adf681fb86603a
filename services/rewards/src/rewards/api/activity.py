"""What users do: reported by POST in batches, shown with what it earned, and why it did not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, Field

from contracts import activity as told
from contracts.values import Amount, SignedAmount, SubjectId
from rewards import domain, projections, queries, reports
from rewards.api.common import Anybody, Owner, PoolName, User
from rewards.projections.activity import ActivityRewards
from rewards.recorder import Recorder, Reported
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
    may_act_for,
    may_see,
    metadata_of,
    seeing_all,
)

MOST = 500


class From(Strict):
    """Where it came from; kept as keyed hashes only."""

    device: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    address: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="the user's network address, from services; else it is that of the request"
    )


class Listen(From, told.ListenFacts):
    kind: Literal["listen"]


class Share(From, told.ShareFacts):
    kind: Literal["share"]


class Vote(From, told.VoteFacts):
    kind: Literal["vote"]


class Skip(From, told.SkipFacts):
    kind: Literal["skip"]


class Referral(From, told.ReferralFacts):
    kind: Literal["referral"]


class Transfer(From, told.TransferFacts):
    kind: Literal["transfer"]


AnyActivity = Annotated[Listen | Share | Vote | Skip | Referral | Transfer, Field(discriminator="kind")]


class Activities(Strict):
    """Each is named by its `activity_id`: reporting it again changes nothing and gives the first result."""

    activities: list[AnyActivity] = Field(min_length=1, max_length=MOST)


class Result(BaseModel):
    activity_id: str
    reward_id: str
    outcome: Literal["earned", "held", "refused", "noted"]
    amount: Amount
    reason: str | None = Field(description="why it earned nothing, or is held")
    rule_version: int


class Reportedly(Recorded):
    results: list[Result] = Field(description="in the order of the request")


class Reward(BaseModel):
    """An activity and its reward, whose value is amount + corrected."""

    reward_id: str
    user: str
    activity_id: str
    at: datetime
    outcome: Literal["earned", "held", "refused", "rejected"]
    amount: Amount
    corrected: SignedAmount
    reason: str | None
    rule_version: int
    day: date = Field(description="the UTC day whose limit it counts for")


class ListeningReward(Reward):
    track_id: str
    listened_seconds: int
    track_seconds: int


class SharingReward(Reward):
    track_id: str
    channel: str


class BandwidthReward(Reward):
    client: str
    served_bytes: int
    expires_at: datetime


class VotingRecord(Reward):
    track_id: str
    like: bool


class ReferralReward(Reward):
    referred: str


class SkipRecord(BaseModel):
    activity_id: str
    at: datetime
    track_id: str
    listened_seconds: int


class TrackVotes(BaseModel):
    track_id: str
    likes: int
    dislikes: int


class PeriodTotal(BaseModel):
    period: Literal["day", "week", "ever"]
    start: date
    pool: str
    earned: SignedAmount
    times_earned: int


class Rank(BaseModel):
    user: str
    earned: SignedAmount
    times_earned: int


LISTS: tuple[tuple[str, type[ActivityRewards], type[Reward], str], ...] = (
    ("listening-rewards", projections.ListeningRewards, ListeningReward, "A user's listens"),
    ("sharing-rewards", projections.SharingRewards, SharingReward, "A user's shares"),
    ("bandwidth-rewards", projections.BandwidthRewards, BandwidthReward, "The receipts that a user has brought"),
    ("votes", projections.Votes, VotingRecord, "A user's votes"),
    ("referrals", projections.Referrals, ReferralReward, "Whom a user has brought"),
)


def routes(recorder: Recorder, origins: reports.Origins, service: str, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/activities", summary="Report what users did")
    async def report_activities(body: Activities, caller: User, key: IdempotencyKey, request: Request) -> Reportedly:
        may_act_for(caller, *(activity.user for activity in body.activities))
        now, metadata = datetime.now(UTC), metadata_of(caller, key)
        peer = request.client.host if request.client is not None else None
        reported = []
        for activity in body.activities:
            origin = await origin_of(origins, activity, reports.time_of(activity), caller, peer)
            reported.append(Reported(reports.report(activity, origin, now), metadata))
        try:
            outcome = await recorder.record(reported)
        except domain.ConflictingActivity as conflict:
            detail = "This activity_id was reported with other contents; nothing of the batch was recorded."
            title = "The activity contradicts what is on record."
            raise Problem(409, "activity-conflict", title, detail, activity_id=conflict.activity_id) from None
        token = Token(log=service, stream=outcome.stream, position=outcome.position) if outcome.appended else None
        results = [result_of(recorded) for recorded in outcome.recorded]
        return Reportedly(events=outcome.appended, token=token.encode() if token else None, results=results)

    def listing(path: str, projection: type[ActivityRewards], shown: type[Reward], summary: str) -> None:
        async def rewards_of(user: SubjectId, caller: Owner, paging: Paging, after: After) -> Page[Any]:
            may_see(caller, user)
            await reads.caught_up(after, projection)
            seen = paging.after(AwareDatetime, str)
            rows = await reads.all(queries.rewards_of(projection, user, seen, paging.limit + 1))
            return paging.page([shown(**row) for row in rows], lambda reward: (reward.at, reward.reward_id))

        router.add_api_route(
            f"/users/{{user}}/{path}",
            rewards_of,
            methods=["GET"],
            summary=f"{summary} and what they earned",
            name=path,
            response_model=Page[shown],  # type: ignore[valid-type]  # a class for each
        )

    for one in LISTS:
        listing(*one)

    @router.get("/users/{user}/skips", summary="The tracks that a user left early")
    async def skips(user: SubjectId, caller: Owner, paging: Paging, after: After) -> Page[SkipRecord]:
        may_see(caller, user)
        await reads.caught_up(after, projections.SkipRecords)
        rows = await reads.all(queries.skips_of(user, paging.after(AwareDatetime, str), paging.limit + 1))
        page = paging.page(rows, lambda row: (row["at"], row["reward_id"]))
        return Page(items=[SkipRecord(**row) for row in page.items], next=page.next)

    @router.get("/users/{user}/periods", summary="What a user has earned by day, by week, and ever; newest first")
    async def periods(
        user: SubjectId, caller: Owner, paging: Paging, after: After, period: Literal["day", "week", "ever"] = "day"
    ) -> Page[PeriodTotal]:
        may_see(caller, user)
        await reads.caught_up(after, projections.RewardTotals)
        rows = await reads.all(queries.periods_of(user, period, paging.after(date, str), paging.limit + 1))
        return paging.page([PeriodTotal(**row) for row in rows], lambda total: (total.start, total.pool))

    @router.get("/leaderboards/{pool}", summary="Who has earned most: of a day, of a week, or ever")
    async def leaderboard(
        pool: PoolName,
        caller: Anybody,
        paging: Paging,
        period: Literal["day", "week", "ever"] = "week",
        of: date | None = None,
    ) -> Page[Rank]:
        start = queries.period_start(period, of or datetime.now(UTC).date())
        seen = paging.after(int, str)
        with seeing_all():  # ranks are shown to everybody
            rows = await reads.all(queries.leaderboard(pool, period, start, seen, paging.limit + 1))
        return paging.page([Rank(**row) for row in rows], lambda rank: (rank.earned, rank.user))

    @router.get("/tracks/{track_id}/votes", summary="Likes and dislikes of a track")
    async def votes(track_id: SubjectId, caller: Anybody, after: After) -> TrackVotes:
        await reads.caught_up(after, projections.Votes)
        votes = await reads.first(queries.votes_of(track_id))
        return TrackVotes(**votes or {"track_id": track_id, "likes": 0, "dislikes": 0})

    return router


async def origin_of(
    origins: reports.Origins, activity: From, at: datetime, caller: Caller, peer: str | None
) -> domain.Origin:
    """A service speaks for users elsewhere: its own address says nothing of them."""
    if caller.roles & {"service", "admin"}:
        return await origins.of(activity.address, activity.device, at)
    if activity.address is not None:
        raise Problem(422, "address-not-yours", "Only services say where a report came from.", "Leave out address.")
    return await origins.of(peer, activity.device, at)


def result_of(recorded: domain.ActivityRecorded) -> Result:
    verdict = recorded.verdict
    return Result(
        activity_id=recorded.activity.id,
        reward_id=recorded.reward_id,
        outcome=verdict.outcome,
        amount=verdict.amount,
        reason=verdict.reason,
        rule_version=verdict.rule_version,
    )

"""Single rewards: why they were (not) granted; held ones reviewed, any corrected; what is known of users besides."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.activity import Hex32
from contracts.values import Amount, SubjectId
from eventlog import EventLog
from rewards import domain, handlers, projections, queries
from rewards.api.common import Moment, Officer, Owner, Reason, Reporter, Reviewer
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
    Router,
    Strict,
    Tagged,
    may_see,
    metadata_of,
)
from service.queries import not_found


class Review(Strict):
    decision: Literal["approve", "reject"]
    reason: Reason


class Correction(Strict):
    amount: Amount = Field(description="what the reward is worth now: nothing up to what it was")
    reason: Reason


class KnownOfUser(Strict):
    """What another service knows of a user; it replaces what was reported before."""

    user: SubjectId
    signed_up_at: Moment
    karma: Annotated[int, Field(ge=-1_000_000, le=1_000_000, strict=True)]
    followers: Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]


class ClientKey(Strict):
    key: Hex32 = Field(description="Ed25519 public key, hexadecimal")


class Hold(BaseModel):
    reward_id: str
    kind: str
    user: str
    at: datetime
    amount: Amount
    score: int = Field(description="0 to 100: how likely the user is one of many of the same person")
    score_reasons: list[str]
    status: Literal["held", "approved", "rejected"]
    officer: str | None
    reason: str | None
    decided_at: datetime | None


class Decision(BaseModel):
    """How a reward was decided, as it stands in the log."""

    reward_id: str
    kind: str
    user: str
    activity_id: str
    at: datetime
    reported_at: datetime
    outcome: Literal["earned", "held", "refused", "noted"]
    amount: Amount
    reason: str | None
    rule_version: int
    day: date
    score: int
    score_reasons: list[str]


def routes(commands: Commands, log: EventLog, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.get("/rewards/{reward_id}", summary="Why an activity was rewarded, or was not")
    async def decision(reward_id: UUID, caller: Owner) -> Decision:
        recorded = await _recorded(log, reward_id)
        may_see(caller, recorded.activity.user)
        return _shown(recorded)

    @router.get("/holds", summary="Rewards that were held, oldest first")
    async def list_holds(
        caller: Reviewer, paging: Paging, after: After, status: Literal["held", "approved", "rejected"] = "held"
    ) -> Page[Hold]:
        await reads.caught_up(after, projections.Holds)
        rows = await reads.all(queries.holds(status, paging.after(AwareDatetime, str), paging.limit + 1))
        held = [Hold(**{**row, "score_reasons": row["score_reasons"].split()}) for row in rows]
        return paging.page(held, lambda hold: (hold.at, hold.reward_id))

    @router.post("/rewards/{reward_id}/review", summary="Approve or reject a held reward")
    async def review(reward_id: UUID, body: Review, caller: Officer, key: IdempotencyKey) -> Recorded:
        recorded = await _recorded(log, reward_id)
        command = domain.ReviewReward(recorded, body.decision == "approve", body.reason, caller.subject)
        return await _decide(commands, command, caller, key)

    @router.post("/rewards/{reward_id}/correction", summary="Change what a reward is worth, afterwards")
    async def correct(reward_id: UUID, body: Correction, caller: Officer, key: IdempotencyKey) -> Recorded:
        recorded = await _recorded(log, reward_id)
        command = domain.CorrectReward(recorded, body.amount, body.reason, caller.subject)
        return await _decide(commands, command, caller, key)

    @router.post("/standings", summary="Tell what is known of a user")
    async def report_standing(body: KnownOfUser, caller: Reporter, key: IdempotencyKey) -> Recorded:
        command = domain.StandingReported(body.user, body.signed_up_at, body.karma, body.followers)
        intent = handlers.report_standing(command, datetime.now(UTC), metadata_of(caller, key))
        return await commands.execute([intent])

    @router.post("/users/{user}/client-keys", summary="Register a key that a user's client signs receipts with")
    async def register_key(user: SubjectId, body: ClientKey, caller: Reporter, key: IdempotencyKey) -> Recorded:
        command = domain.ClientKeyRegistered(user, body.key)
        intent = handlers.report_standing(command, datetime.now(UTC), metadata_of(caller, key))
        return await commands.execute([intent])

    return router


async def _decide(
    commands: Commands, command: domain.ReviewReward | domain.CorrectReward, caller: Caller, key: str
) -> Recorded:
    try:
        return await commands.execute([handlers.review(command, datetime.now(UTC), metadata_of(caller, key))])
    except domain.RefusedReview as refused:
        raise Problem(409, refused.code, "The reward can't be changed so.", str(refused)) from None


async def _recorded(log: EventLog, reward_id: UUID) -> domain.ActivityRecorded:
    """The event that decided about a reward, from the log itself. Raises Problem 404."""
    found = await log.event(reward_id)
    if found is None or not isinstance(found.event, domain.ActivityRecorded):
        raise not_found("reward", str(reward_id))
    recorded: domain.ActivityRecorded = found.event
    return recorded


def _shown(recorded: domain.ActivityRecorded) -> Decision:
    verdict, activity = recorded.verdict, recorded.activity
    return Decision(
        reward_id=recorded.reward_id,
        kind=activity.stream_kind,
        user=activity.user,
        activity_id=activity.id,
        at=activity.at,
        reported_at=recorded.reported_at,
        outcome=verdict.outcome,
        amount=verdict.amount,
        reason=verdict.reason,
        rule_version=verdict.rule_version,
        day=verdict.day,
        score=verdict.score,
        score_reasons=list(verdict.score_reasons),
    )

"""A user's rewards and claims as they happen: from the accounts and the open claims, in the order of the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Header
from pydantic import BaseModel, Field

from contracts.chain import Pool
from contracts.values import Amount, SignedAmount, SubjectId
from eventlog import EventLog, RecordedEvent, Watermark
from rewards import domain
from rewards.api.common import Owner
from rewards.claiming import claim_stream
from service import EventStream, Router, StreamEvent, Token, grown, may_see

Reserved = domain.RewardsReserved
ENDED = (domain.RewardsReleased, domain.RewardsSettled)

Since = Annotated[
    int | None,
    Header(
        ge=0,
        lt=2**63,
        description="`id` of the last event that the caller has; 0: from the beginning; without: from now on.",
    ),
]


class Now(BaseModel):
    """The stream begins here, with an `id` to come back with; what was before is shown by the lists."""

    token: str = Field(description="for Annals-After: lists that are asked for with it have all that was before")


class RewardNews(BaseModel):
    """What became of an activity's reward, or was decided about it later."""

    reward_id: str
    pool: str
    status: Literal["earned", "held", "refused", "approved", "rejected", "corrected"]
    amount: SignedAmount = Field(description="of the reward; of a correction what it adds")
    reason: str | None
    at: datetime


class ClaimNews(BaseModel):
    """A step of a claim; `settled` and `released` are final."""

    claim_id: str
    pool: str
    status: Literal["reserved", "authorised", "sent", "failed", "paid", "settled", "released"]
    amount: Amount
    reason: str | None
    tx_id: str | None
    at: datetime


def routes(service: str, log: EventLog, watermark: Watermark) -> Router:
    router = Router()

    @router.get(
        "/users/{user}/rewards/stream",
        summary="A user's rewards and claims as they happen",
        response_class=EventStream,
    )
    async def follow(user: SubjectId, caller: Owner, last_event_id: Since = None) -> EventStream:
        """Server-Sent Events: `reward` and `claim`, and `now` first where there is no Last-Event-ID."""
        may_see(caller, user)
        return EventStream(told(service, log, watermark, user, last_event_id), caller)

    return router


async def told(
    service: str, log: EventLog, watermark: Watermark, user: str, after: int | None
) -> AsyncGenerator[StreamEvent, None]:
    """What happens to a user's rewards and claims after a position of the log, or from now on; without end."""
    if after is None:
        after = await watermark.measure()
        token = Token(log=service, stream=f"users/{user}", position=after)
        yield StreamEvent(after, "now", Now(token=token.encode()))
    accounts = [f"{pool.label}/{user}" for pool in Pool]
    claims = await _open_claims(log, accounts, after)
    horizon = watermark.position
    while True:
        while found := await log.read_together([*accounts, *map(claim_stream, claims)], after, horizon):
            for recorded in found:
                after = recorded.position
                if (news := _reward(recorded) or _claim(recorded, claims)) is not None:
                    yield StreamEvent(after, "reward" if isinstance(news, RewardNews) else "claim", news)
                if isinstance(recorded.event, ENDED):
                    claims.pop(recorded.event.claim_id, None)
                if isinstance(recorded.event, Reserved):  # from here on its own stream is read, too
                    claims[recorded.event.claim_id] = recorded.event
                    break
        horizon = await grown(watermark, horizon)


async def _open_claims(log: EventLog, accounts: list[str], upto: int) -> dict[str, Reserved]:
    """The claims that had begun and not ended at a position."""
    claims: dict[str, Reserved] = {}
    after, types = 0, log.types.names([Reserved, *ENDED])
    while found := await log.read_together(accounts, after, upto, types=types):
        for recorded in found:
            match recorded.event:
                case domain.RewardsReserved() as reserved:
                    claims[reserved.claim_id] = reserved
                case ended:
                    claims.pop(ended.claim_id, None)
        after = found[-1].position
    return claims


def _reward(recorded: RecordedEvent) -> RewardNews | None:
    at = recorded.occurred_at
    match recorded.event:
        case (
            domain.ListenRecorded()
            | domain.ShareRecorded()
            | domain.TransferRecorded()
            | domain.VoteRecorded()
            | domain.ReferralRecorded()
        ) as done:
            verdict, pool = done.verdict, done.activity.kind.label
            assert verdict.outcome != "noted", "only what earns nothing by its kind is noted"
            return RewardNews(
                reward_id=done.reward_id,
                pool=pool,
                status=verdict.outcome,
                amount=verdict.amount,
                reason=verdict.reason,
                at=at,
            )
        case (domain.RewardApproved() | domain.RewardRejected()) as reviewed:
            return RewardNews(
                reward_id=reviewed.reward_id,
                pool=reviewed.kind.label,
                status="approved" if isinstance(reviewed, domain.RewardApproved) else "rejected",
                amount=reviewed.amount,
                reason=reviewed.reason,
                at=at,
            )
        case domain.RewardCorrected(reward_id, kind, _, change, _, reason):
            return RewardNews(
                reward_id=reward_id, pool=kind.label, status="corrected", amount=change, reason=reason, at=at
            )
        case _:
            return None


def _claim(recorded: RecordedEvent, claims: dict[str, Reserved]) -> ClaimNews | None:
    """A step of a claim that is open; that it begins is told by the account, all else by its own stream."""
    status: Literal["reserved", "authorised", "sent", "failed", "paid", "settled", "released"]
    event, reason, tx_id = recorded.event, None, None
    match event:
        case domain.RewardsReserved():
            status = "reserved"
        case domain.ClaimAuthorised():
            status = "authorised"
        case domain.PaymentDone():
            status, tx_id = "sent", event.tx_id
        case domain.PaymentFailed():
            status, tx_id, reason = "failed", event.tx_id, f"{event.kind}: {event.reason}"
        case domain.ClaimPaid():
            status, tx_id = "paid", event.source.tx_id
        case domain.ClaimSettled():
            status = "settled"
        case domain.ClaimReleased():
            status, reason = "released", event.reason
        case _:
            return None
    asked = event if isinstance(event, Reserved) else claims.get(event.claim_id)
    if asked is None:  # said of its transaction after the claim had ended
        return None
    return ClaimNews(
        claim_id=asked.claim_id,
        pool=asked.pool.label,
        status=status,
        amount=asked.amount,
        reason=reason,
        tx_id=tx_id,
        at=recorded.occurred_at,
    )

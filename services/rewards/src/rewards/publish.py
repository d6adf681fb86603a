"""What we tell the others: chosen, mapped, never leaked."""

from __future__ import annotations

from contracts import Message, rewards
from contracts.chain import Pool
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec
from rewards.domain import ClaimPaid, ListenRewarded, VoteCast

TOPIC = "rewards.events"
TOPICS = (TopicSpec(TOPIC),)


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event of ours, None for those that stay private."""
    message = _message(recorded)
    return Publication(TOPIC, message) if message is not None else None


def _message(recorded: RecordedEvent) -> Message | None:
    match recorded.event:
        case ListenRewarded() as heard:
            return rewards.RewardEarned(
                reward_id=str(recorded.event_id),
                pool=Pool.LISTENING,
                user=heard.user,
                amount=heard.amount,
                rule_version=heard.rule_version,
                earned_at=heard.ended_at,
            )
        case ClaimPaid() as paid:
            return rewards.RewardPaid(
                claim_id=paid.claim_id,
                pool=paid.pool,
                claimant=paid.claimant,
                amount=paid.amount,
                source=paid.source,
            )
        case VoteCast() as cast:
            return rewards.VoteRecorded(
                track_id=cast.track_id, user=cast.user, like=cast.like, voted_at=recorded.occurred_at
            )
        case _:
            return None

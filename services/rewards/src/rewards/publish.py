"""What we tell the others: chosen, mapped, never leaked."""

from __future__ import annotations

from contracts import Message, operations, rewards
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec, orders
from rewards import domain, periods
from rewards.claiming import operation_of

TOPIC = "rewards.events"
TOPICS = (TopicSpec(TOPIC),)
KEPT = {"rewards, claims and budgets": "money-records", **orders.kept_of_commands("rewards")}
"""What an erasure leaves, and on which ground."""
COMMANDS = TopicSpec("chain.commands")
"""The chain service's: what we ask it to do."""
SENDER = "rewards"
"""The chain service's key that pays for the transactions."""


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event of ours, None for those that stay private."""
    message = _message(recorded)
    if message is None:
        return orders.answered(recorded, "rewards", KEPT)
    return Publication(message.topic, message)


def _message(recorded: RecordedEvent) -> Message | None:
    match recorded.event:
        case domain.VoteRecorded(activity=vote, verdict=verdict, reward_id=reward) as cast if cast.counts:
            earned = verdict.amount if verdict.outcome == "earned" else 0
            return rewards.VoteRecorded(
                track_id=vote.track, user=vote.user, like=vote.like, voted_at=vote.at, reward_id=reward, earned=earned
            )
        case (
            domain.ListenRecorded() | domain.ShareRecorded() | domain.TransferRecorded() | domain.ReferralRecorded()
        ) as done if done.verdict.outcome == "earned":
            return rewards.RewardEarned(
                reward_id=done.reward_id,
                pool=done.activity.kind,
                user=done.activity.user,
                amount=done.verdict.amount,
                rule_version=done.verdict.rule_version,
                earned_at=done.activity.at,
            )
        case domain.RewardApproved() as approved:
            return rewards.RewardEarned(
                reward_id=approved.reward_id,
                pool=approved.kind,
                user=approved.user,
                amount=approved.amount,
                rule_version=approved.rule_version,
                earned_at=recorded.occurred_at,
            )
        case domain.RewardCorrected() as corrected:
            return rewards.RewardCorrected(
                reward_id=corrected.reward_id,
                pool=corrected.kind,
                user=corrected.user,
                change=corrected.change,
                reason=corrected.reason,
            )
        case domain.ClaimPaid() as paid:
            return rewards.RewardPaid(
                claim_id=paid.claim_id,
                pool=paid.pool,
                claimant=paid.claimant,
                amount=paid.amount,
                source=paid.source,
            )
        case domain.ClaimAuthorised(payer="service") as claim:
            return operations.CallContract(
                operation_id=operation_of(claim.claim_id, claim.attempt),
                sender=SENDER,
                contract="reward-vault",
                method="pay_claim",
                args={
                    "claim_id": claim.claim_id,
                    "pool": int(claim.pool),
                    "claimant": claim.claimant,
                    "amount": str(claim.amount),
                    "deadline": claim.deadline,
                    "signature": claim.signature,
                },
            )
        case domain.ClaimProven() as proven:
            return operations.CallContract(
                operation_id=operation_of(proven.claim_id, proven.attempt),
                sender=SENDER,
                contract="reward-vault",
                method="claim_listening",
                args={
                    "period": proven.period,
                    "nullifier": proven.claim_id,
                    "recipient": proven.claimant,
                    "proof": [str(point) for point in proven.points],
                },
            )
        case domain.PeriodCommitted(terms=terms) as committed:
            return operations.CallContract(
                operation_id=periods.operation_of(committed.period, committed.attempt),
                sender=SENDER,
                contract="reward-vault",
                method="open_period",
                args={
                    "period": committed.period,
                    "commitment": str(int(committed.commitment, 16)),
                    "threshold": terms.threshold,
                    "amount": str(terms.amount),
                    "deadline": terms.deadline,
                },
            )
        case _:
            return None

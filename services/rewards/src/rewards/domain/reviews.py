"""What officers decide about single rewards: held ones are approved or rejected, any is corrected afterwards.

A correction is an event that compensates; nothing is edited. It may leave a balance below zero, which blocks claims.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.values import Amount
from eventlog import Decider
from rewards.domain.account import (
    Account,
    AccountEvent,
    ReviewEvent,
    RewardApproved,
    RewardCorrected,
    RewardRejected,
    evolve_account,
)
from rewards.domain.activities import ActivityRecorded


@dataclass(frozen=True, slots=True)
class ReviewReward:
    """Approve or reject a held reward; `recorded` is the event that holds it."""

    recorded: ActivityRecorded
    approve: bool
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class CorrectReward:
    """Make a reward worth `amount`, between nothing and what it was; `recorded` is the event that granted it."""

    recorded: ActivityRecorded
    amount: Amount
    reason: str
    officer: str


class RefusedReview(Exception):
    """A review that can't be; `code` is for machines and never changes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def decide_review(command: ReviewReward | CorrectReward, account: Account) -> list[ReviewEvent]:
    """Raises RefusedReview."""
    recorded, verdict = command.recorded, command.recorded.verdict
    kind = recorded.activity.kind
    if kind is None or verdict.outcome not in ("earned", "held"):
        raise RefusedReview("nothing-earned", f"reward {recorded.reward_id}: it earned nothing: {verdict.reason}")
    about = (recorded.reward_id, kind, recorded.activity.user)
    is_held = recorded.reward_id in account.held
    if isinstance(command, ReviewReward):
        if not is_held:
            raise RefusedReview("not-held", f"reward {recorded.reward_id}: it is not held, or no longer")
        event = RewardApproved if command.approve else RewardRejected
        return [event(*about, verdict.amount, verdict.rule_version, verdict.day, command.reason, command.officer)]
    if is_held:
        raise RefusedReview("still-held", f"reward {recorded.reward_id}: it is held; approve or reject it first")
    if not 0 <= command.amount <= verdict.amount:
        detail = f"reward {recorded.reward_id}: expected an amount of at most {verdict.amount}, got {command.amount}"
        raise RefusedReview("amount-above-reward", detail)
    change = command.amount - (verdict.amount + account.corrected.get(recorded.reward_id, 0))
    if not change:
        return []
    return [RewardCorrected(*about, change, verdict.day, command.reason, command.officer)]


review: Decider[ReviewReward | CorrectReward, Account, AccountEvent] = Decider(Account(), decide_review, evolve_account)

"""What the rewards service tells the others, keyed by the stream it happened in."""

from __future__ import annotations

from pydantic import Field

from contracts.chain import Pool, Source
from contracts.envelope import Message
from contracts.values import Address, Amount, Hash, SignedAmount, Time


class RewardEarned(Message, type="rewards.events.RewardEarned.v1"):
    """Activity was rewarded: the amount can be claimed."""

    reward_id: str
    pool: Pool
    user: str = Field(description="opaque subject id")
    amount: Amount
    rule_version: int = Field(ge=1)
    earned_at: Time


class RewardPaid(Message, type="rewards.events.RewardPaid.v1"):
    """RewardVault paid a claim; final, because its block is solidified."""

    claim_id: Hash
    pool: Pool
    claimant: Address
    amount: Amount
    source: Source


class RewardCorrected(Message, type="rewards.events.RewardCorrected.v1"):
    """A reward was changed afterwards: `change` is added to what the user can claim, also below zero."""

    reward_id: str
    pool: Pool
    user: str = Field(description="opaque subject id")
    change: SignedAmount
    reason: str


class VoteRecorded(Message, type="rewards.events.VoteRecorded.v1"):
    """A user's vote on a track, replacing an earlier one of the same user."""

    track_id: str
    user: str = Field(description="opaque subject id")
    like: bool
    voted_at: Time
    reward_id: str | None = Field(None, description="of the vote's reward, if it was looked at for one")
    earned: Amount = 0

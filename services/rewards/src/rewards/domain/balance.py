"""What a user has earned of one kind, and what became of it: the part that the streams of all kinds have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from contracts.chain import Pool
from contracts.values import Amount, Hash
from rewards.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class RewardsReserved:
    """Set aside for a claim: nobody can claim it again while the claim is on its way."""

    claim_id: Hash
    pool: Pool
    amount: Amount


@dataclass(frozen=True, slots=True)
class RewardsReleased:
    """The claim will never be paid: what was set aside for it can be claimed again."""

    claim_id: Hash
    pool: Pool
    amount: Amount


@dataclass(frozen=True, slots=True)
class RewardsSettled:
    """RewardVault has paid the claim."""

    claim_id: Hash
    pool: Pool
    amount: Amount
    day: int  # of the payment: days since 1970-01-01 UTC, as the vault counted them


BalanceEvent = RewardsReserved | RewardsReleased | RewardsSettled


@dataclass(frozen=True, slots=True)
class Balance:
    """One user's account of one kind of reward. Amounts are in 10^-18 DCMX."""

    earned: int = 0
    held: int = 0  # of what was earned: waits for a review
    corrected: int = 0  # added afterwards; below zero where it was taken away
    paid: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def available(self) -> int:
        """What can be claimed now; below zero if more was taken away than is left."""
        return self.earned + self.corrected - self.held - self.usage.reserved - self.paid


def booked(balance: Balance, event: BalanceEvent) -> Balance:
    """The balance after a claim took something, gave it back, or was paid."""
    usage = balance.usage
    match event:
        case RewardsReserved(amount=amount):
            return replace(balance, usage=usage.reserve(amount))
        case RewardsReleased(amount=amount):
            return replace(balance, usage=usage.release(amount))
        case RewardsSettled(amount=amount, day=day):
            return replace(balance, paid=balance.paid + amount, usage=usage.release(amount).pay(amount, day))
        case never:
            assert_never(never)

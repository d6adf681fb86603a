"""What a user has earned of one kind, and what became of it: the part that the streams of all kinds have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from contracts.chain import Pool
from contracts.values import Amount, Hash


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
    reserved: int = 0  # for claims on their way
    paid: int = 0
    day: int = 0  # the latest one on which something was paid
    paid_that_day: int = 0

    @property
    def available(self) -> int:
        """What can be claimed now; below zero if more was taken away than is left."""
        return self.earned + self.corrected - self.held - self.reserved - self.paid

    def used_on(self, day: int) -> int:
        """What counts towards a limit for that day: what was paid then, and what may still be."""
        return self.reserved + (self.paid_that_day if self.day == day else 0)


def booked(balance: Balance, event: BalanceEvent) -> Balance:
    """The balance after a claim took something, gave it back, or was paid."""
    match event:
        case RewardsReserved(amount=amount):
            return replace(balance, reserved=balance.reserved + amount)
        case RewardsReleased(amount=amount):
            return replace(balance, reserved=balance.reserved - amount)
        case RewardsSettled(amount=amount, day=day):
            before = balance.paid_that_day if balance.day == day else 0
            latest = (day, before + amount) if day >= balance.day else (balance.day, balance.paid_that_day)
            return replace(
                balance,
                reserved=balance.reserved - amount,
                paid=balance.paid + amount,
                day=latest[0],
                paid_that_day=latest[1],
            )
        case never:
            assert_never(never)

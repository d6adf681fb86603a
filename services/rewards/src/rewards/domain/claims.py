"""Claims: what RewardVault has paid."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import Pool, Source
from contracts.values import Address, Amount, Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class ClaimPaid:
    claim_id: Hash
    pool: Pool
    claimant: Address
    amount: Amount
    day: int  # days since 1970-01-01 UTC, the boundary that the daily limit used
    source: Source


class ConflictingClaim(Exception):
    """A claim id that was paid before came again with other contents: RewardVault rules this out."""


def record_claim(fact: ClaimPaid, paid: ClaimPaid | None) -> list[ClaimPaid]:
    if paid is None:
        return [fact]
    if paid == fact:
        return []
    raise ConflictingClaim(f"claim {fact.claim_id}: expected {paid}, got {fact}")


claim: Decider[ClaimPaid, ClaimPaid | None, ClaimPaid] = Decider(None, record_claim, lambda _, paid: paid)

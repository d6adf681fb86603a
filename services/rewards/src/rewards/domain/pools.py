"""What RewardVault's pools hold and allow, as the chain tells it."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import Pool, Source
from contracts.values import Address, Amount
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class PoolFunded:
    pool: Pool
    funder: Address
    amount: Amount
    source: Source


@dataclass(frozen=True, slots=True)
class PoolConfigured:
    pool: Pool
    daily_limit: Amount
    active: bool
    source: Source


@dataclass(frozen=True, slots=True)
class PoolSwept:
    pool: Pool
    to: Address
    amount: Amount
    source: Source


PoolEvent = PoolFunded | PoolConfigured | PoolSwept


def record_pool(fact: PoolEvent, _: None) -> list[PoolEvent]:
    """The chain has decided already; a pool only keeps what happened."""
    return [fact]


pool: Decider[PoolEvent, None, PoolEvent] = Decider(None, record_pool, lambda state, _: state)

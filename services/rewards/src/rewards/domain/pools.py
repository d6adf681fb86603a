"""What RewardVault's pools hold and allow, as the chain tells it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from contracts.chain import Pool, Source
from contracts.values import Address, Amount
from eventlog import Decider

POOLS = {pool.label: pool for pool in Pool}


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


@dataclass(frozen=True, slots=True)
class BatchOpened:
    """Many small rewards under one root: what they may come to has left the pool."""

    pool: Pool
    batch: int
    total: Amount
    source: Source


@dataclass(frozen=True, slots=True)
class BatchSwept:
    """What a batch has not paid in its time has come back to the pool."""

    pool: Pool
    batch: int
    amount: Amount
    source: Source


PoolEvent = PoolFunded | PoolConfigured | PoolSwept | BatchOpened | BatchSwept


@dataclass(frozen=True, slots=True)
class Vault:
    """A pool of the vault, but for what it has paid: claims have streams of their own."""

    funded: int = 0
    swept: int = 0
    batched: int = 0  # set aside for batches, less what came back
    daily_limit: int = 0  # per account and UTC day
    active: bool = False


def record_pool(fact: PoolEvent, _: Vault) -> list[PoolEvent]:
    """The chain has decided already; a pool only keeps what happened."""
    return [fact]


def evolve_pool(vault: Vault, event: PoolEvent) -> Vault:
    match event:
        case PoolFunded(amount=amount):
            return replace(vault, funded=vault.funded + amount)
        case PoolSwept(amount=amount):
            return replace(vault, swept=vault.swept + amount)
        case BatchOpened(total=total):
            return replace(vault, batched=vault.batched + total)
        case BatchSwept(amount=amount):
            return replace(vault, batched=vault.batched - amount)
        case PoolConfigured(daily_limit=daily_limit, active=active):
            return replace(vault, daily_limit=daily_limit, active=active)
        case never:
            assert_never(never)


pool: Decider[PoolEvent, Vault, PoolEvent] = Decider(Vault(), record_pool, evolve_pool)

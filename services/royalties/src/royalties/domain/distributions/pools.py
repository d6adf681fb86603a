"""Revenue pools: what a creator, or the platform, shares with holders; put there by a person, with a reason.

Revenue is shown beside a pool and does not flow into it by itself: what a sale brought belongs to its collaborators
and to the platform already. So somebody says how much of it is shared, and from where it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, assert_never

from contracts.values import Amount
from eventlog import Decider
from royalties.domain.books import (
    PLATFORM_FEE,
    TREASURY,
    Posting,
    Reference,
    Refused,
    added,
    distribution,
    pool_account,
    transfer,
)

Origin = Literal["treasury", "platform-fee"]
"""Where shared revenue comes from: what was put into the paying wallet, or what payments left to the platform."""
Why = Literal["cancelled", "dust"]


@dataclass(frozen=True, slots=True)
class RevenueAllocated:
    """A person has put revenue into the pool."""

    pool: str
    reference: Reference
    asset: str
    amount: Amount
    origin: Origin
    reason: str
    officer: str
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "revenue"


@dataclass(frozen=True, slots=True)
class RevenueSetAside:
    """For a distribution: no other one can have it."""

    pool: str
    distribution_id: str
    period: str
    asset: str
    amount: Amount
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "set-aside"


@dataclass(frozen=True, slots=True)
class RevenueReturned:
    """A distribution gave back what it did not share: all of it, or what rounding down has left."""

    pool: str
    distribution_id: str
    asset: str
    amount: Amount
    why: Why
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "returned-to-pool"


@dataclass(frozen=True, slots=True)
class CoinValued:
    """What the coin of the pool's creator was worth at the end of a month. It is shown, and never counted as revenue:
    a price that a few buyers can move must not move a milestone, nor what is shared."""

    pool: str
    month: date  # its first day
    asset: str
    market_cap: Amount

    @property
    def coin_value(self) -> int:
        """A tenth of the market's value, rounded down."""
        return self.market_cap // 10


PoolEvent = RevenueAllocated | RevenueSetAside | RevenueReturned | CoinValued


@dataclass(frozen=True, slots=True)
class AllocateRevenue:
    pool: str
    reference: Reference
    asset: str
    amount: Amount
    origin: Origin
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class Pool:
    free: Mapping[str, int] = field(default_factory=dict)  # by asset
    allocated: Mapping[Reference, RevenueAllocated] = field(default_factory=dict)  # by reference
    distributed: Mapping[tuple[str, str], str] = field(default_factory=dict)  # by asset and period: the distribution


def decide(command: AllocateRevenue | CoinValued, pool: Pool) -> list[PoolEvent]:
    """Raises Refused."""
    if isinstance(command, CoinValued):
        return [command]
    asset, amount = command.asset, command.amount
    if not amount:
        raise Refused("amount-zero", "expected an amount above 0")
    source = TREASURY if command.origin == "treasury" else PLATFORM_FEE
    postings = transfer(source, pool_account(command.pool), amount, asset)
    terms = (asset, amount, command.origin, command.reason, command.officer)
    event = RevenueAllocated(command.pool, command.reference, *terms, postings)
    before = pool.allocated.get(command.reference)
    if before is None:
        return [event]
    if before == event:
        return []
    raise Refused("reference-conflict", f"{command.reference.id} put {before.amount} {before.asset} into the pool")


def set_aside(pool: Pool, name: str, distribution_id: str, period: str, asset: str, amount: int) -> RevenueSetAside:
    """For the only distribution of an asset and a period. Raises Refused."""
    if (other := pool.distributed.get((asset, period))) is not None:
        raise Refused("period-distributed", f"pool {name}: {other} is the distribution of {asset} for {period}")
    free = pool.free.get(asset, 0)
    if amount > free:
        raise Refused("pool-too-small", f"pool {name}: asked for {amount} {asset}, free are {free}")
    postings = transfer(pool_account(name), distribution(distribution_id), amount, asset)
    return RevenueSetAside(name, distribution_id, period, asset, amount, postings)


def give_back(name: str, distribution_id: str, asset: str, amount: int, why: Why) -> RevenueReturned:
    """By a distribution."""
    postings = transfer(distribution(distribution_id), pool_account(name), amount, asset)
    return RevenueReturned(name, distribution_id, asset, amount, why, postings)


def evolve(pool: Pool, event: PoolEvent) -> Pool:
    match event:
        case RevenueAllocated():
            allocated = {**pool.allocated, event.reference: event}
            return replace(pool, free=added(pool.free, event.asset, event.amount), allocated=allocated)
        case RevenueSetAside():
            distributed = {**pool.distributed, (event.asset, event.period): event.distribution_id}
            return replace(pool, free=added(pool.free, event.asset, -event.amount), distributed=distributed)
        case RevenueReturned():
            kept = {
                period: by
                for period, by in pool.distributed.items()
                if event.why == "dust" or by != event.distribution_id
            }
            return replace(pool, free=added(pool.free, event.asset, event.amount), distributed=kept)
        case CoinValued():
            return pool
        case never:
            assert_never(never)


pool: Decider[AllocateRevenue | CoinValued, Pool, PoolEvent] = Decider(Pool(), decide, evolve)

"""What a pool may pay in a period. Always, and checked by the state itself: paid + reserved + free = budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, assert_never

from contracts.chain import Pool
from contracts.values import Amount, Hash
from eventlog import Decider
from rewards.domain.rules import RulesPublished


@dataclass(frozen=True, slots=True)
class PoolRule:
    """What a version of the rules says of a pool's claims."""

    version: int
    budget: int
    period: Literal["day", "week", "month"]
    roll_over: Literal["none", "all", "capped"]
    roll_over_cap: int
    daily_limit: int
    claim_seconds: int


def pool_rule(edition: RulesPublished) -> PoolRule:
    """The part of a rule that is about claims."""
    rule = edition.rule
    return PoolRule(
        edition.version,
        rule.budget,
        rule.budget_period,
        rule.roll_over,
        rule.roll_over_cap,
        rule.claim_daily_limit,
        rule.claim_seconds,
    )


@dataclass(frozen=True, slots=True)
class BudgetOpened:
    """A period begins with `fresh` by the rule, `carried` of what was left over, `reserved` by claims on their way."""

    pool: Pool
    starts: date
    ends: date  # the first day that is not in it
    fresh: Amount
    carried: Amount
    reserved: Amount
    lapsed: Amount  # left over, and gone
    rule_version: int
    closes: date | None  # the first day of the period before


@dataclass(frozen=True, slots=True)
class BudgetReserved:
    claim_id: Hash
    pool: Pool
    starts: date  # of the period
    amount: Amount


@dataclass(frozen=True, slots=True)
class BudgetReleased:
    claim_id: Hash
    pool: Pool
    starts: date
    amount: Amount


@dataclass(frozen=True, slots=True)
class BudgetPaid:
    """The vault has paid."""

    claim_id: Hash
    pool: Pool
    starts: date | None  # None where nothing was reserved: somebody else than this service had authorised it
    amount: Amount


BudgetEvent = BudgetOpened | BudgetReserved | BudgetReleased | BudgetPaid


class BrokenBudget(AssertionError):
    """The parts of a budget don't add up: a mistake in this program, which must not go on paying."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The period that is open, and all that the vault has paid from this pool, ever."""

    starts: date = date.min
    ends: date = date.min
    budget: int = 0
    free: int = 0
    reserved: int = 0
    paid: int = 0
    vault_paid: int = 0

    def __post_init__(self) -> None:
        if self.paid + self.reserved + self.free != self.budget or min(self.paid, self.reserved, self.free) < 0:
            raise BrokenBudget(f"budget {self.budget}: paid {self.paid} + reserved {self.reserved} + free {self.free}")


def opened(budget: Budget, pool: Pool, rule: PoolRule, day: date) -> list[BudgetOpened]:
    """The period of a day, if it has not begun: what is reserved moves to it, with the budget that stands for it."""
    if day < budget.ends:
        return []
    starts, ends = period_of(day, rule.period)
    match rule.roll_over:
        case "none":
            carried = 0
        case "all":
            carried = budget.free
        case "capped":
            carried = min(budget.free, rule.roll_over_cap)
        case never:
            assert_never(never)
    lapsed = budget.free - carried
    starts = max(starts, budget.ends)  # where the length of periods has changed
    closes = budget.starts if budget.ends > date.min else None
    return [BudgetOpened(pool, starts, ends, rule.budget, carried, budget.reserved, lapsed, rule.version, closes)]


def period_of(day: date, period: Literal["day", "week", "month"]) -> tuple[date, date]:
    """The first day of a period and the first one after it; weeks begin on Monday."""
    match period:
        case "day":
            return day, day + timedelta(days=1)
        case "week":
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=7)
        case "month":
            first = day.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)
        case never:
            assert_never(never)


def evolve_budget(budget: Budget, event: BudgetEvent) -> Budget:
    match event:
        case BudgetOpened():
            free = event.fresh + event.carried
            return Budget(event.starts, event.ends, free + event.reserved, free, event.reserved, 0, budget.vault_paid)
        case BudgetReserved(amount=amount):
            return replace(budget, free=budget.free - amount, reserved=budget.reserved + amount)
        case BudgetReleased(amount=amount):
            return replace(budget, free=budget.free + amount, reserved=budget.reserved - amount)
        case BudgetPaid(starts=None, amount=amount):
            return replace(budget, vault_paid=budget.vault_paid + amount)
        case BudgetPaid(amount=amount):
            return replace(
                budget,
                reserved=budget.reserved - amount,
                paid=budget.paid + amount,
                vault_paid=budget.vault_paid + amount,
            )
        case never:
            assert_never(never)


budget: Decider[object, Budget, BudgetEvent] = Decider(Budget(), lambda _, __: (), evolve_budget)

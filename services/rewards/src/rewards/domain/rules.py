"""The rules of rewards: data with versions. Which one is in force is a question of time alone.

A change is published at least `NOTICE` before it takes effect, and no activity is accepted from further in the future
than `FUTURE`. So when a change is recorded, nothing that it is for has been decided yet: what the log holds was always
decided by the rule that was in force at the activity's own time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal

from contracts.chain import Pool
from contracts.values import Amount
from eventlog import Decider

NOTICE = timedelta(minutes=10)
FUTURE = timedelta(minutes=5)  # clocks of players differ a little
CLAIM_SECONDS = range(60, 86_400 + 1)
"""A claim has to be signed, sent and included in this time; what it sets aside is nobody else's as long."""
LONGEST_WAIT = timedelta(days=7)
"""No rule may accept activities that are older: what an account remembers reaches back a day further."""

BPS = 10_000
DCMX = 10**18


@dataclass(frozen=True, slots=True)
class Rule:
    """Everything that decides about one kind of reward. Amounts are in 10^-18 DCMX; a limit of 0 is none.

    Hours and days are those of UTC. `daily_limit` is per user; the other limits count activities that were rewarded.
    What is said of claims holds for those that are made from then on; a budget, from the next period on.
    """

    amount: Amount
    unit_bytes: int = 0  # of bandwidth: `amount` is for each full unit
    most: Amount = 0  # for one activity
    daily_limit: Amount = 0

    # When a listen counts: after this share of the track or `enough_seconds`, whichever is lower (ListenBrainz).
    track_share_bps: int = 5_000
    enough_seconds: int = 240
    least_seconds: int = 30

    longest_wait_seconds: int = 48 * 3600  # reported later than this, an activity earns nothing
    longest_receipt_seconds: int = 24 * 3600
    per_track_and_hour: int = 0
    per_address_track_and_hour: int = 0
    per_device_track_and_hour: int = 0
    per_address_and_day: int = 0
    per_device_and_day: int = 0
    cool_down_seconds: int = 0  # between two rewarded activities of a user
    streak_days: int = 0  # after so many days in a row with a reward, each earns `streak_bonus_bps` more; at most 7
    streak_bonus_bps: int = 0
    hold_score: int = 0  # from this score on rewards wait for a review

    # Of claims, which are paid from the pool.
    claim_daily_limit: Amount = 100 * DCMX  # that a user may claim
    claim_seconds: int = 1_800  # how long a claim may be on its way: an authorisation is good for so long
    budget: Amount = 0
    budget_period: Literal["day", "week", "month"] = "week"
    roll_over: Literal["none", "all", "capped"] = "none"  # what becomes of what a period leaves over
    roll_over_cap: Amount = 0

    def needed_seconds(self, track_seconds: int) -> int:
        """How long a track must be heard."""
        return max(self.least_seconds, min(track_seconds * self.track_share_bps // BPS, self.enough_seconds))

    def earns(self, units: int, streak: int) -> int:
        """For so many units, after so many days in a row. Rounds down."""
        amount = self.amount * units
        if self.streak_days and streak >= self.streak_days:
            amount += amount * self.streak_bonus_bps // BPS
        return min(amount, self.most) if self.most else amount


@dataclass(frozen=True, slots=True)
class RulesPublished:
    """A rule takes effect. Version 1 of each kind is built in."""

    kind: Pool
    version: int
    effective_from: datetime
    author: str
    published_at: datetime
    rule: Rule


@dataclass(frozen=True, slots=True)
class PublishRules:
    kind: Pool
    rule: Rule
    effective_from: datetime
    author: str
    at: datetime


class RefusedRule(Exception):
    """A rule that can't be published; `code` is for machines and never changes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _built_in(kind: Pool, rule: Rule) -> RulesPublished:
    return RulesPublished(kind, 1, EPOCH, "built-in", EPOCH, rule)


BUILT_IN: Mapping[Pool, RulesPublished] = MappingProxyType(
    {
        kind: _built_in(kind, rule)
        for kind, rule in {
            Pool.SHARING: Rule(
                amount=DCMX // 50,
                daily_limit=DCMX // 5,
                per_track_and_hour=1,
                per_device_and_day=30,
                cool_down_seconds=60,
                hold_score=60,
                budget=5_000 * DCMX,
            ),
            Pool.LISTENING: Rule(
                amount=DCMX // 100,
                daily_limit=DCMX,
                per_track_and_hour=4,
                streak_days=7,
                streak_bonus_bps=1_000,
                budget=50_000 * DCMX,
                per_address_track_and_hour=12,
                per_device_track_and_hour=6,
                hold_score=60,
            ),
            Pool.BANDWIDTH: Rule(
                amount=DCMX // 1_000,
                unit_bytes=1 << 20,
                most=DCMX,
                daily_limit=10 * DCMX,
                hold_score=60,
                budget=20_000 * DCMX,
            ),
            Pool.VOTING: Rule(
                amount=DCMX // 200,
                daily_limit=DCMX // 10,
                per_device_and_day=60,
                cool_down_seconds=2,
                hold_score=60,
                budget=2_000 * DCMX,
            ),
            Pool.REFERRAL: Rule(
                amount=DCMX,
                daily_limit=10 * DCMX,
                per_address_and_day=5,
                per_device_and_day=2,
                hold_score=40,
                budget=5_000 * DCMX,
            ),
        }.items()
    }
)


@dataclass(frozen=True, slots=True)
class Editions:
    """All versions of the rule of one kind, in the order of their time."""

    published: tuple[RulesPublished, ...]

    def at(self, moment: datetime) -> RulesPublished:
        """The one in force then."""
        return next(edition for edition in reversed(self.published) if edition.effective_from <= moment)

    @property
    def last(self) -> RulesPublished:
        return self.published[-1]


Rulebook = Mapping[Pool, Editions]
BUILT_IN_BOOK: Rulebook = MappingProxyType({kind: Editions((built_in,)) for kind, built_in in BUILT_IN.items()})


def publish_rules(command: PublishRules, editions: Editions) -> list[RulesPublished]:
    """A change takes effect at its time, never in the past, and after all changes before it. Raises RefusedRule."""
    last = editions.last
    if (last.rule, last.effective_from, last.author) == (command.rule, command.effective_from, command.author):
        return []
    if problem := flaw(command.rule, command.kind):
        raise RefusedRule("invalid-rule", problem)
    if command.effective_from < command.at + NOTICE:
        earliest = (command.at + NOTICE).isoformat()
        raise RefusedRule("effective-too-soon", f"effective_from: expected {earliest} or later")
    if command.effective_from <= last.effective_from:
        detail = f"effective_from: expected later than version {last.version}'s {last.effective_from.isoformat()}"
        raise RefusedRule("effective-before-last", detail)
    return [
        RulesPublished(command.kind, last.version + 1, command.effective_from, command.author, command.at, command.rule)
    ]


def flaw(rule: Rule, kind: Pool) -> str | None:
    """What is wrong with a rule; None if nothing is."""
    if below := [name for name in _NUMBERS if getattr(rule, name) < 0]:
        return f"{below[0]}: expected 0 or more"
    if rule.longest_wait_seconds > LONGEST_WAIT.total_seconds():
        return "longest_wait_seconds: expected at most 7 days"
    if rule.longest_receipt_seconds > LONGEST_WAIT.total_seconds():
        return "longest_receipt_seconds: expected at most 7 days"
    if rule.track_share_bps > BPS:
        return f"track_share_bps: expected at most {BPS}"
    if rule.streak_days > 7:
        return "streak_days: expected at most 7"
    if rule.cool_down_seconds > 86_400:
        return "cool_down_seconds: expected at most a day"
    if rule.claim_seconds not in CLAIM_SECONDS:
        return f"claim_seconds: expected {CLAIM_SECONDS.start} to {CLAIM_SECONDS.stop - 1}"
    if kind is Pool.BANDWIDTH and not rule.unit_bytes:
        return "unit_bytes: expected 1 or more"
    return None


_NUMBERS = tuple(
    name for name in Rule.__dataclass_fields__ if name not in ("budget_period", "roll_over")
)  # all but the texts


def book_of(kind: Pool) -> Decider[PublishRules, Editions, RulesPublished]:
    """The decider of the stream `rules/<kind>`."""
    return _DECIDERS[kind]


def evolve_editions(editions: Editions, event: RulesPublished) -> Editions:
    return Editions((*editions.published, event))


_DECIDERS = {
    kind: Decider(Editions((built_in,)), publish_rules, evolve_editions) for kind, built_in in BUILT_IN.items()
}


def rules_stream(kind: Pool) -> str:
    return f"rules/{kind.label}"

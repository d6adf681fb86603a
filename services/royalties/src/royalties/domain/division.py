"""How the money of sales is divided under a version of an agreement, and taken back.

What recipients were given is a function of the money taken in (`split.py`: cumulative floor), so a sale gives the
difference that it makes, and a refund takes back the difference that it makes. Breakpoints by amount cut what is taken
in into tiers, to the unit, each with a running total of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from royalties.domain import books
from royalties.domain.books import GROUP_PREFIX, Entries, Refused
from royalties.domain.sales import CarryGivenOut, Sale
from royalties.domain.split import PPM, Share, largest_remainders, shares_of

MOST_RECIPIENTS = 200  # of a tier
Tiers = tuple[tuple[int, int], ...]
"""Net amounts by the number of the tier."""


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """Of the money taken in under a version in this asset, what is above `above` goes by these shares."""

    asset: str
    above: int
    shares: tuple[Share, ...]


def groups_in(*tiers: tuple[Share, ...]) -> frozenset[str]:
    """The agreements that are recipients themselves."""
    named = (share.recipient for shares in tiers for share in shares)
    return frozenset(who.removeprefix(GROUP_PREFIX) for who in named if who.startswith(GROUP_PREFIX))


@dataclass(frozen=True, slots=True)
class AgreementVersionSet:
    """Holds for sales from `effective_from` until that of the next version. Tier 0 has `shares`, each breakpoint makes
    one more."""

    agreement: str
    version: int
    effective_from: datetime
    shares: tuple[Share, ...]
    breakpoints: tuple[Breakpoint, ...]

    def tier(self, number: int) -> tuple[Share, ...]:
        return self.shares if number == 0 else self.breakpoints[number - 1].shares

    @property
    def groups(self) -> frozenset[str]:
        """The agreements that have a share."""
        return groups_in(self.shares, *(one.shares for one in self.breakpoints))

    def check(self) -> None:
        """Raises Refused unless all shares are valid and breakpoints grow."""
        reached: dict[str, int] = {}
        for one in self.breakpoints:
            if one.above <= reached.get(one.asset, 0):
                raise Refused("split-invalid", f"{one.asset}: expected breakpoints that grow, got {one.above}")
            reached[one.asset] = one.above
        for shares in map(self.tier, range(len(self.breakpoints) + 1)):
            if len(shares) > MOST_RECIPIENTS:
                raise Refused("split-invalid", f"expected at most {MOST_RECIPIENTS} recipients, got {len(shares)}")
            try:
                shares_of([share.recipient for share in shares], [share.ppm for share in shares], least=1)
            except ValueError as error:
                raise Refused("split-invalid", str(error)) from None


@dataclass(frozen=True, slots=True)
class Taken:
    """The money taken in under a version in one asset, less fees and refunds."""

    total: int = 0
    running: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """By tier, since its carry was given out last; below zero after refunds of what was taken in before that."""


AllTaken = Mapping[tuple[int, str], Taken]
"""By version and asset."""
_NOTHING = Taken()


def divide(
    version: AgreementVersionSet, taken: AllTaken, sale: Sale, fee_bps: int, before: int, after: int
) -> tuple[Tiers, Entries]:
    """The net by tier and the entries, when `before` of the sale's amount stood, and now `after` stands."""
    old, new = sale.divided(before, fee_bps), sale.divided(after, fee_bps)
    lines = {books.clearing(sale.source): after - before, books.PLATFORM_FEE: old.fee - new.fee}
    if sale.seller is not None:
        lines[books.seller(sale.seller)] = old.to_seller - new.to_seller
    tiers = give_out(version, taken, sale.asset, new.net - old.net, lines)
    return tiers, books.balanced(lines.items())


def give_out(version: AgreementVersionSet, taken: AllTaken, asset: str, net: int, lines: dict[str, int]) -> Tiers:
    """The net by tier; `lines` get what everybody's account is credited, below zero, and the carry."""
    so_far = taken.get((version.version, asset), _NOTHING)
    tiers = tuple(_by_tier(version, asset, so_far.total, so_far.total + net))
    for tier, amount in tiers:
        start = so_far.running.get(tier, 0)
        end = start + amount
        kept = amount
        for share in version.tier(tier):
            part = end * share.ppm // PPM - start * share.ppm // PPM  # below zero, rounded away from it: carry never is
            account = books.share_of(share.recipient)
            lines[account] = lines.get(account, 0) - part
            kept -= part
        lines[books.carry(version.agreement, version.version, tier)] = -kept
    return tiers


def _by_tier(version: AgreementVersionSet, asset: str, old: int, new: int) -> Iterator[tuple[int, int]]:
    """How much of a change of the money taken in belongs to which tier."""
    mine = [(number, one.above) for number, one in enumerate(version.breakpoints, 1) if one.asset == asset]
    starts = [(0, 0), *mine]
    ends = [*(above for _, above in mine), max(old, new)]
    for (tier, start), end in zip(starts, ends, strict=True):
        if net := max(min(new, end), start) - max(min(old, end), start):
            yield tier, net


def give_out_carry(version: AgreementVersionSet, asset: str, taken: Taken) -> Iterator[CarryGivenOut]:
    """What rounding down has left of a version that is over, to the largest remainders."""
    for tier, total in taken.running.items():
        shares = {share.recipient: share.ppm for share in version.tier(tier)}
        if winners := largest_remainders(shares, total):
            carry = books.carry(version.agreement, version.version, tier)
            lines = [(carry, len(winners)), *((books.share_of(who), -1) for who in winners)]
            yield CarryGivenOut(version.agreement, version.version, tier, asset, books.balanced(lines))


def with_moved(taken: AllTaken, version: int, asset: str, tiers: Tiers) -> AllTaken:
    """What is taken in after these net amounts more (or, below zero, less)."""
    so_far = taken.get((version, asset), _NOTHING)
    running = dict(so_far.running)
    for tier, net in tiers:
        running[tier] = running.get(tier, 0) + net
    total = so_far.total + sum([net for _, net in tiers])
    return {**taken, (version, asset): Taken(total, running)}

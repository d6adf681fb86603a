"""Tracks and agreements as they would have been: what they would have credited under supposed terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from royalties import domain
from royalties.domain import AccountClass, Posting, Share, Side, books, class_of
from royalties.domain.division import AllTaken, Taken, divide, give_out, give_out_carry, with_moved
from royalties.domain.split import PPM, largest_remainders, parts
from royalties.domain.terms import BPS

Lines = Iterable[tuple[str, int]]
"""Parties and what they are credited; below zero, debited. The platform and the carry are called as their accounts."""

SoldOffChain = (
    domain.SalePosted | domain.RefundPosted | domain.ReversalPosted | domain.CarryGivenOut | domain.GroupShared
)
CARRY = "carry"  # of all versions together


@dataclass(frozen=True, slots=True)
class Terms:
    """What is supposed for the period: of all payments another fee, another split, or both."""

    fee_bps: int | None = None
    shares: tuple[Share, ...] | None = None


def credited(postings: Iterable[Posting]) -> Lines:
    """What parties, the platform and the carry get; where the money is does not matter here."""
    for account, _, side, amount in postings:
        if (party := _party_of(account)) is not None:
            yield party, amount if side is Side.CREDIT else -amount


@lru_cache(maxsize=65_536)
def _party_of(account: str) -> str | None:
    match class_of(account):
        case AccountClass.EARNINGS | AccountClass.SELLER:
            return account.partition(":")[2]
        case AccountClass.PLATFORM_FEE | AccountClass.CARRY as kind:
            return kind.value
        case _:
            return None


# ---- on the chain -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Track:
    """A split, and what was divided by it."""

    shares: Mapping[str, int] = field(default_factory=dict)
    version: int = 0
    total_sun: int = 0
    is_supposed: bool = False

    def close(self) -> Lines:
        """The carry goes to the largest remainders."""
        winners = largest_remainders(self.shares, self.total_sun) if self.shares else []
        self.total_sun = 0
        return [*((who, 1) for who in winners), (CARRY, -len(winners))]

    def divide(self, net_sun: int) -> Lines:
        divided = parts(self.shares, self.total_sun, net_sun)
        self.total_sun += net_sun
        kept_sun = net_sun - sum(divided.values())
        return [*divided.items(), (CARRY, kept_sun)]


class OnChain:
    """Tracks as RoyaltyDistributor would have kept them."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._tracks: dict[int, _Track] = {}

    def take(self, event: domain.SplitControlAccepted | domain.SplitSet | domain.PaymentPosted, inside: bool) -> Lines:
        """What is credited under the supposed terms; before the period, nothing is supposed."""
        track = self._tracks.setdefault(event.track_id, _Track())
        match event:
            case domain.SplitControlAccepted():
                if track.version == 0 and not track.is_supposed:
                    track.shares = {event.controller: PPM}
                return []
            case domain.SplitSet():
                if track.is_supposed:
                    return []
                closed = track.close()
                track.shares, track.version = {share.recipient: share.ppm for share in event.shares}, event.version
                return closed
            case domain.PaymentPosted():
                return self._paid(event, track, inside)

    def _paid(self, payment: domain.PaymentPosted, track: _Track, inside: bool) -> Lines:
        fee_sun, closed = payment.fee_sun, list[tuple[str, int]]()
        if inside and self._terms.fee_bps is not None:
            fee_sun = payment.amount_sun * self._terms.fee_bps // BPS  # rounds down, as the contract does
        if inside and self._terms.shares is not None and not track.is_supposed:
            closed = list(track.close())
            track.shares, track.is_supposed = {share.recipient: share.ppm for share in self._terms.shares}, True
        return [*closed, (books.PLATFORM_FEE, fee_sun), *track.divide(payment.amount_sun - fee_sun)]


# ---- off the chain ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sold:
    """A sale as it was divided."""

    sale: domain.Sale
    version: domain.AgreementVersionSet
    fee_bps: int


class OffChain:
    """Agreements as the platform would have divided by them."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._versions: dict[tuple[str, int], domain.AgreementVersionSet] = {}
        self._taken: dict[str, AllTaken] = {}
        self._sold: dict[str, _Sold] = {}
        self._left: dict[str, int] = {}

    def agree(self, version: domain.AgreementVersionSet) -> None:
        self._versions[version.agreement, version.version] = version

    def take(self, event: SoldOffChain, inside: bool) -> Lines:
        """What is credited under the supposed terms; before the period, nothing is supposed."""
        if isinstance(event, domain.GroupShared):
            return []  # what groups get is passed on with the sale
        if isinstance(event, domain.CarryGivenOut):
            return self._given_out(event)
        if isinstance(event, domain.SalePosted):
            sold = self._sold[str(event.reference)] = self._supposed(event, inside)
            return self._moved(sold, 0, sold.sale.amount)
        sold, name = self._sold[str(event.sale)], str(event.sale)
        before, self._left[name] = self._left.get(name, sold.sale.amount), event.left
        return self._moved(sold, before, event.left)

    def _supposed(self, event: domain.SalePosted, inside: bool) -> _Sold:
        version, fee_bps = self._versions[event.sale.agreement, event.version], event.fee_bps
        if inside and self._terms.fee_bps is not None:
            fee_bps = self._terms.fee_bps
        if inside and self._terms.shares is not None:
            begin = datetime.min.replace(tzinfo=UTC)
            version = domain.AgreementVersionSet(event.sale.agreement, 0, begin, self._terms.shares, ())
        return _Sold(event.sale, version, fee_bps)

    def _moved(self, sold: _Sold, before: int, after: int) -> Lines:
        sale, version = sold.sale, sold.version
        taken = self._taken.get(sale.agreement, {})
        tiers, entries = divide(version, taken, sale, sold.fee_bps, before, after)
        self._taken[sale.agreement] = with_moved(taken, version.version, sale.asset, tiers)
        return self._shared_on(entries, sale.asset, sale.occurred_at)

    def _shared_on(
        self, entries: books.Entries, asset: str, at: datetime | None, own: str | None = None
    ) -> list[tuple[str, int]]:
        """What is credited, with what groups get by their versions at a time, or by their newest."""
        found = list(credited(books.postings_of(asset, entries)))
        for group, amount in books.group_parts(entries, own):
            version, taken, lines = self._in_force(group, at), self._taken.get(group, {}), dict[str, int]()
            tiers = give_out(version, taken, asset, amount, lines)
            self._taken[group] = with_moved(taken, version.version, asset, tiers)
            found += self._shared_on(tuple(lines.items()), asset, at, group)
        return found

    def _in_force(self, agreement: str, at: datetime | None) -> domain.AgreementVersionSet:
        versions = [one for (name, _), one in self._versions.items() if name == agreement]
        for version in reversed(versions):
            if at is None or version.effective_from <= at:
                return version
        raise LookupError(f"agreement {agreement} has no split for {at}")

    def _given_out(self, event: domain.CarryGivenOut) -> Lines:
        taken = self._taken.get(event.agreement, {})
        key = (event.version, event.asset)
        held = taken.get(key, Taken())
        if event.tier not in held.running:
            return []
        version, total = self._versions[event.agreement, event.version], held.running[event.tier]
        running = {tier: sum_ for tier, sum_ in held.running.items() if tier != event.tier}
        self._taken[event.agreement] = {**taken, key: Taken(held.total, running)}
        of_tier = Taken(total, {event.tier: total})
        return [
            line
            for given in give_out_carry(version, event.asset, of_tier)
            for line in self._shared_on(given.entries, event.asset, None)
        ]

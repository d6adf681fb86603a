"""An agreement about who shares sales off the chain: who controls it, its versions, and what was divided by them.

A sale goes by the version in force when it happened, however late it is told; `division.py` has the arithmetic. The
first sale under a version closes those before it: their carry is given out. A late sale under a closed version makes
it hold carry again, until the next sale under a later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

from eventlog import Decider
from royalties.domain.books import Entries, Reference, Refused
from royalties.domain.division import (
    AgreementVersionSet,
    AllTaken,
    Breakpoint,
    Tiers,
    divide,
    give_out_carry,
    groups_in,
    with_moved,
)
from royalties.domain.sales import (
    CarryGivenOut,
    GroupShared,
    PostRefund,
    PostReversal,
    PostSale,
    RefundPosted,
    ReversalPosted,
    SaleEvent,
    SalePosted,
)
from royalties.domain.split import Share
from royalties.domain.terms import SaleKind

# ---- events -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgreementOpened:
    agreement: str
    controller: str


@dataclass(frozen=True, slots=True)
class ControlOffered:
    """The other one controls the agreement once it accepts."""

    agreement: str
    to: str


@dataclass(frozen=True, slots=True)
class ControlAccepted:
    agreement: str
    controller: str


AgreementEvent = AgreementOpened | ControlOffered | ControlAccepted | AgreementVersionSet | SaleEvent

# ---- commands ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetVersion:
    """`at` is now: what was divided already is not divided again, so a later version can't begin before it."""

    agreement: str
    by: str
    effective_from: datetime
    shares: tuple[Share, ...]
    breakpoints: tuple[Breakpoint, ...]
    at: datetime

    @property
    def groups(self) -> frozenset[str]:
        """The agreements that are to have a share."""
        return groups_in(self.shares, *(one.shares for one in self.breakpoints))


@dataclass(frozen=True, slots=True)
class CloseVersions:
    """Give out the carry of all versions that another has followed by `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class OfferControl:
    agreement: str
    by: str
    to: str


AgreementCommand = (
    AgreementOpened | OfferControl | ControlAccepted | SetVersion | CloseVersions | PostSale | PostRefund | PostReversal
)

# ---- state ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    controller: str | None = None
    offered_to: str | None = None
    versions: tuple[AgreementVersionSet, ...] = ()
    taken: AllTaken = field(default_factory=lambda: MappingProxyType({}))
    left: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # of sales that did not stay whole
    undone: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()  # agreements that have, or had, a share in this one

    def in_force(self, at: datetime) -> AgreementVersionSet | None:
        return next((version for version in reversed(self.versions) if version.effective_from <= at), None)


# ---- decisions --------------------------------------------------------------------------------------------------


def decide(command: AgreementCommand, agreement: Agreement) -> list[AgreementEvent]:
    """Raises Refused."""
    match command:
        case PostSale():
            return _post_sale(command, agreement)
        case PostRefund():
            return [_post_refund(command, agreement)]
        case PostReversal():
            return [_post_reversal(command, agreement)]
        case SetVersion():
            return _set_version(command, agreement)
        case CloseVersions():
            closed = agreement.in_force(command.at)
            return [] if closed is None else list(closed_before(closed, agreement))
        case AgreementOpened():
            return _open(command, agreement)
        case OfferControl():
            _check_control(command.by, agreement)
            return [ControlOffered(command.agreement, command.to)] if agreement.offered_to != command.to else []
        case ControlAccepted():
            return _accept_control(command, agreement)
        case never:
            assert_never(never)


def _open(fact: AgreementOpened, agreement: Agreement) -> list[AgreementEvent]:
    if agreement.controller is None:
        return [fact]
    if agreement.controller == fact.controller:
        return []
    raise Refused("agreement-conflict", f"agreement {fact.agreement} is controlled by {agreement.controller}")


def _accept_control(fact: ControlAccepted, agreement: Agreement) -> list[AgreementEvent]:
    if agreement.controller == fact.controller:
        return []
    if agreement.offered_to != fact.controller:
        raise Refused("not-offered", f"control of agreement {fact.agreement} was not offered to {fact.controller}")
    return [fact]


def _check_control(who: str, agreement: Agreement) -> None:
    if agreement.controller is None:
        raise Refused("no-agreement", "there is no such agreement")
    if agreement.controller != who:
        raise Refused("not-in-control", f"expected {agreement.controller}, who controls the agreement, got {who}")


def _set_version(command: SetVersion, agreement: Agreement) -> list[AgreementEvent]:
    _check_control(command.by, agreement)
    last = agreement.versions[-1] if agreement.versions else None
    number = 1 if last is None else last.version + 1
    event = AgreementVersionSet(command.agreement, number, command.effective_from, command.shares, command.breakpoints)
    if last is not None:
        if replace(event, version=last.version) == last:
            return []
        if command.effective_from <= max(last.effective_from, command.at):
            raise Refused("not-in-order", f"expected a version from after {max(last.effective_from, command.at)} on")
    event.check()
    return [event]


def _post_sale(command: PostSale, agreement: Agreement) -> list[AgreementEvent]:
    sale = command.sale
    sale.check()
    version = agreement.in_force(sale.occurred_at)
    if version is None:
        raise Refused("no-split", f"agreement {sale.agreement} has no split for {sale.occurred_at}")
    tiers, entries = divide(version, agreement.taken, sale, command.fee_bps, 0, sale.amount)
    posted = SalePosted(version.version, tiers, entries, sale, command.terms, command.fee_bps)
    return [posted, *closed_before(version, agreement)]


def _post_refund(command: PostRefund, agreement: Agreement) -> RefundPosted:
    sale, amount = command.sale.sale, command.refund.amount
    left = agreement.left.get(str(sale.reference), sale.amount)
    if not 0 < amount <= left:
        raise Refused("refund-too-large", f"sale {sale.reference}: {left} are left, got a refund of {amount}")
    return RefundPosted(*_changed(command.sale, agreement, left, left - amount), command.refund)


def _post_reversal(command: PostReversal, agreement: Agreement) -> ReversalPosted:
    sale, of = command.sale.sale, command.reversal.of
    if not agreement.undone.isdisjoint((str(of), str(sale.reference))):
        raise Refused("reversed-before", f"{of} was reversed before, or the sale that it belongs to")
    left = agreement.left.get(str(sale.reference), sale.amount)
    after = 0 if command.refund is None else left + command.refund.refund.amount
    return ReversalPosted(*_changed(command.sale, agreement, left, after), command.reversal)


def _changed(
    posted: SalePosted, agreement: Agreement, before: int, after: int
) -> tuple[int, Tiers, Entries, Reference, str, SaleKind, str, int | None, int]:
    """The fields that all changes of a sale have: `before` of it stood, now `after` stands."""
    sale, version = posted.sale, agreement.versions[posted.version - 1]
    tiers, entries = divide(version, agreement.taken, sale, posted.fee_bps, before, after)
    return (
        posted.version, tiers, entries, sale.reference, sale.agreement, sale.kind, sale.asset, sale.track_id, after
    )  # fmt: skip


def closed_before(version: AgreementVersionSet, agreement: Agreement) -> Iterator[CarryGivenOut]:
    for (number, asset), taken in agreement.taken.items():
        if number < version.version:
            yield from give_out_carry(agreement.versions[number - 1], asset, taken)


def evolve(agreement: Agreement, event: AgreementEvent) -> Agreement:
    match event:
        case SalePosted():
            return replace(agreement, taken=with_moved(agreement.taken, event.version, event.sale.asset, event.tiers))
        case RefundPosted() | ReversalPosted():
            gone = {str(event.reversal.of)} if isinstance(event, ReversalPosted) else set()
            return replace(
                agreement,
                taken=with_moved(agreement.taken, event.version, event.asset, event.tiers),
                left={**agreement.left, str(event.sale): event.left},
                undone=agreement.undone | gone,
            )
        case GroupShared():
            return replace(agreement, taken=with_moved(agreement.taken, event.version, event.asset, event.tiers))
        case CarryGivenOut():
            taken = agreement.taken[event.version, event.asset]
            running = {tier: total for tier, total in taken.running.items() if tier != event.tier}
            changed = {(event.version, event.asset): replace(taken, running=running)}
            return replace(agreement, taken={**agreement.taken, **changed})
        case AgreementOpened() | ControlAccepted():
            return replace(agreement, controller=event.controller, offered_to=None)
        case ControlOffered():
            return replace(agreement, offered_to=event.to)
        case AgreementVersionSet():
            groups = agreement.groups | event.groups
            return replace(agreement, versions=(*agreement.versions, event), groups=groups)
        case never:
            assert_never(never)


agreement: Decider[AgreementCommand, Agreement, AgreementEvent] = Decider(Agreement(), decide, evolve)

"""What a holder is credited by distributions, and why it may have to wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from contracts.values import Address, Amount, Hash
from eventlog import Decider
from royalties.domain.books import Posting, added

Withheld = Literal["held", "tax-form-missing", "below-minimum"]
"""Why a share is carried forward and not paid."""


@dataclass(frozen=True, slots=True)
class ShareCredited:
    """A holder's share of a distribution. Paid, it takes along what was brought forward; else it waits."""

    distribution_id: str
    party: Address
    asset: str
    amount: Amount
    brought: Amount  # carried forward before, and paid now
    withheld: Withheld | None  # None: it is paid
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "distribution-carried" if self.withheld else "distribution"


@dataclass(frozen=True, slots=True)
class PaymentCarried:
    """A payment was given up: what it was for waits for the next distribution."""

    payment_id: str
    distribution_id: str
    party: Address
    asset: str
    amount: Amount
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "distribution-carried"


@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """Nothing is paid to the party, and nothing reserved for it, until it is released."""

    party: str
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class HoldReleased:
    party: str
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class TaxFormRecorded:
    """The party's tax form is on file elsewhere; nothing of its contents is kept here."""

    party: Address
    reference: str  # where it is filed
    sha256: Hash
    officer: str


PayeeEvent = ShareCredited | PaymentCarried | HoldPlaced | HoldReleased | TaxFormRecorded


@dataclass(frozen=True, slots=True)
class Payee:
    carried: Mapping[str, int] = field(default_factory=dict)  # by asset
    hold: HoldPlaced | None = None
    tax_form: TaxFormRecorded | None = None


def why_withheld(amount: int, minimum: int, *, held: bool, tax_form_missing: bool) -> Withheld | None:
    """Why so much is not paid to a party, as it stands; None if it is."""
    if held:
        return "held"
    if tax_form_missing:
        return "tax-form-missing"
    return "below-minimum" if amount < minimum else None


def decide(command: HoldPlaced | HoldReleased | TaxFormRecorded, payee: Payee) -> list[PayeeEvent]:
    """What an officer says of a party; nothing, if it is known."""
    match command:
        case HoldPlaced():
            return [command] if payee.hold is None else []
        case HoldReleased():
            return [command] if payee.hold is not None else []
        case TaxFormRecorded():
            return [command] if payee.tax_form != command else []
        case never:
            assert_never(never)


def evolve(payee: Payee, event: PayeeEvent) -> Payee:
    match event:
        case ShareCredited():
            change = event.amount if event.withheld else -event.brought
            return replace(payee, carried=added(payee.carried, event.asset, change))
        case PaymentCarried():
            return replace(payee, carried=added(payee.carried, event.asset, event.amount))
        case HoldPlaced():
            return replace(payee, hold=event)
        case HoldReleased():
            return replace(payee, hold=None)
        case TaxFormRecorded():
            return replace(payee, tax_form=event)
        case never:
            assert_never(never)


payee: Decider[HoldPlaced | HoldReleased | TaxFormRecorded, Payee, PayeeEvent] = Decider(Payee(), decide, evolve)

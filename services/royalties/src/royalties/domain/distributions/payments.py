"""The payment of a share: a two-phase move. Reserved while it is on its way, then paid, or returned.

 PaymentAsked(1) ─► PaymentMade
        └─► PaymentFailed ─► PaymentAsked(2) ─► …
                  └─► PaymentGivenUp

An attempt is an operation of the chain service, which does it once. It is failed only when the chain service says that
it was not done and never will be, and it says so after the chain's own time has passed the transaction's expiry. So a
second attempt can never be paid beside the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from contracts.values import Address, Amount, Hash
from eventlog import Decider
from royalties.domain.books import TREASURY, Contradiction, Posting, Refused, reserved, returned, transfer

MOST_ATTEMPTS = 255


@dataclass(frozen=True, slots=True)
class PaymentAsked:
    """It asks the chain service to pay. A first attempt's amount is reserved with its share, another's by this."""

    payment_id: str
    attempt: int
    distribution_id: str
    party: Address
    asset: str
    token: Address | None  # None: TRX
    amount: Amount
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "payment-repeated"


@dataclass(frozen=True, slots=True)
class PaymentMade:
    """The transaction is solidified: paid for ever."""

    payment_id: str
    attempt: int
    distribution_id: str
    party: Address
    asset: str
    amount: Amount
    tx_id: Hash
    block_number: int
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "payment"


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    """This attempt was not done and never will be."""

    payment_id: str
    attempt: int
    distribution_id: str
    party: Address
    asset: str
    amount: Amount
    kind: str  # expired, execution, energy, ... as the chain service says
    reason: str
    tx_id: Hash | None
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "payment-failed"


@dataclass(frozen=True, slots=True)
class PaymentGivenUp:
    """An officer has stopped trying: what it was for is carried forward."""

    payment_id: str
    distribution_id: str
    party: Address
    asset: str
    amount: Amount
    officer: str
    reason: str


PaymentEvent = PaymentAsked | PaymentMade | PaymentFailed | PaymentGivenUp


@dataclass(frozen=True, slots=True)
class PaymentDone:
    """The chain service: an attempt was done, and can't be undone."""

    attempt: int
    tx_id: Hash
    block_number: int


@dataclass(frozen=True, slots=True)
class PaymentUndone:
    """The chain service: an attempt was not done and never will be."""

    attempt: int
    kind: str
    reason: str
    tx_id: Hash | None


@dataclass(frozen=True, slots=True)
class Payment:
    asked: PaymentAsked | None = None  # the last attempt
    failed: PaymentFailed | None = None  # the last attempt, if it failed
    end: PaymentMade | PaymentGivenUp | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is on its way."""
        return self.asked is not None and self.failed is None and self.end is None


def decide(command: PaymentDone | PaymentUndone, payment: Payment) -> list[PaymentEvent]:
    """Raises Contradiction when the chain service says of an attempt both that it was done and that it was not."""
    asked = payment.asked
    if asked is None or command.attempt > asked.attempt:
        return []  # an operation of another service
    name = f"payment {asked.payment_id}, attempt {command.attempt}"
    about = (asked.payment_id, command.attempt, asked.distribution_id, asked.party, asked.asset, asked.amount)
    is_over = command.attempt < asked.attempt or payment.failed is not None
    match command:
        case PaymentDone():
            if isinstance(payment.end, PaymentMade) and payment.end.attempt == command.attempt:
                return []
            if is_over or payment.end is not None:
                raise Contradiction(f"{name}: expected that it failed for good, got {command}")
            postings = transfer(reserved(asked.party), TREASURY, asked.amount, asked.asset)
            return [PaymentMade(*about, command.tx_id, command.block_number, postings)]
        case PaymentUndone():
            if is_over:
                return []
            if payment.end is not None:
                raise Contradiction(f"{name}: expected that it was paid, got {command}")
            postings = transfer(reserved(asked.party), returned(asked.party), asked.amount, asked.asset)
            return [PaymentFailed(*about, command.kind, command.reason, command.tx_id, postings)]
        case never:
            assert_never(never)


def failed_one(payment: Payment) -> PaymentAsked:
    """The attempt that failed. Raises Refused unless there is one and nothing else is under way."""
    if payment.asked is None:
        raise Refused("not-found", "there is no such payment")
    if payment.end is not None:
        raise Refused("payment-ended", f"it has ended: {payment.end}")
    if payment.failed is None:
        raise Refused("payment-under-way", f"attempt {payment.asked.attempt} may still be paid")
    return payment.asked


def evolve(payment: Payment, event: PaymentEvent) -> Payment:
    match event:
        case PaymentAsked():
            return Payment(asked=event)
        case PaymentFailed():
            return replace(payment, failed=event)
        case PaymentMade() | PaymentGivenUp():
            return replace(payment, end=event)
        case never:
            assert_never(never)


payment: Decider[PaymentDone | PaymentUndone, Payment, PaymentEvent] = Decider(Payment(), decide, evolve)

"""Claims: from the wish to be paid to the payment that the chain tells, each step an event in `claim/<id>`.

 ClaimReserved ─► ClaimAuthorised ─► (PaymentDone │ PaymentFailed) ─► ClaimPaid ─► ClaimSettled
      │                  └── an officer's RepeatPayment ──┘
      └──────────────────┴──────────── past the deadline, not paid ──► ClaimReleased

A claim that is proven in zero knowledge has ClaimProven in place of ClaimAuthorised, and no user: nobody here knows.

Only `ClaimPaid`, which RewardVault's solidified event leads to, settles a claim; whatever is said of the payment's
transaction is for people. And only the chain's own time releases one: once a solidified block is past the deadline of
the authorisation, no later block can pay it. So the order in which messages arrive does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from contracts.chain import Pool, Source
from contracts.values import Address, Amount, Hash
from eventlog import Decider

MOST_ATTEMPTS = 255
Payer = Literal["service", "claimant"]
"""Whose transaction brings the claim to the vault: this service's, or one that the claimant sends with their wallet."""


@dataclass(frozen=True, slots=True)
class ClaimReserved:
    """User, pool budget and wallet have the amount set aside."""

    claim_id: Hash
    user: str | None  # None where it is proven: then the id is the nullifier
    pool: Pool
    claimant: Address
    amount: Amount
    payer: Payer
    deadline: int  # last second (Unix time) at which the vault pays
    rule_version: int


@dataclass(frozen=True, slots=True)
class ClaimAuthorised:
    """The verifier has signed: with this, anybody can have the vault pay the claimant. It asks the chain to do so."""

    claim_id: Hash
    user: str
    pool: Pool
    claimant: Address
    amount: Amount
    payer: Payer
    deadline: int
    signature: str  # 65 bytes r, s, v as hex
    attempt: int = 0  # to pay it: each asks the chain once


@dataclass(frozen=True, slots=True)
class ClaimProven:
    """The proof holds: with it, anybody can have the vault pay the claimant. It asks the chain to do so."""

    claim_id: Hash
    period: int
    claimant: Address
    points: tuple[Amount, ...]  # A, B, C as the vault takes them
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class PaymentDone:
    """The service's transaction is solidified: the vault's own event is on its way."""

    claim_id: Hash
    tx_id: Hash
    block_number: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    """The service's transaction was not done and never will be. Somebody else may still bring the claim."""

    claim_id: Hash
    kind: str  # expired, execution, energy, ... as the chain service says
    reason: str
    tx_id: Hash | None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ClaimPaid:
    """RewardVault has paid, in a solidified block."""

    claim_id: Hash
    pool: Pool
    claimant: Address
    amount: Amount
    day: int  # days since 1970-01-01 UTC, the boundary that the daily limit used
    source: Source


@dataclass(frozen=True, slots=True)
class ClaimSettled:
    """The payment is in all books; `user` is None where this service had not authorised it."""

    claim_id: Hash
    user: str | None
    pool: Pool
    amount: Amount


@dataclass(frozen=True, slots=True)
class ClaimReleased:
    """It was not paid and never will be: what was set aside is free again."""

    claim_id: Hash
    user: str | None
    pool: Pool
    amount: Amount
    reason: str
    block_number: int  # solidified, with a time past the deadline, and all before it was read
    block_time: datetime


Promise = ClaimReserved | ClaimAuthorised | ClaimProven
ClaimEvent = Promise | PaymentDone | PaymentFailed | ClaimPaid | ClaimSettled | ClaimReleased


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as its stream tells it."""

    reserved: ClaimReserved | None = None
    authorised: ClaimAuthorised | None = None
    proven: ClaimProven | None = None
    payment: PaymentDone | PaymentFailed | None = None
    paid: ClaimPaid | None = None
    end: ClaimSettled | ClaimReleased | None = None

    @property
    def asked(self) -> ClaimAuthorised | ClaimProven | None:
        """With what the chain was asked to pay it, the last time."""
        return self.authorised or self.proven


@dataclass(frozen=True, slots=True)
class Authorise:
    """What the verifier has signed for a claim."""

    deadline: int
    signature: str


@dataclass(frozen=True, slots=True)
class RepeatPayment:
    """Ask the chain again, by another transaction, for a payment that has failed."""

    at: datetime


Fact = ClaimPaid | PaymentDone | PaymentFailed
ClaimCommand = Authorise | RepeatPayment | Fact


class ClaimRefused(Exception):
    """Why a claim is not paid; `code` is for machines and never changes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ConflictingClaim(Exception):
    """A claim came with other contents than before: the vault paid something that was not authorised like this."""


def decide_claim(command: ClaimCommand, claim: Claim) -> list[ClaimEvent]:
    """Raises ConflictingClaim, ClaimRefused."""
    match command:
        case Authorise(deadline, signature):
            wish = claim.reserved
            if wish is None or claim.authorised is not None or claim.end is not None or wish.deadline != deadline:
                return []
            if wish.user is None:
                return []
            terms = (wish.user, wish.pool, wish.claimant, wish.amount, wish.payer, deadline)
            return [ClaimAuthorised(wish.claim_id, *terms, signature)]
        case RepeatPayment(at):
            return _ask_again(claim, at)
        case PaymentDone() | PaymentFailed():
            if (asked := claim.asked) is None or claim.payment is not None or asked.attempt != command.attempt:
                return []
            return [replace(command, claim_id=asked.claim_id)]  # of a proven one an operation knows a part
        case ClaimPaid():
            return _record_payment(command, claim)
        case never:
            assert_never(never)


def _ask_again(claim: Claim, at: datetime) -> list[ClaimEvent]:
    """Nothing while an attempt is under way. What was signed or proven is still good until the deadline."""
    asked, reserved = claim.asked, claim.reserved
    if claim.paid is not None or claim.end is not None or asked is None or reserved is None:
        raise ClaimRefused("nothing-to-repeat", "the claim has ended, or was not asked of the chain yet")
    if not isinstance(claim.payment, PaymentFailed):
        return []
    if at.timestamp() >= reserved.deadline or asked.attempt == MOST_ATTEMPTS:
        raise ClaimRefused("too-late", f"attempt {asked.attempt} was the last: the deadline is {reserved.deadline}")
    return [replace(asked, attempt=asked.attempt + 1)]


def _record_payment(fact: ClaimPaid, claim: Claim) -> list[ClaimEvent]:
    if fact == claim.paid:
        return []
    if claim.paid is not None:
        raise ConflictingClaim(f"claim {fact.claim_id}: expected {claim.paid}, got {fact}")
    if isinstance(claim.end, ClaimReleased):
        raise ConflictingClaim(f"claim {fact.claim_id}: expected no payment after {claim.end}, got {fact}")
    if (asked := claim.reserved) is not None:
        expected, got = ((it.claim_id, it.pool, it.claimant, it.amount) for it in (asked, fact))
        if claim.proven is not None:  # who has the secret may have brought a proof for another account to the vault
            got = (fact.claim_id, fact.pool, asked.claimant, fact.amount)
        if expected != got:
            raise ConflictingClaim(f"claim {fact.claim_id}: expected a payment of {expected}, got {got}")
    return [fact]


def evolve_claim(claim: Claim, event: ClaimEvent) -> Claim:
    match event:
        case ClaimReserved():
            return replace(claim, reserved=event)
        case ClaimAuthorised():
            return replace(claim, authorised=event, payment=None)
        case ClaimProven():
            return replace(claim, proven=event, payment=None)
        case PaymentDone() | PaymentFailed():
            return replace(claim, payment=event)
        case ClaimPaid():
            return replace(claim, paid=event)
        case ClaimSettled() | ClaimReleased():
            return replace(claim, end=event)
        case never:
            assert_never(never)


claim: Decider[ClaimCommand, Claim, ClaimEvent] = Decider(Claim(), decide_claim, evolve_claim)


@dataclass(frozen=True, slots=True)
class ClaimsEnded:
    """All claims that began at this position of the log or before it have ended."""

    position: int


notes: Decider[ClaimsEnded, None, ClaimsEnded] = Decider(None, lambda note, _: [note], lambda _, __: None)

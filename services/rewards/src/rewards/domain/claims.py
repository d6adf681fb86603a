"""Claims: from the wish to be paid to the payment that the chain tells, each step an event in `claim/<id>`.

 ClaimReserved ─► ClaimAuthorised ─► (PaymentDone │ PaymentFailed) ─► ClaimPaid ─► ClaimSettled
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


@dataclass(frozen=True, slots=True)
class ClaimProven:
    """The proof holds: with it, anybody can have the vault pay the claimant. It asks the chain to do so."""

    claim_id: Hash
    period: int
    claimant: Address
    points: tuple[Amount, ...]  # A, B, C as the vault takes them


@dataclass(frozen=True, slots=True)
class PaymentDone:
    """The service's transaction is solidified: the vault's own event is on its way."""

    claim_id: Hash
    tx_id: Hash
    block_number: int


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    """The service's transaction was not done and never will be. Somebody else may still bring the claim."""

    claim_id: Hash
    kind: str  # expired, execution, energy, ... as the chain service says
    reason: str
    tx_id: Hash | None


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


@dataclass(frozen=True, slots=True)
class Authorise:
    """What the verifier has signed for a claim."""

    deadline: int
    signature: str


Fact = ClaimPaid | PaymentDone | PaymentFailed


class ConflictingClaim(Exception):
    """A claim came with other contents than before: the vault paid something that was not authorised like this."""


def decide_claim(command: Authorise | Fact, claim: Claim) -> list[ClaimEvent]:
    match command:
        case Authorise(deadline, signature):
            asked = claim.reserved
            if asked is None or claim.authorised is not None or claim.end is not None or asked.deadline != deadline:
                return []
            if asked.user is None:
                return []
            terms = (asked.user, asked.pool, asked.claimant, asked.amount, asked.payer, deadline)
            return [ClaimAuthorised(asked.claim_id, *terms, signature)]
        case PaymentDone() | PaymentFailed():
            return [command] if claim.authorised is not None and claim.payment is None else []
        case ClaimPaid():
            return _record_payment(command, claim)
        case never:
            assert_never(never)


def _record_payment(fact: ClaimPaid, claim: Claim) -> list[ClaimEvent]:
    if fact == claim.paid:
        return []
    if claim.paid is not None:
        raise ConflictingClaim(f"claim {fact.claim_id}: expected {claim.paid}, got {fact}")
    if isinstance(claim.end, ClaimReleased):
        raise ConflictingClaim(f"claim {fact.claim_id}: expected no payment after {claim.end}, got {fact}")
    if (asked := claim.reserved) is not None:
        expected, got = ((it.pool, it.claimant, it.amount) for it in (asked, fact))
        if claim.proven is not None:  # who has the secret may have brought a proof for another account to the vault
            got = (fact.pool, asked.claimant, fact.amount)
        if expected != got:
            raise ConflictingClaim(f"claim {fact.claim_id}: expected a payment of {expected}, got {got}")
    return [fact]


def evolve_claim(claim: Claim, event: ClaimEvent) -> Claim:
    match event:
        case ClaimReserved():
            return replace(claim, reserved=event)
        case ClaimAuthorised():
            return replace(claim, authorised=event)
        case ClaimProven():
            return replace(claim, proven=event)
        case PaymentDone() | PaymentFailed():
            return replace(claim, payment=event)
        case ClaimPaid():
            return replace(claim, paid=event)
        case ClaimSettled() | ClaimReleased():
            return replace(claim, end=event)
        case never:
            assert_never(never)


claim: Decider[Authorise | Fact, Claim, ClaimEvent] = Decider(Claim(), decide_claim, evolve_claim)


@dataclass(frozen=True, slots=True)
class ClaimsEnded:
    """All claims that began at this position of the log or before it have ended."""

    position: int


notes: Decider[ClaimsEnded, None, ClaimsEnded] = Decider(None, lambda note, _: [note], lambda _, __: None)

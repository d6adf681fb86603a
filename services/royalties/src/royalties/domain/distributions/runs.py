"""A distribution shares a part of a pool among the holders of a coin or of editions, as they were at a block.

 DistributionOpened ─► SharesListed … DistributionPreviewed ─► DistributionApproved (twice) ─► SharesCredited …
      └──────────┴──── DistributionCancelled ───┴─────────────┘                └─► DistributionReconciled

Three persons take part: one opens it, two others approve what they saw, which `digest` names. Whoever computes the
shares of the same holders gets the same ones, so it can be done again wherever it was interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from contracts.values import Address, Amount, Hash, Uint256
from eventlog import Decider
from royalties.domain.books import Refused

APPROVALS = 2
PART = 2_000
"""Shares in one event: some 140 kB."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What has to be held for a share: DCMX, or editions (of one track, if given), each of which counts once."""

    kind: Literal["dcmx-token", "music-nft"]
    track_id: Uint256 | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What is shared with whom; nothing of it changes later."""

    pool: str
    asset: str
    token: Address | None  # the contract of a TRC-20; None for TRX
    amount: Amount
    period: str  # a quarter: 2026-Q3
    holding: Holding
    block: int  # holders are those after this block
    minimum: Amount  # less than this is carried forward
    tax_form_needed: bool
    excluded: tuple[Address, ...]  # such as a vault, or the paying wallet


@dataclass(frozen=True, slots=True)
class Share:
    party: Address
    amount: Amount


# ---- events -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DistributionOpened:
    distribution_id: str
    terms: Terms
    officer: str


@dataclass(frozen=True, slots=True)
class SharesListed:
    """A part of the shares, in the order of the addresses."""

    distribution_id: str
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class DistributionPreviewed:
    distribution_id: str
    holders: int
    held: Amount  # by all of them
    shared: Amount
    dust: Amount  # rounding down has left it: it goes back to the pool
    digest: Hash  # of the terms and of all shares


@dataclass(frozen=True, slots=True)
class DistributionApproved:
    distribution_id: str
    officer: str
    digest: Hash
    number: int  # of this approval; APPROVALS are needed


@dataclass(frozen=True, slots=True)
class DistributionCancelled:
    distribution_id: str
    officer: str
    reason: str


@dataclass(frozen=True, slots=True)
class SharesCredited:
    """The shares up to number `upto` are credited: paid, with what was carried forward before, or carried forward."""

    distribution_id: str
    upto: int
    asked: Amount  # in these shares' payments
    brought: Amount  # of that: carried forward before
    carried: Amount  # of these shares: carried forward now
    payments: int


@dataclass(frozen=True, slots=True)
class PaymentDiffers:
    """The chain shows another amount than the payment's, or none. It changes no balance; a person should look."""

    distribution_id: str
    payment_id: str
    party: Address
    asset: str
    booked: Amount
    seen: Amount
    tx_id: Hash
    block_number: int


@dataclass(frozen=True, slots=True)
class DistributionReconciled:
    """Every payment has ended. shared + brought = paid + given_up + carried, as the chain and the books have it."""

    distribution_id: str
    shared: Amount
    brought: Amount
    paid: Amount
    given_up: Amount
    carried: Amount
    dust: Amount
    differing: int | None  # payments that the chain shows otherwise; None: nobody has looked there


DistributionEvent = (
    DistributionOpened
    | SharesListed
    | DistributionPreviewed
    | DistributionApproved
    | DistributionCancelled
    | SharesCredited
    | PaymentDiffers
    | DistributionReconciled
)

# ---- commands ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenDistribution:
    distribution_id: str
    terms: Terms
    officer: str


@dataclass(frozen=True, slots=True)
class PreviewDistribution:
    """The holders at the run's block, with what they hold."""

    holders: Mapping[Address, int]


@dataclass(frozen=True, slots=True)
class ApproveDistribution:
    officer: str
    digest: Hash


@dataclass(frozen=True, slots=True)
class CancelDistribution:
    officer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the credited shares."""

    asked: int = 0
    brought: int = 0
    carried: int = 0
    payments: int = 0

    def with_(self, more: SharesCredited) -> Totals:
        return Totals(
            self.asked + more.asked,
            self.brought + more.brought,
            self.carried + more.carried,
            self.payments + more.payments,
        )


@dataclass(frozen=True, slots=True)
class Distribution:
    opened: DistributionOpened | None = None
    shares: tuple[Share, ...] = ()
    previewed: DistributionPreviewed | None = None
    approvals: tuple[str, ...] = ()  # by whom
    credited: int = 0  # so many shares
    totals: Totals = Totals()
    end: DistributionCancelled | DistributionReconciled | None = None

    @property
    def terms(self) -> Terms:
        assert self.opened is not None, "a distribution begins with its terms"
        return self.opened.terms

    @property
    def is_approved(self) -> bool:
        return len(self.approvals) >= APPROVALS

    @property
    def is_credited(self) -> bool:
        """Whether nothing is left but to wait for payments."""
        return self.is_approved and self.credited == len(self.shares)


def open_distribution(command: OpenDistribution, before: Distribution) -> list[DistributionOpened]:
    """Empty if it was opened like this before. Raises Refused."""
    event = DistributionOpened(command.distribution_id, command.terms, command.officer)
    if before.opened is None:
        if not command.terms.amount:
            raise Refused("amount-zero", "expected an amount above 0")
        return [event]
    if before.opened != event:
        raise Refused("distribution-conflict", f"it was opened as {before.opened}")
    return []


def decide(command: PreviewDistribution | ApproveDistribution, run: Distribution) -> Sequence[DistributionEvent]:
    """Raises Refused."""
    match command:
        case PreviewDistribution(holders):
            return _preview(run, holders) if run.previewed is None and run.end is None else []
        case ApproveDistribution():
            return _approve(run, command)
        case never:
            assert_never(never)


def cancel_distribution(run: Distribution, command: CancelDistribution) -> list[DistributionCancelled]:
    """Empty if it was cancelled before. Raises Refused."""
    if run.opened is None:
        raise Refused("not-found", "there is no such distribution")
    if isinstance(run.end, DistributionCancelled):
        return []
    if run.is_approved:
        raise Refused("approved-already", f"approved by {' and '.join(run.approvals)}: it is being paid")
    return [DistributionCancelled(run.opened.distribution_id, command.officer, command.reason)]


def _approve(run: Distribution, command: ApproveDistribution) -> list[DistributionEvent]:
    if run.opened is None:
        raise Refused("not-found", "there is no such distribution")
    if command.officer in run.approvals:
        return []
    if run.end is not None or run.is_approved:
        raise Refused("approved-already", "it has ended, or two persons have approved it")
    if run.previewed is None:
        raise Refused("not-previewed", "its shares are not computed yet")
    if command.officer == run.opened.officer:
        raise Refused("own-distribution", f"{command.officer} opened it; two others approve")
    if command.digest != run.previewed.digest:
        raise Refused("other-preview", f"expected {run.previewed.digest}, got {command.digest}")
    number = len(run.approvals) + 1
    return [DistributionApproved(run.opened.distribution_id, command.officer, command.digest, number)]


def _preview(run: Distribution, holders: Mapping[Address, int]) -> list[DistributionEvent]:
    assert run.opened is not None
    distribution_id, terms = run.opened.distribution_id, run.terms
    counted = {party: held for party, held in holders.items() if held and party not in terms.excluded}
    shares = shares_of(terms.amount, counted)
    shared = sum(share.amount for share in shares)
    parts = [SharesListed(distribution_id, shares[start : start + PART]) for start in range(0, len(shares), PART)]
    found = (len(counted), sum(counted.values()), shared, terms.amount - shared)
    return [*parts, DistributionPreviewed(distribution_id, *found, digest_of(terms, shares))]


def shares_of(amount: int, holders: Mapping[Address, int]) -> tuple[Share, ...]:
    """Each holder's part of `amount`, rounded down, in the order of the addresses; without those who get nothing.

    What is left, less than a unit a holder, is nobody's: it goes back to the pool and is shared the next time.
    """
    held = sum(holders.values())
    shares = (Share(party, amount * own // held) for party, own in sorted(holders.items()))
    return tuple(share for share in shares if share.amount)


def digest_of(terms: Terms, shares: Collection[Share]) -> Hash:
    """What the approvers name: SHA-256 of a line for each of the terms and one for each share."""
    named = (getattr(terms, name) for name in ("pool", "period", "asset", "token", "amount", "block", "minimum"))
    rules = (terms.holding.kind, terms.holding.track_id, terms.tax_form_needed, " ".join(terms.excluded))
    lines = [*map(str, (*named, *rules)), *(f"{share.party} {share.amount}" for share in shares)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def evolve(run: Distribution, event: DistributionEvent) -> Distribution:
    match event:
        case DistributionOpened():
            return replace(run, opened=event)
        case SharesListed(shares=shares):
            return replace(run, shares=(*run.shares, *shares))
        case DistributionPreviewed():
            return replace(run, previewed=event)
        case DistributionApproved(officer=officer):
            return replace(run, approvals=(*run.approvals, officer))
        case SharesCredited():
            return replace(run, credited=event.upto, totals=run.totals.with_(event))
        case PaymentDiffers():
            return run
        case DistributionCancelled() | DistributionReconciled():
            return replace(run, end=event)
        case never:
            assert_never(never)


distribution: Decider[PreviewDistribution | ApproveDistribution, Distribution, DistributionEvent] = Decider(
    Distribution(), decide, evolve
)

"""What a claim does to the four books that it is in, decided on all of them at once: in all of them, or in none.

The claim itself, the user's balance of the pool's kind, the pool's budget, and the wallet that is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from contracts.chain import Pool
from contracts.values import Address, Amount, Hash
from rewards.domain.balance import Balance, BalanceEvent, RewardsReleased, RewardsReserved, RewardsSettled
from rewards.domain.budget import (
    Budget,
    BudgetEvent,
    BudgetPaid,
    BudgetReleased,
    BudgetReserved,
    PoolRule,
    evolve_budget,
    opened,
)
from rewards.domain.claims import (
    Claim,
    ClaimEvent,
    ClaimProven,
    ClaimRefused,
    ClaimReleased,
    ClaimReserved,
    ClaimSettled,
    Payer,
    PaymentDone,
    PaymentFailed,
)
from rewards.domain.pools import Vault
from rewards.domain.usage import Usage
from rewards.domain.wallet import WalletEvent, WalletPaid, WalletReleased, WalletReserved

EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Books:
    """All that decides about a claim; `vault` is only looked at."""

    claim: Claim
    balance: Balance
    budget: Budget
    wallet: Usage
    vault: Vault


@dataclass(frozen=True, slots=True)
class Entries:
    """What is new in each book."""

    claim: Sequence[ClaimEvent] = ()
    balance: Sequence[BalanceEvent] = ()
    budget: Sequence[BudgetEvent] = ()
    wallet: Sequence[WalletEvent] = ()


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """Pay a user what they have earned. The same id again changes nothing; with other terms it is refused."""

    claim_id: Hash
    user: str
    pool: Pool
    claimant: Address
    amount: Amount
    payer: Payer
    at: datetime
    rule: PoolRule


@dataclass(frozen=True, slots=True)
class BringProof:
    """Pay a listener whom nobody knows, by a proof that was checked. The claim's id is its nullifier."""

    claim_id: Hash
    period: int
    claimant: Address
    amount: Amount  # amount and deadline are the period's, as the chain has them
    deadline: int
    points: tuple[int, ...]
    at: datetime
    rule: PoolRule


@dataclass(frozen=True, slots=True)
class ReleaseClaim:
    """A solidified block is past the deadline, and all that was before it has been read."""

    block_number: int
    block_time: datetime


def request_claim(command: RequestClaim, books: Books) -> Entries:
    """Sets the amount aside in every book. Raises ClaimRefused."""
    asked = (command.user, command.pool, command.claimant, command.amount, command.payer)
    if (before := books.claim.reserved) is not None:
        known = (before.user, before.pool, before.claimant, before.amount, before.payer)
        if known != asked:
            raise ClaimRefused("claim-conflict", f"{command.claim_id} was asked for with other terms: {known}")
        return Entries()
    if books.claim.paid is not None:
        raise ClaimRefused("claim-conflict", f"{command.claim_id} was paid without this service")
    if command.amount <= 0:
        raise ClaimRefused("amount-zero", "the vault pays nothing below 1")
    _check_active(books.vault)
    _check_balance(command.amount, books.balance)
    _check_user(command, books.balance)
    deadline = int(command.at.timestamp()) + command.rule.claim_seconds
    return replace(
        _set_aside(command, command.pool, books),
        claim=[ClaimReserved(command.claim_id, *asked, deadline, command.rule.version)],
        balance=[RewardsReserved(command.claim_id, command.pool, command.amount)],
    )


def bring_proof(command: BringProof, books: Books) -> Entries:
    """Sets a proven claim's amount aside in the pool and the wallet. Raises ClaimRefused."""
    before, claim_id, pool = books.claim.reserved, command.claim_id, Pool.LISTENING
    if books.claim.paid is not None or (before is not None and before.claimant != command.claimant):
        raise ClaimRefused("already-claimed", f"nullifier {claim_id} was used")
    if before is not None:
        return Entries()
    _check_active(books.vault)
    terms = (pool, command.claimant, command.amount)
    return replace(
        _set_aside(command, pool, books),
        claim=[
            ClaimReserved(claim_id, None, *terms, "service", command.deadline, command.rule.version),
            ClaimProven(claim_id, command.period, command.claimant, command.points),
        ],
    )


def settle_claim(books: Books) -> Entries:
    """Books a payment that the vault has told of; nothing, if that was done."""
    paid, asked = books.claim.paid, books.claim.reserved
    if paid is None or books.claim.end is not None:
        return Entries()
    claim_id, pool, amount = paid.claim_id, paid.pool, paid.amount
    starts = books.budget.starts if asked is not None else None
    user = asked.user if asked is not None else None
    promised = asked.claimant if asked is not None else None
    wallet: list[WalletEvent] = [WalletPaid(claim_id, pool, paid.claimant, amount, paid.day, promised == paid.claimant)]
    if promised is not None and promised != paid.claimant:  # by a proof, see `claims`
        wallet.append(WalletReleased(claim_id, pool, promised, amount))
    return Entries(
        claim=[ClaimSettled(claim_id, user, pool, amount)],
        balance=[RewardsSettled(claim_id, pool, amount, paid.day)] if user is not None else [],
        budget=[BudgetPaid(claim_id, pool, starts, amount)],
        wallet=wallet,
    )


def release_claim(command: ReleaseClaim, books: Books) -> Entries:
    """Gives back what a claim has set aside; nothing, while it can still be paid, or once it was."""
    asked = books.claim.reserved
    if asked is None or books.claim.paid is not None or books.claim.end is not None:
        return Entries()
    if isinstance(books.claim.payment, PaymentDone):  # then the vault's event must come
        return Entries()
    if command.block_time.timestamp() <= asked.deadline:
        return Entries()
    claim_id, pool, amount = asked.claim_id, asked.pool, asked.amount
    why = _why_unpaid(books.claim)
    return Entries(
        claim=[ClaimReleased(claim_id, asked.user, pool, amount, why, command.block_number, command.block_time)],
        balance=[RewardsReleased(claim_id, pool, amount)] if asked.user is not None else [],
        budget=[BudgetReleased(claim_id, pool, books.budget.starts, amount)],
        wallet=[WalletReleased(claim_id, pool, asked.claimant, amount)],
    )


def _check_active(vault: Vault) -> None:
    if not vault.active:
        raise ClaimRefused("pool-inactive", "the vault does not pay from this pool")


def _check_balance(amount: int, balance: Balance) -> None:
    available = balance.available
    if amount <= available:
        return
    if available < 0:
        raise ClaimRefused("balance-negative", f"corrections took more than was left: {available}")
    if amount <= available + balance.held:
        raise ClaimRefused("held-for-review", f"{balance.held} of the rewards wait for a review, {available} do not")
    raise ClaimRefused("balance-too-small", f"asked for {amount}, available are {available}")


def _check_user(command: RequestClaim, balance: Balance) -> None:
    limit, wanted = command.rule.daily_limit, command.amount + balance.usage.on(_day(command.at))
    if limit and wanted > limit:
        raise ClaimRefused("user-daily-limit", f"a user may claim {limit} a day, this would make {wanted}")


def _set_aside(command: RequestClaim | BringProof, pool: Pool, books: Books) -> Entries:
    """What a claim takes from the pool's budget, whose period it may open, and from what its address may get."""
    period = opened(books.budget, pool, command.rule, command.at.astimezone(UTC).date())
    budget = evolve_budget(books.budget, period[0]) if period else books.budget
    _check_wallet(command, books)
    _check_pool(command.amount, budget, books.vault)
    return Entries(
        budget=[*period, BudgetReserved(command.claim_id, pool, budget.starts, command.amount)],
        wallet=[WalletReserved(command.claim_id, pool, command.claimant, command.amount)],
    )


def _check_wallet(command: RequestClaim | BringProof, books: Books) -> None:
    limit, wanted = books.vault.daily_limit, command.amount + books.wallet.on(_day(command.at))
    if wanted > limit:
        raise ClaimRefused("wallet-daily-limit", f"the vault pays an address {limit} a day, this would make {wanted}")


def _check_pool(amount: int, budget: Budget, vault: Vault) -> None:
    if amount > budget.free:
        raise ClaimRefused("budget-exhausted", f"asked for {amount}, free until {budget.ends} are {budget.free}")
    holds = vault.funded - vault.swept - vault.batched - budget.vault_paid - budget.reserved
    if amount > holds:
        raise ClaimRefused("vault-exhausted", f"asked for {amount}, the vault holds {max(0, holds)} for nobody yet")


def _day(at: datetime) -> int:
    """Days since 1970-01-01 UTC, as the vault counts them."""
    return at.astimezone(UTC).date().toordinal() - EPOCH_DAY


def _why_unpaid(claim: Claim) -> str:
    if claim.authorised is None and claim.proven is None:
        return "never-authorised"
    match claim.payment:
        case PaymentFailed(kind=kind):
            return f"payment-failed-{kind}"
        case _:
            return "not-brought-in-time"

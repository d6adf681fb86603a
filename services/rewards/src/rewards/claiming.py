"""Where the books of a claim are in the log, and what is decided on all of them at once.

The first 15 bytes of a claim's id name its stream and, with the number of the attempt, the operation that asks the
chain service to pay it: so what becomes of an operation finds its claim. The other 17 are zeros, or a nullifier's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from contracts.chain import Pool
from eventlog import Decider, Intent, JointIntent, Metadata
from rewards import domain

CLAIMS = "claim/"
NAMED_BY = 30  # hex digits


def claim_id_of(key: str) -> str:
    """The id of the claim that a caller has named; another caller's names never lead to it."""
    return hashlib.sha256(f"claim {key}".encode()).hexdigest()[:NAMED_BY].ljust(64, "0")


def operation_of(claim_id: str, attempt: int = 0) -> str:
    """The operation that pays a claim."""
    return str(UUID(f"{claim_id[:NAMED_BY]}{attempt:02x}"))


def claim_of(operation_id: str) -> tuple[str, int]:
    """The claim that an operation pays, if it is one of ours, by what names it; and which attempt it is."""
    named = UUID(operation_id).hex
    return named[:NAMED_BY].ljust(64, "0"), int(named[NAMED_BY:], 16)


def claim_stream(claim_id: str) -> str:
    return f"{CLAIMS}{claim_id[:NAMED_BY]}"


def budget_stream(pool: Pool) -> str:
    return f"budget/{pool.label}"


def request(command: domain.RequestClaim, metadata: Metadata) -> JointIntent:
    """A wish to be paid."""
    decide = partial(domain.request_claim, command)
    return _joint(command.claim_id, command.pool, command.claimant, command.user, decide, command.at, metadata)


def bring_proof(command: domain.BringProof) -> JointIntent:
    """A proven claim. Its events say nothing of who brought it."""
    decide = partial(domain.bring_proof, command)
    return _joint(command.claim_id, Pool.LISTENING, command.claimant, None, decide, command.at, Metadata())


def settle(paid: domain.ClaimPaid, user: str | None, promised: str | None = None) -> JointIntent:
    """A payment, for the books; `user` is None if it is nobody's that we know.

    `promised` is the address that the amount was reserved for, which another proof of the same listener may change.
    """
    at, others = paid.source.block_time, () if promised is None else (promised,)
    return _joint(paid.claim_id, paid.pool, paid.claimant, user, domain.settle_claim, at, Metadata(), others)


def release(asked: domain.ClaimReserved, command: domain.ReleaseClaim) -> JointIntent:
    """A claim whose time is over, as a block of the chain says."""
    decide = partial(domain.release_claim, command)
    return _joint(asked.claim_id, asked.pool, asked.claimant, asked.user, decide, command.block_time, Metadata())


def authorise(asked: domain.ClaimReserved, signature: str, at: datetime) -> Intent:
    """What the verifier has signed."""
    command = domain.Authorise(asked.deadline, signature)
    return Intent(claim_stream(asked.claim_id), domain.claim, command, at)


def _joint(
    claim_id: str,
    pool: Pool,
    claimant: str,
    user: str | None,
    decide: Callable[[domain.Books], domain.Entries],
    at: datetime,
    metadata: Metadata,
    others: Sequence[str] = (),
) -> JointIntent:
    """`others` are addresses of which something may be booked, besides the claimant."""
    kind = pool.label
    claim, budget, vault = claim_stream(claim_id), budget_stream(pool), f"pool/{kind}"
    wallets = {address: f"wallet/{kind}/{address}" for address in (claimant, *others)}
    wallet, balance = wallets[claimant], f"{kind}/{user}"
    deciders: dict[str, Decider[Any, Any, Any]] = {
        claim: domain.claim,
        budget: domain.budget,
        **dict.fromkeys(wallets.values(), domain.wallet),
        vault: domain.pool,
    }
    if user is not None:
        deciders[balance] = domain.account

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        earned = states[balance].balance if user is not None else domain.Balance()
        entries = decide(domain.Books(states[claim], earned, states[budget], states[wallet], states[vault]))
        return [
            *((claim, event) for event in entries.claim),
            *((balance, event) for event in entries.balance),
            *((budget, event) for event in entries.budget),
            *((wallets[event.address], event) for event in entries.wallet),
        ]

    return JointIntent(deciders, decided, at, metadata)

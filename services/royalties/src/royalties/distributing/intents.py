"""Where the books of a distribution are in the log, and what is decided on several of them at once.

A payment's id has 15 bytes; with the attempt it is the id of the operation that the chain service does once. So what
becomes of an operation finds its payment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from contracts import operations
from eventlog import Decider, Intent, JointIntent, Metadata
from royalties.domain import distributions

FOLLOWED = "distribution"
"""How the names of the streams begin that the process follows: distributions and their payments."""


def distribution_id_of(key: str) -> str:
    """The id of the distribution that a caller has named; another caller's names never lead to it."""
    return hashlib.sha256(f"distribution {key}".encode()).hexdigest()[:32]


def payment_id_of(distribution_id: str, party: str) -> str:
    """The id of what a distribution pays to a party."""
    return hashlib.sha256(f"payment {distribution_id} {party}".encode()).hexdigest()[:30]


def operation_of(payment_id: str, attempt: int) -> str:
    """The operation that an attempt at a payment is."""
    return str(UUID(f"{payment_id}{attempt:02x}"))


def run_stream(distribution_id: str) -> str:
    return f"{FOLLOWED}/{distribution_id}"


def payment_stream(payment_id: str) -> str:
    return f"{FOLLOWED}-payment/{payment_id}"


def pool_stream(pool: str) -> str:
    return f"pool/{pool}"


def payee_stream(party: str) -> str:
    return f"payee/{party}"


def allocate(
    command: distributions.AllocateRevenue | distributions.CoinValued, at: datetime, metadata: Metadata
) -> Intent:
    """What a person says of a pool."""
    return Intent(pool_stream(command.pool), distributions.pool, command, at, metadata)


def note(
    command: distributions.HoldPlaced | distributions.HoldReleased | distributions.TaxFormRecorded,
    at: datetime,
    metadata: Metadata,
) -> Intent:
    """What a person says of a payee."""
    return Intent(payee_stream(command.party), distributions.payee, command, at, metadata)


def open_(command: distributions.OpenDistribution, at: datetime, metadata: Metadata) -> JointIntent:
    """A distribution, and what its pool sets aside for it."""
    terms = command.terms
    pool, run = pool_stream(terms.pool), run_stream(command.distribution_id)

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        opened = distributions.open_distribution(command, states[run])
        if not opened:
            return []
        wanted = (terms.pool, command.distribution_id, terms.period, terms.asset, terms.amount)
        return [(pool, distributions.set_aside(states[pool], *wanted)), *((run, event) for event in opened)]

    return JointIntent({pool: distributions.pool, run: distributions.distribution}, decided, at, metadata)


def preview(distribution_id: str, holders: Mapping[str, int], at: datetime) -> Intent:
    """Who gets how much."""
    return Intent(
        run_stream(distribution_id), distributions.distribution, distributions.PreviewDistribution(holders), at
    )


def approve(
    distribution_id: str, command: distributions.ApproveDistribution, at: datetime, metadata: Metadata
) -> Intent:
    return Intent(run_stream(distribution_id), distributions.distribution, command, at, metadata)


def cancel(
    distribution_id: str,
    terms: distributions.Terms,
    command: distributions.CancelDistribution,
    at: datetime,
    metadata: Metadata,
) -> JointIntent:
    """A distribution that will not be: all that was set aside goes back to its pool."""
    pool, run = pool_stream(terms.pool), run_stream(distribution_id)

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        cancelled = distributions.cancel_distribution(states[run], command)
        if not cancelled:
            return []
        back = distributions.give_back(terms.pool, distribution_id, terms.asset, terms.amount, "cancelled")
        return [(pool, back), *((run, event) for event in cancelled)]

    return JointIntent({pool: distributions.pool, run: distributions.distribution}, decided, at, metadata)


def credit(distribution_id: str, shares: Sequence[distributions.Share], upto: int, at: datetime) -> JointIntent:
    """The next shares, up to number `upto`: in the books of all their payees and of the distribution, or of none."""
    run = run_stream(distribution_id)
    payees = {share.party: payee_stream(share.party) for share in shares}
    ids = {share.party: payment_id_of(distribution_id, share.party) for share in shares}
    deciders: dict[str, Decider[Any, Any, Any]] = {
        run: distributions.distribution,
        **dict.fromkeys(payees.values(), distributions.payee),
        **dict.fromkeys(map(payment_stream, ids.values()), distributions.payment),
    }

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        known = {party: states[stream] for party, stream in payees.items()}
        if (found := distributions.credit_next(states[run], upto, known, ids)) is None:
            return []
        credited, progress = found
        asked = [one.payment for one in credited if one.payment is not None]
        return [
            *((payees[one.share.party], one.share) for one in credited),
            *((payment_stream(payment.payment_id), payment) for payment in asked),
            (run, progress),
        ]

    return JointIntent(deciders, decided, at)


def finish(
    distribution_id: str,
    terms: distributions.Terms,
    paid: int,
    given_up: int,
    at: datetime,
    differing: Sequence[distributions.PaymentDiffers] | None = None,
) -> JointIntent:
    """The end of a distribution whose payments have ended; what rounding down has left goes back to its pool.

    `differing` is what the chain shows otherwise; None: nobody has looked there.
    """
    pool, run = pool_stream(terms.pool), run_stream(distribution_id)

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        found = None if differing is None else len(differing)
        if (end := distributions.reconcile(states[run], paid, given_up, found)) is None:
            return []
        dust = [distributions.give_back(terms.pool, distribution_id, terms.asset, end.dust, "dust")] if end.dust else []
        return [*((pool, event) for event in dust), *((run, event) for event in differing or ()), (run, end)]

    return JointIntent({pool: distributions.pool, run: distributions.distribution}, decided, at)


def retry(payment_id: str, party: str, at: datetime, metadata: Metadata) -> JointIntent:
    """Another attempt at a payment that failed for good."""
    payment, payee = payment_stream(payment_id), payee_stream(party)

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        return [(payment, distributions.retry_payment(states[payment], states[payee]))]

    return JointIntent({payment: distributions.payment, payee: distributions.payee}, decided, at, metadata)


def give_up(payment_id: str, party: str, officer: str, reason: str, at: datetime, metadata: Metadata) -> JointIntent:
    """No further attempt at a payment that failed for good."""
    payment, payee = payment_stream(payment_id), payee_stream(party)

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        ended, carried = distributions.give_up_payment(states[payment], officer, reason)
        return [(payment, ended), (payee, carried)]

    return JointIntent({payment: distributions.payment, payee: distributions.payee}, decided, at, metadata)


def attempt_of(operation_id: str) -> tuple[str, int]:
    """The payment, and the attempt at it, that an operation is; of another service's, a payment that there isn't."""
    digits = UUID(operation_id).hex
    return digits[:30], int(digits[30:], 16)


def settle(payment_id: str, told: distributions.PaymentDone | distributions.PaymentUndone, at: datetime) -> Intent:
    """What the chain says of an attempt."""
    return Intent(payment_stream(payment_id), distributions.payment, told, at)


def told(
    result: operations.OperationSolidified | operations.OperationFailed | operations.OperationExpired, at: datetime
) -> Intent:
    """What the chain service says of an operation; of another service's, nothing comes of it."""
    payment_id, attempt = attempt_of(result.operation_id)
    match result:
        case operations.OperationSolidified(tx_id=tx_id, block_number=block):
            return settle(payment_id, distributions.PaymentDone(attempt, tx_id, block), at)
        case operations.OperationFailed(kind=kind, reason=reason, tx_id=tx_id):
            return settle(payment_id, distributions.PaymentUndone(attempt, kind, reason, tx_id), at)
        case operations.OperationExpired(reason=reason, tx_id=tx_id):
            return settle(payment_id, distributions.PaymentUndone(attempt, "expired", reason, tx_id), at)
        case never:
            assert_never(never)

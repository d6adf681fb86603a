"""What concerns a payee and a payment at once: shares credited, payments tried again or given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.values import Address
from royalties.domain.books import Refused, carried, credit, debit, distribution, entry, reserved, returned, transfer
from royalties.domain.distributions.payees import Payee, PaymentCarried, ShareCredited, why_withheld
from royalties.domain.distributions.payments import (
    MOST_ATTEMPTS,
    Payment,
    PaymentAsked,
    PaymentGivenUp,
    failed_one,
)
from royalties.domain.distributions.runs import Distribution, DistributionReconciled, Share, SharesCredited, Terms


@dataclass(frozen=True, slots=True)
class Credited:
    """A share in the books of its payee and, if it is paid, of its payment."""

    share: ShareCredited
    payment: PaymentAsked | None


def credit_share(distribution_id: str, terms: Terms, share: Share, payment_id: str, payee: Payee) -> Credited:
    """What becomes of a share, as the payee stands now."""
    asset, party = terms.asset, share.party
    before = payee.carried.get(asset, 0)
    tax_form_missing = terms.tax_form_needed and payee.tax_form is None
    held = payee.hold is not None
    why = why_withheld(share.amount + before, terms.minimum, held=held, tax_form_missing=tax_form_missing)
    from_run = debit(distribution(distribution_id), share.amount, asset)
    if why is not None:
        postings = entry(from_run, credit(carried(party), share.amount, asset))
        return Credited(ShareCredited(distribution_id, party, asset, share.amount, 0, why, postings), None)
    amount = share.amount + before
    postings = entry(from_run, debit(carried(party), before, asset), credit(reserved(party), amount, asset))
    return Credited(
        ShareCredited(distribution_id, party, asset, share.amount, before, None, postings),
        PaymentAsked(payment_id, 1, distribution_id, party, asset, terms.token, amount, ()),
    )


def credit_next(
    run: Distribution, upto: int, payees: Mapping[Address, Payee], payment_ids: Mapping[Address, str]
) -> tuple[Sequence[Credited], SharesCredited] | None:
    """The shares from the first that is not credited up to number `upto`; None if that was done."""
    if run.opened is None or run.end is not None or not run.is_approved or run.credited >= upto:
        return None
    distribution_id, terms = run.opened.distribution_id, run.terms
    credited = [
        credit_share(distribution_id, terms, share, payment_ids[share.party], payees[share.party])
        for share in run.shares[run.credited : upto]
    ]
    payments = [one.payment for one in credited if one.payment is not None]
    return credited, SharesCredited(
        distribution_id,
        upto,
        asked=sum(payment.amount for payment in payments),
        brought=sum(one.share.brought for one in credited),
        carried=sum(one.share.amount for one in credited if one.payment is None),
        payments=len(payments),
    )


def reconcile(
    run: Distribution, paid: int, given_up: int, differing: int | None = None
) -> DistributionReconciled | None:
    """The end of a distribution whose payments have ended; None if it has ended, or the sums do not agree.

    `differing` payments are otherwise on the chain; None: nobody has looked there.
    """
    if run.opened is None or run.previewed is None or run.end is not None or not run.is_credited:
        return None
    totals, shared = run.totals, run.previewed.shared
    if totals.asked != paid + given_up or shared + totals.brought != totals.asked + totals.carried:
        return None
    return DistributionReconciled(
        run.opened.distribution_id,
        shared,
        totals.brought,
        paid,
        given_up,
        totals.carried,
        run.previewed.dust,
        differing,
    )


def retry_payment(payment: Payment, payee: Payee) -> PaymentAsked:
    """Another attempt at a payment that failed for good. Raises Refused."""
    asked = failed_one(payment)
    if payee.hold is not None:
        raise Refused("held", f"{asked.party} is held: {payee.hold.reason}")
    if asked.attempt == MOST_ATTEMPTS:
        raise Refused("too-many-attempts", f"expected at most {MOST_ATTEMPTS} attempts")
    postings = transfer(returned(asked.party), reserved(asked.party), asked.amount, asked.asset)
    return replace(asked, attempt=asked.attempt + 1, postings=postings)


def give_up_payment(payment: Payment, officer: str, reason: str) -> tuple[PaymentGivenUp, PaymentCarried]:
    """No further attempt: the next distribution brings it. Raises Refused."""
    asked = failed_one(payment)
    about = (asked.payment_id, asked.distribution_id, asked.party, asked.asset, asked.amount)
    postings = transfer(returned(asked.party), carried(asked.party), asked.amount, asked.asset)
    return PaymentGivenUp(*about, officer, reason), PaymentCarried(*about, postings)

"""Distributions with every share and what became of it; parties that are held."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import distributions
from royalties.projections.common import metadata

revenue_distributions = sa.Table(
    "revenue_distributions",
    metadata,
    sa.Column("distribution_id", sa.Text, primary_key=True),
    sa.Column("pool", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),  # set aside for it
    sa.Column("holding", sa.Text, nullable=False),
    sa.Column("track_id", Amount),  # of the editions that have a share, if only those
    sa.Column("block", sa.BigInteger, nullable=False),
    sa.Column("minimum", Amount, nullable=False),
    sa.Column("tax_form_needed", sa.Boolean, nullable=False),
    sa.Column("excluded", sa.ARRAY(sa.Text), nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # opened, previewed, approved, paying, reconciled, cancelled
    sa.Column("reason", sa.Text),  # why it was cancelled
    sa.Column("opened_by", sa.Text, nullable=False),
    sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("approved_too_by", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("holders", sa.BigInteger, nullable=False, default=0),
    sa.Column("held", Amount, nullable=False, default=0),  # by the holders
    sa.Column("shared", Amount, nullable=False, default=0),
    sa.Column("dust", Amount, nullable=False, default=0),
    sa.Column("credited", sa.BigInteger, nullable=False, default=0),  # shares
    sa.Column("brought", Amount, nullable=False, default=0),
    sa.Column("carried", Amount, nullable=False, default=0),
    sa.Column("asked", Amount, nullable=False, default=0),
    sa.Column("paid", Amount, nullable=False, default=0),
    sa.Column("failed", Amount, nullable=False, default=0),
    sa.Column("given_up", Amount, nullable=False, default=0),
    sa.Column("differing", sa.BigInteger),  # payments that the chain shows otherwise; null: nobody has looked
    sa.Column("reconciled_at", sa.DateTime(timezone=True)),
    sa.Column("version", sa.BigInteger, nullable=False),  # of its stream
    sa.Index("revenue_distributions_order", "opened_at", "distribution_id"),
)

distribution_shares = sa.Table(
    "distribution_shares",
    metadata,
    sa.Column("distribution_id", sa.Text, primary_key=True),
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # listed, carried, asked, failed, paid, given-up
    sa.Column("reason", sa.Text),  # why it is carried forward, or has failed
    sa.Column("brought", Amount, nullable=False, default=0),  # paid along with it: carried forward before
    sa.Column("payment_id", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("tx_id", sa.Text),
    sa.Column("block_number", sa.BigInteger),
    sa.Index("distribution_shares_of_party", "party", "distribution_id"),
)

payees = sa.Table(
    "payees",
    metadata,
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("held_for", sa.Text),  # the reason; null: not held
    sa.Column("held_by", sa.Text),
    sa.Column("held_since", sa.DateTime(timezone=True)),
    sa.Column("tax_form", sa.Text),  # where it is filed
    sa.Column("tax_form_sha256", sa.Text),
    sa.Index("payees_held", "held_since", "party"),
)


class Distributions(Projection):
    """Every distribution with its shares, and what became of each."""

    name = "distributions"
    tables = (revenue_distributions, distribution_shares)
    about = {distribution_shares: "party"}  # noqa: RUF012 - a ClassVar of the base

    def key(self, recorded: RecordedEvent) -> str:
        """A distribution has the events of its payments and of its shares, too."""
        if isinstance(recorded.event, distributions.ShareCredited | distributions.PaymentEvent):
            return f"distribution/{recorded.event.distribution_id}"
        return recorded.stream

    @on(distributions.DistributionOpened)
    def opened(self, event: distributions.DistributionOpened, recorded: RecordedEvent, rows: Rows) -> None:
        terms = event.terms
        rows.insert(
            revenue_distributions,
            distribution_id=event.distribution_id,
            pool=terms.pool,
            asset=terms.asset,
            period=terms.period,
            amount=terms.amount,
            holding=terms.holding.kind,
            track_id=terms.holding.track_id,
            block=terms.block,
            minimum=terms.minimum,
            tax_form_needed=terms.tax_form_needed,
            excluded=list(terms.excluded),
            status="opened",
            opened_by=event.officer,
            opened_at=recorded.occurred_at,
            version=recorded.version,
        )

    @on(distributions.SharesListed)
    def listed(self, event: distributions.SharesListed, recorded: RecordedEvent, rows: Rows) -> None:
        for share in event.shares:
            rows.insert(
                distribution_shares,
                distribution_id=event.distribution_id,
                party=share.party,
                amount=share.amount,
                status="listed",
            )

    @on(distributions.DistributionPreviewed)
    def previewed(self, event: distributions.DistributionPreviewed, recorded: RecordedEvent, rows: Rows) -> None:
        found = {"holders": event.holders, "held": event.held, "shared": event.shared, "dust": event.dust}
        _became(rows, recorded, "previewed", digest=event.digest, **found)

    @on(distributions.DistributionApproved)
    def approved(self, event: distributions.DistributionApproved, recorded: RecordedEvent, rows: Rows) -> None:
        if event.number < distributions.APPROVALS:
            _became(rows, recorded, "previewed", approved_by=event.officer)
        else:
            _became(rows, recorded, "approved", approved_too_by=event.officer)

    @on(distributions.DistributionCancelled)
    def cancelled(self, event: distributions.DistributionCancelled, recorded: RecordedEvent, rows: Rows) -> None:
        _became(rows, recorded, "cancelled", reason=event.reason)

    @on(distributions.SharesCredited)
    def progressed(self, event: distributions.SharesCredited, recorded: RecordedEvent, rows: Rows) -> None:
        _became(rows, recorded, "paying", credited=event.upto)
        added = {"asked": event.asked, "brought": event.brought, "carried": event.carried}
        rows.increment(revenue_distributions, {"distribution_id": event.distribution_id}, **added)

    @on(distributions.DistributionReconciled)
    def reconciled(self, event: distributions.DistributionReconciled, recorded: RecordedEvent, rows: Rows) -> None:
        _became(rows, recorded, "reconciled", reconciled_at=recorded.occurred_at, differing=event.differing)

    @on(distributions.ShareCredited)
    def credited(self, event: distributions.ShareCredited, recorded: RecordedEvent, rows: Rows) -> None:
        status = "carried" if event.withheld else "asked"
        rows.update(distribution_shares, _share(event), status=status, reason=event.withheld, brought=event.brought)

    @on(distributions.PaymentAsked)
    def asked(self, event: distributions.PaymentAsked, recorded: RecordedEvent, rows: Rows) -> None:
        asked = {"payment_id": event.payment_id, "attempt": event.attempt}
        rows.update(distribution_shares, _share(event), status="asked", reason=None, tx_id=None, **asked)
        if event.attempt > 1:
            rows.increment(revenue_distributions, {"distribution_id": event.distribution_id}, failed=-event.amount)

    @on(distributions.PaymentMade)
    def made(self, event: distributions.PaymentMade, recorded: RecordedEvent, rows: Rows) -> None:
        place = {"tx_id": event.tx_id, "block_number": event.block_number}
        rows.update(distribution_shares, _share(event), status="paid", reason=None, **place)
        rows.increment(revenue_distributions, {"distribution_id": event.distribution_id}, paid=event.amount)

    @on(distributions.PaymentFailed)
    def failed(self, event: distributions.PaymentFailed, recorded: RecordedEvent, rows: Rows) -> None:
        why = f"{event.kind}: {event.reason}"
        rows.update(distribution_shares, _share(event), status="failed", reason=why, tx_id=event.tx_id)
        rows.increment(revenue_distributions, {"distribution_id": event.distribution_id}, failed=event.amount)

    @on(distributions.PaymentGivenUp)
    def given_up(self, event: distributions.PaymentGivenUp, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(distribution_shares, _share(event), status="given-up", reason=event.reason)
        ended = {"failed": -event.amount, "given_up": event.amount}
        rows.increment(revenue_distributions, {"distribution_id": event.distribution_id}, **ended)


class Payees(Projection):
    """Parties that are held, or whose tax form is on file."""

    name = "payees"
    tables = (payees,)
    about = {payees: "party"}  # noqa: RUF012 - a ClassVar of the base

    @on(distributions.HoldPlaced)
    def held(self, event: distributions.HoldPlaced, recorded: RecordedEvent, rows: Rows) -> None:
        hold = {"held_for": event.reason, "held_by": event.officer, "held_since": recorded.occurred_at}
        rows.upsert(payees, {"party": event.party}, **hold)

    @on(distributions.HoldReleased)
    def released(self, event: distributions.HoldReleased, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(payees, {"party": event.party}, held_for=None, held_by=None, held_since=None)

    @on(distributions.TaxFormRecorded)
    def filed(self, event: distributions.TaxFormRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(payees, {"party": event.party}, tax_form=event.reference, tax_form_sha256=event.sha256)


_Of = distributions.ShareCredited | distributions.PaymentEvent


def _share(event: _Of) -> dict[str, str]:
    return {"distribution_id": event.distribution_id, "party": event.party}


def _became(rows: Rows, recorded: RecordedEvent, status: str, **values: object) -> None:
    key = {"distribution_id": recorded.event.distribution_id}
    rows.update(revenue_distributions, key, status=status, version=recorded.version, **values)

"""What we tell the others: chosen, mapped, never leaked."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from uuid import UUID

from contracts import Message, operations, royalties
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec, orders
from royalties.distributing.intents import operation_of
from royalties.domain import (
    AnchorAsked,
    AssetRegistered,
    CommandRefused,
    GroupShared,
    PeriodClosed,
    RefundPosted,
    ReversalPosted,
    RoyaltyPosted,
    SalePosted,
    SaleRecorded,
    WithdrawalPosted,
)
from royalties.domain.books import DISTRIBUTOR, Entries, parts_of
from royalties.domain.distributions import (
    DistributionCancelled,
    DistributionOpened,
    DistributionReconciled,
    PaymentAsked,
    PaymentMade,
)
from royalties.domain.periods import period_named

TOPIC = "royalties.events"
TOPICS = (TopicSpec(TOPIC),)
KEPT = {"sales, postings and statements": "money-records", **orders.kept_of_commands("royalties")}
"""What an erasure leaves, and on which ground."""
UNTOLD = frozenset({"PaymentPosted"})
"""Of what nobody is told there is the most of this; to know that, no objects need to be made of it."""
COMMANDS = TopicSpec("chain.commands")
"""The chain service's: what we ask it to do."""
SENDER = "royalties"
"""The chain service's key that pays distributions, and anchors roots."""
STATEMENTS = hashlib.sha256(b"annals royalties statements").hexdigest()
"""The log of statements in ComplianceRegistry: `roots(STATEMENTS, segment)` is a root that was anchored."""


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event of ours, None for those that stay private."""
    if recorded.type in UNTOLD:
        return None
    message = _message(recorded)
    if message is None:
        return orders.answered(recorded, "royalties", KEPT)
    return Publication(message.topic, message)


def _message(recorded: RecordedEvent) -> Message | None:
    match recorded.event:
        case SaleRecorded() as sale:
            return royalties.SaleRecorded(
                token_id=sale.token_id,
                track_id=sale.track_id,
                seller=sale.seller,
                buyer=sale.buyer,
                price_sun=sale.price_sun,
                kind=sale.kind,
                source=sale.source,
            )
        case RoyaltyPosted() as royalty:
            return royalties.RoyaltyEarned(
                track_id=royalty.track_id,
                payment_id=royalty.payment_id,
                recipient=royalty.recipient,
                amount_sun=royalty.amount_sun,
                split_version=royalty.split_version,
                source=royalty.source,
            )
        case WithdrawalPosted(contract=contract) as out if contract == DISTRIBUTOR:  # a seller's proceeds are none
            return royalties.RoyaltyPaidOut(recipient=out.account, amount_sun=out.amount_sun, source=out.source)
        case PaymentAsked() as asked:
            return _payment(asked)
        case DistributionOpened() as opened:
            return _opened(opened)
        case DistributionCancelled(distribution_id=cancelled):
            return royalties.DistributionCancelled(distribution_id=cancelled)
        case PaymentMade() as paid:
            return royalties.DistributionPaid(
                distribution_id=paid.distribution_id,
                recipient=paid.party,
                asset=paid.asset,
                amount=paid.amount,
                tx_id=paid.tx_id,
                block_number=paid.block_number,
            )
        case DistributionReconciled() as ended:
            return royalties.DistributionReconciled(**asdict(ended))
        case SalePosted(sale=sale) as posted:
            return royalties.SalePosted(
                caller=sale.reference.caller,
                sale_id=sale.reference.id,
                agreement=sale.agreement,
                split_version=posted.version,
                kind=sale.kind.value,
                asset=sale.asset,
                amount=sale.amount,
                fee=posted.division.fee,
                track_id=sale.track_id,
                parts=_parts(posted.entries),
                occurred_at=sale.occurred_at,
            )
        case RefundPosted(refund=refund) as back:
            return royalties.RefundPosted(
                caller=refund.reference.caller,
                refund_id=refund.reference.id,
                sale_id=back.sale.id,
                agreement=back.agreement,
                asset=back.asset,
                amount=refund.amount,
                left=back.left,
                parts=_parts(back.entries),
                occurred_at=refund.occurred_at,
            )
        case ReversalPosted(reversal=reversal) as undone:
            return royalties.ReversalPosted(
                caller=undone.sale.caller,
                sale_id=undone.sale.id,
                of_id=reversal.of.id,
                agreement=undone.agreement,
                asset=undone.asset,
                left=undone.left,
                parts=_parts(undone.entries),
                reason=reversal.reason,
            )
        case GroupShared(reference=reference) as shared:
            return royalties.GroupShared(
                agreement=shared.agreement,
                split_version=shared.version,
                path=shared.path,
                asset=shared.asset,
                amount=shared.amount,
                caller=reference and reference.caller,
                reference=reference and reference.id,
                parts=_parts(shared.entries, shared.agreement),
            )
        case CommandRefused(reference=reference, code=code, detail=detail):
            return royalties.CommandRefused(caller=reference.caller, command_id=reference.id, code=code, detail=detail)
        case AssetRegistered(asset=asset, scale=scale):
            return royalties.AssetRegistered(asset=asset, scale=scale)
        case PeriodClosed() as closed:  # the statements are between us and each party, and so is what blinds them
            span = period_named(closed.period)
            return royalties.PeriodClosed(
                period=closed.period,
                since=span.since,
                until=span.until,
                revision=closed.revision,
                statements=closed.statements,
                root=closed.root,
            )
        case AnchorAsked() as anchor:
            operation_id = anchor_operation(anchor.segment)
            return operations.anchor_root(operation_id, SENDER, STATEMENTS, anchor.segment, anchor.root)
        case _:
            return None


def anchor_operation(segment: int) -> str:
    """The operation that anchors a segment, which the chain service does once."""
    return str(UUID(hashlib.sha256(f"anchor {STATEMENTS} {segment}".encode()).hexdigest()[:32]))


def _payment(asked: PaymentAsked) -> Message:
    operation_id = operation_of(asked.payment_id, asked.attempt)
    if asked.token is None:
        return operations.PayTrx(operation_id=operation_id, sender=SENDER, to=asked.party, amount_sun=asked.amount)
    return operations.PayToken(
        operation_id=operation_id, sender=SENDER, token=asked.token, to=asked.party, amount=asked.amount
    )


def _opened(opened: DistributionOpened) -> Message:
    terms = opened.terms
    return royalties.DistributionOpened(
        distribution_id=opened.distribution_id,
        pool=terms.pool,
        period=terms.period,
        asset=terms.asset,
        amount=terms.amount,
        holding=terms.holding.kind,
        track_id=terms.holding.track_id,
        block_number=terms.block,
    )


def _parts(entries: Entries, own: str | None = None) -> tuple[royalties.Part, ...]:
    return tuple(royalties.Part(recipient=who, amount=amount) for who, amount in parts_of(entries, own))

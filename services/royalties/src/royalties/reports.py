"""The border of sales off the chain: what is reported, by API or as a message, becomes a fact for the domain."""

from __future__ import annotations

from datetime import UTC

from contracts import sales as told
from eventlog import Metadata
from messaging import Received
from royalties.domain import Reference, Refund, Sale, SaleKind
from royalties.recorder import Reported


def sale(facts: told.SaleFacts, caller: str) -> Sale:
    return Sale(
        Reference(caller, facts.sale_id),
        facts.agreement,
        SaleKind(facts.kind),
        facts.asset,
        facts.amount,
        facts.source,
        facts.occurred_at.astimezone(UTC),
        facts.track_id,
        facts.buyer,
        facts.seller,
        facts.royalty,
    )


def refund(facts: told.RefundFacts, caller: str) -> Refund:
    reference, sale = Reference(caller, facts.refund_id), Reference(caller, facts.sale_id)
    return Refund(reference, sale, facts.amount, facts.reason, facts.occurred_at.astimezone(UTC))


def commanded(received: Received) -> Reported | None:
    """What a message of `royalties.commands` reports; None for one of another kind."""
    metadata = Metadata(received.id, received.id, received.traceparent)
    match received.message:
        case told.RecordSale() as message:
            sold = sale(message, message.caller)
            return Reported(sold, sold.occurred_at, metadata)
        case told.RecordRefund() as message:
            returned = refund(message, message.caller)
            return Reported(returned, returned.occurred_at, metadata)
        case _:
            return None

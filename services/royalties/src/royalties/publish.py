"""What we tell the others: chosen, mapped, never leaked."""

from __future__ import annotations

from contracts import Message, royalties
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec
from royalties.domain import RoyaltyPosted, SaleRecorded, WithdrawalPosted
from royalties.domain.books import DISTRIBUTOR

TOPIC = "royalties.events"
TOPICS = (TopicSpec(TOPIC),)


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event of ours, None for those that stay private."""
    message = _message(recorded)
    return Publication(TOPIC, message) if message is not None else None


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
        case _:
            return None

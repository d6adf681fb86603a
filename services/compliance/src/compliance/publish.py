"""What we tell the others: chosen, mapped, never leaked."""

from __future__ import annotations

from uuid import UUID, uuid5

from compliance.domain import (
    AnchorAsked,
    ConsentWithdrawn,
    DeletionCompleted,
    DeletionDenied,
    DeletionReceived,
    DocumentAccepted,
    DocumentPublished,
    ErasureOrdered,
    ExportOrdered,
    KycApproved,
    KycRejected,
    OptedIn,
    OptedOut,
    SunsetSet,
    WalletLinked,
    WalletUnlinked,
)
from contracts import Message, compliance, operations
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec, orders

TOPIC = "compliance.events"
TOPICS = (TopicSpec(TOPIC), orders.ORDERS)
KEPT = {"acceptances and requests": "legal-claims", "decisions of KYC": "anti-money-laundering"}
"""What an erasure leaves, and on which ground."""
COMMANDS = TopicSpec("chain.commands")
"""The chain service's: what we ask it to do."""
SENDER = "compliance"
"""The chain service's key that pays for the transactions; it has ANCHOR_ROLE."""


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event of ours, None for those that stay private.

    A duplicate request is private: the others hear of the one it was joined to.
    """
    message = _message(recorded)
    if message is None:
        return orders.answered(recorded, "compliance", KEPT)
    return Publication(message.topic, message)


def _message(recorded: RecordedEvent) -> Message | None:
    match recorded.event:
        case DocumentPublished() as published:
            return compliance.DocumentVersionPublished(
                document_type=published.document_type,
                version=published.version,
                content_hash=published.content_hash,
                published_at=recorded.occurred_at,
                effective_at=published.effective_at,
            )
        case SunsetSet() as sunset:
            return compliance.DocumentSunset(
                document_type=sunset.document_type, version=sunset.version, sunset_at=sunset.sunset_at
            )
        case ConsentWithdrawn() as withdrawn:
            return compliance.ConsentWithdrawn(
                subject=withdrawn.subject,
                document_type=withdrawn.document_type,
                withdrawn_at=withdrawn.withdrawn_at,
            )
        case DocumentAccepted() as accepted:
            return compliance.AcceptanceRecorded(
                subject=accepted.subject,
                document_type=accepted.document_type,
                version=accepted.version,
                content_hash=accepted.content_hash,
                accepted_at=recorded.occurred_at,
            )
        case KycApproved() as approved:
            return compliance.KycDecided(
                subject=approved.subject, level=approved.level, status="approved", expires_at=approved.expires_at
            )
        case KycRejected() as rejected:
            return compliance.KycDecided(subject=rejected.subject, level=rejected.level, status="rejected")
        case WalletLinked() as linked:
            return compliance.WalletLinked(
                address=linked.address, subject=linked.subject, linked_at=recorded.occurred_at
            )
        case WalletUnlinked() as unlinked:
            return compliance.WalletUnlinked(address=unlinked.address, subject=unlinked.subject)
        case OptedOut() as choice:
            return compliance.OptedOut(subject=choice.subject, use=choice.use.value, opted_out_at=recorded.occurred_at)
        case OptedIn() as choice:
            return compliance.OptedIn(subject=choice.subject, use=choice.use.value, opted_in_at=recorded.occurred_at)
        case DeletionReceived() as received:
            return compliance.DeletionOpened(
                request_id=received.request_id,
                subject=received.subject,
                law=received.law,
                due_at=received.due_at,
            )
        case ErasureOrdered() as order:
            return compliance.ErasureOrdered(
                request_id=order.request_id, subject=order.erases, ordered_at=recorded.occurred_at
            )
        case ExportOrdered() as order:
            return compliance.ExportOrdered(
                request_id=order.request_id,
                subject=order.copies,
                public_key=order.public_key,
                ordered_at=recorded.occurred_at,
                expires_at=order.expires_at,
            )
        case DeletionCompleted(joined_to=None) as completed:
            return compliance.DeletionClosed(
                request_id=completed.request_id, outcome="completed", closed_at=recorded.occurred_at
            )
        case DeletionDenied(joined_to=None) as denied:
            return compliance.DeletionClosed(
                request_id=denied.request_id, outcome="denied", closed_at=recorded.occurred_at
            )
        case AnchorAsked() as asked:
            operation_id = str(uuid5(UUID(asked.log_id[:32]), f"{asked.segment}/{asked.attempt}"))
            return operations.anchor_root(operation_id, SENDER, asked.log_id, asked.segment, asked.root)
        case _:
            return None

"""What compliance orders of every service and is answered: erasures, and copies. Every service does the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts import Message, compliance
from eventlog import Intent, RecordedEvent
from messaging.received import Received
from messaging.relay import Publication
from messaging.topics import COMMANDS_KEPT_DAYS, TopicSpec
from privacy import (
    ErasureCarriedOut,
    ExportAsked,
    ExportGathered,
    SubjectErased,
    erasure,
    erasure_stream,
    export,
    export_stream,
)

ORDERS = TopicSpec("compliance.orders")
"""What compliance asks of all services. Apart from its events, which are many and concern few."""
ANSWERS = TopicSpec("compliance.answers")
TOPICS = (ORDERS, ANSWERS)


def ordered(received: Received) -> Sequence[Intent]:
    """What an order means to any service; nothing, for all other messages."""
    match received.message:
        case compliance.ErasureOrdered() as order:
            fact = SubjectErased(order.request_id, order.subject, order.ordered_at)
            return [Intent(erasure_stream(order.request_id, order.subject), erasure, fact, order.ordered_at)]
        case compliance.ExportOrdered() as order:
            asked = ExportAsked(order.request_id, order.subject, order.public_key, order.ordered_at, order.expires_at)
            return [Intent(export_stream(order.request_id, order.subject), export, asked, order.ordered_at)]
        case _:
            return []


def kept_of_commands(service: str) -> dict[str, str]:
    """What stays of what others wrote in clear to `service`, and until when."""
    return {f"messages of others on {service}.commands": f"expire-after-{COMMANDS_KEPT_DAYS}-days"}


def answered(recorded: RecordedEvent, service: str, kept: Mapping[str, str]) -> Publication | None:
    """What compliance is told of an order carried out; nothing, for other events.

    `kept` is what an erasure leaves, each with its ground.
    """
    answer = _answer(recorded, service, kept)
    return None if answer is None else Publication(ANSWERS.name, answer)


def _answer(recorded: RecordedEvent, service: str, kept: Mapping[str, str]) -> Message | None:
    match recorded.event:
        case ErasureCarriedOut(request_id, subject, rows, seal, seal_hash):
            return compliance.ErasureCarriedOut(
                request_id=request_id,
                subject=subject,
                service=service,
                rows=dict(rows),
                kept=dict(kept),
                carried_out_at=recorded.occurred_at,
                seal=seal,
                seal_hash=seal_hash,
            )
        case ExportGathered(request_id, subject, content_hash, size, events):
            return compliance.ExportGathered(
                request_id=request_id,
                subject=subject,
                service=service,
                content_hash=content_hash,
                size=size,
                events=events,
                gathered_at=recorded.occurred_at,
            )
        case _:
            return None

"""An erasure across services: ordered on one topic, answered on another. Every service does the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts import compliance
from eventlog import Intent, RecordedEvent
from messaging.received import Received
from messaging.relay import Publication
from messaging.topics import TopicSpec
from privacy import ErasureCarriedOut, SubjectErased, erasure, erasure_stream

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
        case _:
            return []


def answered(recorded: RecordedEvent, service: str, kept: Mapping[str, str]) -> Publication | None:
    """What compliance is told of an erasure; nothing, for other events. `kept` is what stays, each with its ground."""
    match recorded.event:
        case ErasureCarriedOut(request_id, subject, rows):
            answer = compliance.ErasureCarriedOut(
                request_id=request_id,
                subject=subject,
                service=service,
                rows=dict(rows),
                kept=dict(kept),
                carried_out_at=recorded.occurred_at,
            )
            return Publication(ANSWERS.name, answer)
        case _:
            return None

"""What we tell the others: chosen, mapped, never leaked."""

from __future__ import annotations

from contracts import greetings
from eventlog import RecordedEvent
from greetings.domain import Welcomed
from messaging import Publication, TopicSpec, orders

TOPIC = "greetings.events"
TOPICS = (TopicSpec(TOPIC),)
KEPT = {"ids of who was welcomed": "pseudonymous"}
"""What an erasure leaves, and on which ground."""


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of an event of ours, None for those that stay private."""
    match recorded.event:
        case Welcomed(subject):
            return Publication(TOPIC, greetings.Welcomed(subject=subject, welcomed_at=recorded.occurred_at))
        case _:
            return orders.answered(recorded, "greetings", KEPT)

"""Events that any log may hold beside those of its domain: what the people who operate a service decided and saw.

`EventTypes` knows them without being told. They are facts of one service, never published.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class DeadLetterDiscarded:
    """The event at `position` shall never take effect in the projection whose live schema is `subscription`."""

    subscription: str
    position: int
    key: str
    event_id: UUID
    type: str
    error: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class MessageDiscarded:
    """A message from Kafka shall never be handled by the consumer group; `key` and `message_id` as text."""

    group: str
    topic: str
    partition: int
    offset: int
    key: str | None
    message_id: str | None
    type: str | None
    error: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class PersonalDataRead:
    """The actor was shown records of `subject`, or of many if that is None, by a route, as one of `roles`."""

    subject: str | None
    route: str
    purpose: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The actor was refused what it asked of a route, so often in a minute; `reason` is the kind of the problem."""

    route: str
    status: int
    reason: str
    times: int = 1


OPERATIONS: dict[str, type] = {
    "DeadLetterDiscarded.v1": DeadLetterDiscarded,
    "MessageDiscarded.v1": MessageDiscarded,
    "PersonalDataRead.v1": PersonalDataRead,
    "RequestRefused.v1": RequestRefused,
}


def dead_letters_stream(subscription: str) -> str:
    """The stream of what was discarded for a projection (by its schema) or a consumer group."""
    return f"dead-letters/{subscription}"

"""What each service tells of the acts of its callers (`audit.events`): the trail of all of them, to be kept elsewhere.

Actors are opaque ids, contents are told by their digests only: nothing is personal.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Message
from contracts.values import Hash, Time


def log_id(service: str) -> Hash:
    """What the log of a service is called where its roots are anchored; the same for ever, also after a restore."""
    return sha256(f"annals-log/{service}".encode()).hexdigest()


class Acted(Message, type="audit.events.Acted.v1"):
    """Somebody's act is an event of a service's log, this one.

    `digest` is the leaf by which the log's Merkle seals cover the event, `previous` that of the stream's event before:
    what the stream was before and after the act.
    """

    service: str
    event_id: UUID
    position: int = Field(ge=1, description="in the service's log")
    stream: str
    version: int = Field(ge=1)
    action: str = Field(description="the type of the event")
    actor: str
    role: Literal["admin", "officer"] | None = Field(description="the office in which the actor acted, if any")
    causation_id: str | None
    at: Time
    digest: Hash
    previous: Hash | None = Field(description="null for a stream's first event")
    refused: str | None = Field(None, description="why, if the act is that something was refused: the kind of problem")

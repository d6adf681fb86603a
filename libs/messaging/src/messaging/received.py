"""What a handler gets: a message and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts import Message


@dataclass(slots=True)  # not frozen: with that many fields it would take three times as long to make
class Received:
    """A message as it arrived. `source` and `id` together identify it, whatever topic it is read from."""

    message: Message
    id: str
    source: str
    topic: str
    partition: int
    offset: int
    key: str
    subject: str | None = None
    time: datetime | None = None
    traceparent: str | None = None
    log: UUID | None = None
    position: int | None = None
    version: int | None = None

    @property
    def type(self) -> str:
        """The message's type (`ce_type`)."""
        return self.message.type

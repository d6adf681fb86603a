"""What the greetings service tells the others. Subjects are opaque ids or public addresses, never personal data."""

from __future__ import annotations

from contracts.envelope import Message
from contracts.values import SubjectId, Time


class Welcomed(Message, type="greetings.events.Welcomed.v1"):
    """A subject was welcomed, for the only time."""

    subject: SubjectId
    welcomed_at: Time

"""The copy of all that one service holds of one subject, as its log has it: asked for, then gathered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from eventlog import Decider


@dataclass(frozen=True, slots=True)
class ExportAsked:
    """A copy shall be made of all that is held of a subject, sealed to the X25519 key of whoever asked (base64)."""

    request_id: str
    subject: str
    public_key: str
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ExportGathered:
    """The copy is made, and waits to be fetched until it expires."""

    request_id: str
    subject: str
    content_hash: str
    """SHA-256 of the sealed copy."""
    size: int
    """In bytes, sealed."""
    events: int


ExportEvent = ExportAsked | ExportGathered

EVENTS: dict[str, type] = {"ExportAsked.v1": ExportAsked, "ExportGathered.v1": ExportGathered}


def export_stream(request_id: str, subject: str) -> str:
    return f"export/{request_id}/{subject}"


def decide(fact: ExportEvent, last: ExportEvent | None) -> list[ExportEvent]:
    """Each fact once. A key store that was restored has lost the copy: it is made, and told of, anew."""
    match fact:
        case ExportAsked():
            return [fact] if last is None else []
        case ExportGathered():
            return [fact] if last is not None and last != fact else []
        case never:
            assert_never(never)


export: Decider[ExportEvent, ExportEvent | None, ExportEvent] = Decider(None, decide, lambda _, last: last)

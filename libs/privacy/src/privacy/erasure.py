"""The erasure of one subject as the log of one service has it: ordered, then carried out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from eventlog import Decider


@dataclass(frozen=True, slots=True)
class SubjectErased:
    """All that is personal of a subject is erased: the fact. Its key and its rows in read models follow."""

    request_id: str
    subject: str
    ordered_at: datetime


@dataclass(frozen=True, slots=True)
class ErasureCarriedOut:
    """The key is destroyed, no process remembers it, and no read model shows anything personal of the subject."""

    request_id: str
    subject: str
    rows: Mapping[str, int]
    """How many were cleared, by table."""
    seal: int | None = None
    seal_hash: str | None = None
    """The last seal of the log then: while the log holds against it, the erasure has changed nothing before it."""


ErasureEvent = SubjectErased | ErasureCarriedOut

EVENTS: dict[str, type] = {"SubjectErased.v1": SubjectErased, "ErasureCarriedOut.v1": ErasureCarriedOut}


def erasure_stream(request_id: str, subject: str) -> str:
    return f"erasure/{request_id}/{subject}"


def decide(fact: ErasureEvent, last: ErasureEvent | None) -> list[ErasureEvent]:
    """Each fact once: it comes again after a crash."""
    match fact:
        case SubjectErased():
            return [fact] if last is None else []
        case ErasureCarriedOut():
            return [fact] if isinstance(last, SubjectErased) else []
        case never:
            assert_never(never)


erasure: Decider[ErasureEvent, ErasureEvent | None, ErasureEvent] = Decider(None, decide, lambda _, last: last)

"""A legal hold: while one is placed on a subject, nothing of it is erased (GDPR Art. 17(3)(b) and (e)).

A subject may be on hold for several cases at once. Each has a reference of its own and is lifted by it, so that the end
of one case never lets go what another needs; one hold may have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from compliance.domain.refusal import WrongState
from eventlog import Decider


class HoldReason(StrEnum):
    LITIGATION = "litigation"
    INVESTIGATION = "investigation"
    TAX = "tax"
    REGULATOR = "regulator"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class LegalHoldPlaced:
    subject: str
    reason: HoldReason
    reference: str | None = None  # of the case, an opaque token


@dataclass(frozen=True, slots=True)
class LegalHoldLifted:
    subject: str
    reference: str | None = None  # under which it was placed


HoldEvent = LegalHoldPlaced | LegalHoldLifted
Holds = Mapping[str | None, HoldReason]
"""The holds in force on a subject, by their references."""


def decide(wanted: HoldEvent, holds: Holds) -> list[HoldEvent]:
    held = holds.get(wanted.reference)
    match wanted:
        case LegalHoldPlaced(reason=reason):
            if held not in (None, reason):
                raise WrongState(f"subject {wanted.subject}: held already, for {held}; lift that first")
            return [] if held is reason else [wanted]
        case LegalHoldLifted(reference=reference):
            if held is None and reference is None and holds:
                raise WrongState(f"subject {wanted.subject}: held for {told_holds(holds)}; name the reference to lift")
            return [] if held is None else [wanted]
        case never:
            assert_never(never)


def evolve(holds: Holds, event: HoldEvent) -> Holds:
    if isinstance(event, LegalHoldPlaced):
        return {**holds, event.reference: event.reason}
    return {reference: reason for reference, reason in holds.items() if reference != event.reference}


def told_holds(holds: Holds) -> str:
    """For what a subject is held: `tax, litigation (2026-17)`."""
    return ", ".join(reason if name is None else f"{reason} ({name})" for name, reason in holds.items())


legal_hold: Decider[HoldEvent, Holds, HoldEvent] = Decider(MappingProxyType({}), decide, evolve)

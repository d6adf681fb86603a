"""A legal hold: while one is placed on a subject, nothing of it is erased (GDPR Art. 17(3)(b) and (e))."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from compliance.domain.refusal import WrongState
from eventlog import Decider


class HoldReason(StrEnum):
    LITIGATION = "litigation"
    INVESTIGATION = "investigation"
    TAX = "tax"
    REGULATOR = "regulator"


@dataclass(frozen=True, slots=True)
class LegalHoldPlaced:
    subject: str
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class LegalHoldLifted:
    subject: str


HoldEvent = LegalHoldPlaced | LegalHoldLifted


def decide(wanted: HoldEvent, held: HoldReason | None) -> list[HoldEvent]:
    match wanted:
        case LegalHoldPlaced(reason=reason):
            if held not in (None, reason):
                raise WrongState(f"subject {wanted.subject}: held already, for {held}; lift that first")
            return [] if held is reason else [wanted]
        case LegalHoldLifted():
            return [] if held is None else [wanted]
        case never:
            assert_never(never)


def evolve(_: HoldReason | None, event: HoldEvent) -> HoldReason | None:
    return event.reason if isinstance(event, LegalHoldPlaced) else None


legal_hold: Decider[HoldEvent, HoldReason | None, HoldEvent] = Decider(None, decide, evolve)

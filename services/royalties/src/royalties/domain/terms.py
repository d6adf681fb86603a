"""What the platform keeps of sales off the chain, by their kind, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from eventlog import Decider
from royalties.domain.books import Refused

BPS = 10_000


class SaleKind(StrEnum):
    PURCHASE = "purchase"  # of a premium track
    TIP = "tip"
    PRIMARY = "primary"  # of an edition, by its artist
    SECONDARY = "secondary"  # of an edition, by whoever owned it


@dataclass(frozen=True, slots=True)
class SetTerms:
    """`at` is now; terms that hold from earlier on would be others than those that were posted by."""

    fees_bps: Mapping[SaleKind, int]
    effective_from: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class TermsSet:
    """From `effective_from` on, these basis points of what is shared are the platform's; of other kinds, nothing is."""

    version: int
    effective_from: datetime
    fees_bps: Mapping[SaleKind, int]


NO_TERMS = TermsSet(0, datetime.min.replace(tzinfo=UTC), {})
History = tuple[TermsSet, ...]


def in_force(history: History, at: datetime) -> TermsSet:
    """The terms at a moment; before the first there is no fee."""
    return next((terms for terms in reversed(history) if terms.effective_from <= at), NO_TERMS)


def decide(command: SetTerms, history: History) -> list[TermsSet]:
    for kind, bps in command.fees_bps.items():
        if not 0 <= bps <= BPS:
            raise Refused("fee-invalid", f"{kind}: expected 0 to {BPS} basis points, got {bps}")
    last = history[-1] if history else NO_TERMS
    if history and (last.effective_from, last.fees_bps) == (command.effective_from, command.fees_bps):
        return []
    if history and command.effective_from <= max(last.effective_from, command.at):
        raise Refused("not-in-order", f"expected terms from after {max(last.effective_from, command.at)} on")
    return [TermsSet(last.version + 1, command.effective_from, command.fees_bps)]


terms: Decider[SetTerms, History, TermsSet] = Decider((), decide, lambda history, event: (*history, event))

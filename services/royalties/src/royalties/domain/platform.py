"""The terms of the platform: its fee."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import Source
from eventlog import Decider
from royalties.domain.books import NOWHERE, Place, place


@dataclass(frozen=True, slots=True)
class PlatformFeeSet:
    """From here on, payments leave this part to the platform, in basis points, rounded down."""

    old_bps: int
    new_bps: int
    source: Source


def decide(fact: PlatformFeeSet, last: Place) -> list[PlatformFeeSet]:
    return [fact] if place(fact.source) > last else []


platform: Decider[PlatformFeeSet, Place, PlatformFeeSet] = Decider(NOWHERE, decide, lambda _, fee: place(fee.source))

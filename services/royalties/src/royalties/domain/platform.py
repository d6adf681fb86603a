"""The terms of the platform: its fee, and to whom RoyaltyDistributor credits it."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import Source
from contracts.values import Address
from eventlog import Decider
from royalties.domain.books import NOWHERE, Place, place


@dataclass(frozen=True, slots=True)
class PlatformFeeSet:
    """From here on, payments leave this part to the platform, in basis points, rounded down."""

    old_bps: int
    new_bps: int
    source: Source


@dataclass(frozen=True, slots=True)
class FeeRecipientSet:
    """From here on, RoyaltyDistributor credits fees to this account; what it had credited before stays where it is."""

    recipient: Address
    source: Source


PlatformEvent = PlatformFeeSet | FeeRecipientSet


def decide(fact: PlatformEvent, last: Place) -> list[PlatformEvent]:
    return [fact] if place(fact.source) > last else []


platform: Decider[PlatformEvent, Place, PlatformEvent] = Decider(NOWHERE, decide, lambda _, fact: place(fact.source))

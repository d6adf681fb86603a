"""Why an amount is what it is: the earlier events it rests on, and the numbers to reckon it with again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from royalties.domain.agreement import Agreement, agreement
from royalties.domain.division import AgreementVersionSet, Taken
from royalties.domain.sales import GroupShared, RefundPosted, ReversalPosted, SalePosted
from royalties.domain.split import PPM
from royalties.domain.track import track
from royalties.domain.track_events import PaymentPosted, RoyaltyPosted, SplitSet


@dataclass(frozen=True, slots=True)
class Step:
    """A party's share of what was taken in under a version of a split, or a tier of it, before and after."""

    split_version: int
    tier: int
    ppm: int
    total_before: int
    total_after: int

    @property
    def amount(self) -> int:
        """Cumulative floor: what the total gives now, less what it gave before."""
        return self.total_after * self.ppm // PPM - self.total_before * self.ppm // PPM


FORMULA = "total_after * ppm // 1000000 - total_before * ppm // 1000000"


def is_explained(event: object) -> bool:
    """Whether its amounts follow from a split."""
    return isinstance(event, RoyaltyPosted | SalePosted | RefundPosted | ReversalPosted | GroupShared)


def rests_on(event: object, earlier: object) -> bool:
    """Whether an amount of an event follows from an earlier one of its stream: a split, a payment, a sale."""
    match event, earlier:
        case RoyaltyPosted(), SplitSet():
            return event.split_version == earlier.version
        case RoyaltyPosted(), PaymentPosted():
            return event.payment_id == earlier.payment_id
        case ((SalePosted() | RefundPosted() | ReversalPosted() | GroupShared()), AgreementVersionSet()):
            return event.version == earlier.version
        case ((RefundPosted() | ReversalPosted()), SalePosted()):
            return event.sale == earlier.reference
        case _:
            return False


def steps(event: object, before: Sequence[object], party: str) -> list[Step]:
    """What a party's part of an event is the sum of, given all events of its stream before; none if no split says."""
    match event:
        case RoyaltyPosted():
            return [_of_payment(event, before)]
        case SalePosted() | RefundPosted() | ReversalPosted() | GroupShared():
            return _of_sale(event, agreement.fold(before), party)  # type: ignore[arg-type]  # its stream's
        case _:
            return []


def _of_payment(event: RoyaltyPosted, before: Sequence[object]) -> Step:
    state = track.fold(before)  # type: ignore[arg-type]  # its stream's
    alone = state.split_version == 0 and state.controller == event.recipient
    ppm = PPM if alone else state.shares.get(event.recipient, 0)
    payment = next(one for one in reversed(before) if isinstance(one, PaymentPosted))
    net_sun = payment.amount_sun - payment.fee_sun
    return Step(event.split_version, 0, ppm, state.distributed_sun - net_sun, state.distributed_sun)


def _of_sale(
    event: SalePosted | RefundPosted | ReversalPosted | GroupShared, state: Agreement, party: str
) -> list[Step]:
    version = next(one for one in state.versions if one.version == event.version)
    running = state.taken.get((event.version, event.asset), Taken()).running
    return [
        Step(event.version, tier, share.ppm, running.get(tier, 0), running.get(tier, 0) + net)
        for tier, net in event.tiers
        for share in version.tier(tier)
        if share.recipient == party
    ]

"""A track's books at RoyaltyDistributor: its splits, payments under them, what each collaborator was credited.

The chain has decided already. What is checked here is that its events agree with each other: that every credit belongs
to a payment, that no more is given out than came in, and that parts are what the split says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import assert_never

from contracts.chain import PaymentKind, Source
from contracts.values import Address
from eventlog import Decider
from royalties.domain.books import (
    CUSTODY_DISTRIBUTOR,
    NOWHERE,
    PLATFORM_FEE,
    Contradiction,
    Place,
    Posting,
    carry,
    credit,
    debit,
    earnings,
    entry,
    place,
    transfer,
)
from royalties.domain.split import next_of_carry, parts, shares_of
from royalties.domain.track_events import (
    CarrySettlementPosted,
    PaymentPosted,
    PostPayment,
    PostRoyalty,
    RoyaltyPosted,
    SetSplit,
    SettleCarry,
    SplitControlAccepted,
    SplitDifferenceFound,
    SplitSet,
    TrackCommand,
    TrackEvent,
    TrackRegistered,
)


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment that credits are expected for: the last one under the split in force."""

    payment_id: int
    kind: PaymentKind
    source: Source
    due: Mapping[Address, int]  # what the split says, without what has been credited
    credited: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Track:
    registered: TrackRegistered | None = None
    last: Place = NOWHERE  # of RoyaltyDistributor's events; the registration comes from MusicNFT, in its own time
    controller: Address | None = None
    split_version: int = 0
    shares: Mapping[Address, int] = field(default_factory=lambda: MappingProxyType({}))
    distributed_sun: int = 0  # net, under the version in force
    held_sun: int = 0  # the balance of its carry account
    settled: tuple[Address, ...] = ()  # of the version in force, which is closing
    last_payment_id: int = 0
    payment: Payment | None = None


# ---- decisions --------------------------------------------------------------------------------------------------


def decide(command: TrackCommand, track: Track) -> list[TrackEvent]:
    """Raises Contradiction when a command can't be true after what happened before."""
    if isinstance(command, TrackRegistered):
        return _register(command, track)
    if place(command.source) <= track.last:
        return []
    match command:
        case SplitControlAccepted():
            return [command]
        case SetSplit():
            return _set_split(command, track)
        case PostPayment():
            return _post_payment(command, track)
        case PostRoyalty():
            return _post_royalty(command, track)
        case SettleCarry():
            return _settle_carry(command, track)
        case never:
            assert_never(never)


def _register(fact: TrackRegistered, track: Track) -> list[TrackEvent]:
    if track.registered is None:
        return [fact]
    if track.registered == fact:
        return []
    raise Contradiction(f"track {fact.track_id} was released at {track.registered.source}, and again at {fact.source}")


def _set_split(command: SetSplit, track: Track) -> list[TrackEvent]:
    name = f"track {command.track_id}, split {command.version}"
    if command.version != track.split_version + 1:
        raise Contradiction(f"{name}: expected version {track.split_version + 1}")
    if track.held_sun:
        raise Contradiction(f"{name}: version {track.split_version} closes with {track.held_sun} sun not given out")
    try:
        split = shares_of(command.recipients, command.shares_ppm)
    except ValueError as error:
        raise Contradiction(f"{name}: {error}") from None
    return [*_missing(command.track_id, track), SplitSet(command.track_id, command.version, split, command.source)]


def _post_payment(command: PostPayment, track: Track) -> list[TrackEvent]:
    name = f"track {command.track_id}, payment {command.payment_id}"
    if track.controller is None:
        raise Contradiction(f"{name}: RoyaltyDistributor does not know the track yet")
    if command.payment_id <= track.last_payment_id:
        raise Contradiction(f"{name}: expected a number above {track.last_payment_id}")
    if command.split_version != track.split_version:
        raise Contradiction(f"{name}: expected split {track.split_version}, got {command.split_version}")
    net_sun = command.amount_sun - command.fee_sun
    if net_sun < 0:
        raise Contradiction(f"{name}: a fee of {command.fee_sun} sun exceeds the {command.amount_sun} sun paid")
    postings = entry(
        debit(CUSTODY_DISTRIBUTOR, command.amount_sun),
        credit(PLATFORM_FEE, command.fee_sun),
        credit(carry(command.track_id, command.split_version), net_sun),
    )
    return [
        *_missing(command.track_id, track),
        PaymentPosted(
            command.track_id,
            command.payment_id,
            command.payer,
            command.kind,
            command.amount_sun,
            command.fee_sun,
            command.split_version,
            command.source,
            postings,
        ),
    ]


def _post_royalty(command: PostRoyalty, track: Track) -> list[TrackEvent]:
    name = f"track {command.track_id}, payment {command.payment_id}"
    payment = track.payment
    if payment is None or payment.payment_id != command.payment_id:
        last = "none" if payment is None else payment.payment_id
        raise Contradiction(f"{name}: a credit to {command.recipient}, but the last payment is {last}")
    if command.recipient in payment.credited:
        raise Contradiction(f"{name}: {command.recipient} was credited before")
    if command.amount_sun > track.held_sun:
        raise Contradiction(
            f"{name}: a credit of {command.amount_sun} sun to {command.recipient}, but split {track.split_version} "
            f"holds {track.held_sun} sun"
        )
    royalty = RoyaltyPosted(
        command.track_id,
        command.payment_id,
        command.recipient,
        command.amount_sun,
        payment.kind,
        track.split_version,
        command.source,
        _given_out(track, command),
    )
    expected_sun = payment.due.get(command.recipient, 0)
    if expected_sun == command.amount_sun:
        return [royalty]
    return [royalty, _difference(track, payment.payment_id, command, expected_sun)]


def _settle_carry(command: SettleCarry, track: Track) -> list[TrackEvent]:
    name = f"track {command.track_id}, split {command.split_version}"
    if command.split_version != track.split_version:
        raise Contradiction(f"{name}: its carry is settled while split {track.split_version} is in force")
    if command.recipient in track.settled:
        raise Contradiction(f"{name}: {command.recipient} was given carry before")
    if command.amount_sun > track.held_sun:
        raise Contradiction(
            f"{name}: {command.amount_sun} sun of carry to {command.recipient}, but it holds {track.held_sun} sun"
        )
    settlement = CarrySettlementPosted(
        command.track_id,
        command.split_version,
        command.recipient,
        command.amount_sun,
        command.source,
        _given_out(track, command),
    )
    due_to = next_of_carry(track.shares, track.distributed_sun, track.settled)
    expected_sun = 1 if command.recipient == due_to else 0
    if expected_sun == command.amount_sun:
        return [*_missing(command.track_id, track), settlement]
    return [*_missing(command.track_id, track), settlement, _difference(track, None, command, expected_sun)]


def _given_out(track: Track, command: PostRoyalty | SettleCarry) -> tuple[Posting, ...]:
    given_from = carry(command.track_id, track.split_version)
    return transfer(given_from, earnings(command.recipient), command.amount_sun)


def _difference(
    track: Track, payment_id: int | None, command: PostRoyalty | SettleCarry, expected_sun: int
) -> SplitDifferenceFound:
    return SplitDifferenceFound(
        command.track_id,
        track.split_version,
        payment_id,
        command.recipient,
        expected_sun,
        command.amount_sun,
        command.source,
    )


def _missing(track_id: int, track: Track) -> list[TrackEvent]:
    """Credits that the last payment should have led to; once the track goes on, it is clear that none will come."""
    payment = track.payment
    if payment is None:
        return []
    return [
        SplitDifferenceFound(track_id, track.split_version, payment.payment_id, recipient, due_sun, 0, payment.source)
        for recipient, due_sun in payment.due.items()
    ]


def _due(track: Track, net_sun: int) -> Mapping[Address, int]:
    if track.split_version == 0:
        return {} if track.controller is None else {track.controller: net_sun}
    return parts(track.shares, track.distributed_sun, net_sun)


def evolve(track: Track, event: TrackEvent) -> Track:
    match event:
        case TrackRegistered():
            return replace(track, registered=event)
        case SplitControlAccepted():
            return replace(track, last=place(event.source), controller=event.controller)
        case SplitSet():
            return Track(
                registered=track.registered,
                last=place(event.source),
                controller=track.controller,
                split_version=event.version,
                shares={share.recipient: share.ppm for share in event.shares},
                last_payment_id=track.last_payment_id,
            )
        case PaymentPosted():
            net_sun = event.amount_sun - event.fee_sun
            return replace(
                track,
                last=place(event.source),
                distributed_sun=track.distributed_sun + net_sun,
                held_sun=track.held_sun + net_sun,
                last_payment_id=event.payment_id,
                payment=Payment(event.payment_id, event.kind, event.source, _due(track, net_sun)),
            )
        case RoyaltyPosted():
            return replace(
                track,
                last=place(event.source),
                held_sun=track.held_sun - event.amount_sun,
                payment=_without(track.payment, event.recipient),
            )
        case CarrySettlementPosted():
            return replace(
                track,
                last=place(event.source),
                held_sun=track.held_sun - event.amount_sun,
                settled=(*track.settled, event.recipient),
            )
        case SplitDifferenceFound():
            return replace(track, payment=_without(track.payment, event.recipient))
        case never:
            assert_never(never)


def _without(payment: Payment | None, recipient: Address) -> Payment | None:
    """The payment once it is settled what the recipient got of it."""
    if payment is None:
        return None
    due = {who: part for who, part in payment.due.items() if who != recipient}
    return replace(payment, due=due, credited=payment.credited | {recipient})


track: Decider[TrackCommand, Track, TrackEvent] = Decider(Track(), decide, evolve)
